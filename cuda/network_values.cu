/* Values of the decoder at points, fused: one number a point is all that is written. */
#include "network_shapes.h"

template <class T> __global__ void __launch_bounds__(T::threads, T::blocks) values_kernel(float *out, network_call c)
{
    SHARED_BYTES(memory);
    shared_parts<T> s(memory);
    slab_stream<T> weights(c.slabs, c.all_slabs, s.ring);
    for (int64_t t = blockIdx.x; t < c.tiles; t += gridDim.x) {
        int64_t image = t / c.tiles_an_image, first = t % c.tiles_an_image * TILE_ROWS;
        float v[MT][NT][4];
        place_points(s, c, image, first);
        block_meet();
        for (int l = 0; l <= c.n; l++) {
            start_sums<T>(v, l ? c.params + bias_at(c.at, l) : c.bias + image * T::width);
            for (int f = 0; f < (l ? 1 : c.F); f += T::width / 2) {
                if (f)
                    block_meet(); /* x has been read */
                if (!l)
                    encode(s, c, f);
                product(v, weights, s.x, l ? T::width / NETWORK_SLAB : feature_slabs<T>(c, f));
            }
            norm_and_add(v, s, c.params + gamma_at(c.at, l), c.params + beta_at(c.at, l), l > 0, (quad *)NULL, (float *)NULL);
        }
        const float *last = c.params + weight_at(c.at, c.n + 1);
        dot_rows(v, s, last);
        block_meet();
        for (int row = (int)threadIdx.x; row < TILE_ROWS; row += T::threads)
            if (first + row < c.P)
                out[image * c.P + first + row] = value_of(s, row, last + T::width);
    }
    copy_wait<0>();
}

template <class T> static deco_status values(deco_device *dev, float *out, network_call c, int64_t B)
{
    deco_status st = DECO_OK;
    size_t bytes = shared_bytes<T>(0);
    c.tiles_an_image = cuda_tiles(c.P, TILE_ROWS);
    c.tiles = B * c.tiles_an_image;
    TRY(may_share(dev, values_kernel<T>, bytes));
    TRY(LAUNCH_SHARED(dev, values_kernel<T>, blocks_at_once<T>(dev, bytes, c.tiles), T::threads, bytes, out, c));
out:
    return st;
}

deco_status cuda_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                    deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    int64_t B = out.shape[0], P = out.shape[1];
    network_call c = {};
    bool served = false;

    if (!saved.data && network_serves(dev, h)) {
        TRY(network_begin(dev, &c, h, NETWORK_FORWARD, B, P, params, freqs, x, R, z));
        TRY(with_tile(dev, h->H, 0, &served, [&](auto shape) { return values<decltype(shape)>(dev, (float *)out.data, c, B); }));
    }
    if (!served)
        TRY(cuda_composed_values(dev, h, out, saved, params, freqs, x, R, z));
out:
    network_end(dev, &c);
    return st;
}
