/* The loss of slices and its gradients, fused: a tile goes forward and backward in one kernel, which leaves the operands of the weights'
 * gradients in bf16 (each layer's input and the gradient of its sums) and the rest as sums over the tile. METHOD.md sections 3 and 5.
 *
 * Images are worked on some at a time; all sums run over fixed tiles and runs of rows in fixed order, in double from the tile up. */
#include "network_backward.h"
#include "network_shapes.h"

enum { CHUNK_ROWS = 65536 }; /* points worked on at once, in whole images, at least one */

template <class T> __global__ void __launch_bounds__(T::threads, T::blocks) loss_kernel(network_call c, loss_call a)
{
    SHARED_BYTES(memory);
    shared_parts<T> s(memory);
    slab_stream<T> weights(c.slabs, c.all_slabs, s.ring);
    quad *keep = a.keep + (int64_t)blockIdx.x * (c.n + 1) * KEPT_QUADS * T::threads + threadIdx.x;
    const int64_t layer_bytes = a.rows * T::width * 2;
    const int slabs = T::width / NETWORK_SLAB;
    const int64_t features = network_features(&c);

    for (int64_t t = blockIdx.x; t < c.tiles; t += gridDim.x) {
        int64_t image = a.first_image + t / c.tiles_an_image, first = t % c.tiles_an_image * TILE_ROWS, row = t * TILE_ROWS;
        float *columns = a.columns + t * ((SUMS * (c.n + 1) + 1) * T::width);
        float v[MT][NT][4];

        place_points(s, c, image, first);
        block_meet();
        for (int l = 0; l <= c.n; l++) {
            start_sums<T>(v, l ? c.params + bias_at(c.at, l) : c.bias + image * T::width);
            for (int f = 0; f < (l ? 1 : c.F); f += T::width / 2) {
                int now = l ? slabs : feature_slabs<T>(c, f);
                if (f)
                    block_meet(); /* x has been read */
                if (!l)
                    encode(s, c, f);
                block_meet();
                if (l)
                    copy_out<T>(a.inputs + (l - 1) * layer_bytes + row * T::pitch, T::pitch, s.x, T::pitch / LINE);
                else
                    copy_out<T>(a.features + (row * features + 2 * f) * 2, 2 * features, s.x, now * SLAB_LINES);
                product(v, weights, s.x, now);
            }
            norm_and_add(v, s, c.params + gamma_at(c.at, l), c.params + beta_at(c.at, l), l > 0, keep + l * KEPT_QUADS * T::threads,
                         s.rstd + l * TILE_ROWS);
        }
        const float *last = c.params + weight_at(c.at, c.n + 1);
        dot_rows(v, s, last);
        block_meet();
        slopes(s, c, a, image, first, image * c.tiles_an_image + t % c.tiles_an_image);
        last_backward(v, s, last, columns + SUMS * (c.n + 1) * T::width);

        for (int l = c.n; l >= 0; l--) {
            norm_backward(v, s, s.rstd + l * TILE_ROWS, c.params + gamma_at(c.at, l), keep + l * KEPT_QUADS * T::threads,
                          columns + SUMS * l * T::width);
            block_meet();
            copy_out<T>(a.gradients + l * layer_bytes + row * T::pitch, T::pitch, s.x, T::pitch / LINE);
            if (l)
                product(v, weights, s.x, slabs);
        }
        if (a.turns) {
            float dR[6] = {0, 0, 0, 0, 0, 0};
            for (int f = 0; f < c.F; f += T::width / 2) {
                UNROLL
                for (int m = 0; m < MT; m++) {
                    UNROLL
                    for (int n = 0; n < NT; n++) {
                        UNROLL
                        for (int e = 0; e < 4; e++)
                            v[m][n][e] = 0;
                    }
                }
                product(v, weights, s.x, slabs);
                turn_backward(dR, v, s, c, f);
            }
            for (int i = 0; i < 6; i++) {
                float sum = warp_sum(dR[i]);
                if (lane() == 0)
                    a.turns[(t * T::NW + warp_number()) * 6 + i] = sum;
            }
        }
        block_meet(); /* x and the points have been read */
    }
    copy_wait<0>();
}

/* ---- a call ----------------------------------------------------------------------------------------------------------------------------- */

template <class T> static deco_status loss_of(deco_device *dev, network_call c, loss_call a, const loss_arrays *arrays)
{
    deco_status st = DECO_OK;
    size_t bytes = shared_bytes<T>(c.n + 1);
    int64_t B = arrays->B, H = T::width, columns = columns_of(c.n, H), each = cuda_tiles(c.P, TILE_ROWS),
            most = CHUNK_ROWS / TILE_ROWS / each;
    float *part = NULL, *sums = NULL;

    most = most < 1 ? 1 : most < B ? most : B;
    c.tiles_an_image = each;
    a.rows = most * each * TILE_ROWS;
    int64_t blocks = blocks_at_once<T>(dev, bytes, most * each);
    TRY(deco_scratch_take(dev, &a.features, (size_t)(a.rows * network_features(&c) * 2), "decoder's features"));
    TRY(deco_scratch_take(dev, &a.inputs, (size_t)(c.n * a.rows * H * 2), "decoder's activations"));
    TRY(deco_scratch_take(dev, &a.gradients, (size_t)((c.n + 1) * a.rows * H * 2), "decoder's gradients"));
    TRY(deco_scratch_take(dev, &a.columns, (size_t)(most * each * columns) * sizeof *a.columns, "decoder's gradients"));
    TRY(deco_scratch_take(dev, &a.losses, (size_t)(2 * B * each) * sizeof *a.losses, "losses of tiles"));
    TRY(deco_scratch_take(dev, &a.keep, (size_t)(blocks * (c.n + 1) * KEPT_QUADS * T::threads) * sizeof *a.keep, "decoder's activations"));
    TRY(deco_scratch_take(dev, &part, (size_t)network_runs_floats(&c) * sizeof *part, "weights' gradients"));
    TRY(deco_scratch_take(dev, &sums, (size_t)(B * columns) * sizeof *sums, "decoder's gradients"));
    if (arrays->dR.data)
        TRY(deco_scratch_take(dev, &a.turns, (size_t)(most * each * T::NW * 6) * sizeof *a.turns, "gradients of rotations"));
    TRY(may_share(dev, loss_kernel<T>, bytes));
    for (int64_t b = 0; b < B; b += most) {
        int64_t images = B - b < most ? B - b : most;
        a.first_image = b, c.tiles = images * each;
        TRY(LAUNCH_SHARED(dev, loss_kernel<T>, c.tiles < blocks ? c.tiles : blocks, T::threads, bytes, c, a));
        TRY(cuda_add_float_parts(dev, sums + b * columns, a.columns, images, each, columns));
        if (arrays->dR.data)
            TRY(network_turns_backward(dev, (float *)arrays->dR.data + 9 * b, a.turns, images, each * T::NW));
        if (arrays->dparams.data)
            TRY(network_weights_backward(dev, &c, &a, (float *)arrays->dparams.data, part, TILE_ROWS, b > 0));
    }
    TRY(network_put_sums(dev, &c, arrays, sums, a.losses));
out:
    deco_scratch_give(dev, a.features);
    deco_scratch_give(dev, a.inputs);
    deco_scratch_give(dev, a.gradients);
    deco_scratch_give(dev, a.columns);
    deco_scratch_give(dev, a.losses);
    deco_scratch_give(dev, a.keep);
    deco_scratch_give(dev, a.turns);
    deco_scratch_give(dev, part);
    deco_scratch_give(dev, sums);
    return st;
}

deco_status cuda_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                            deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z, deco_array ctf,
                            deco_array target)
{
    deco_status st = DECO_OK;
    int64_t B = target.shape[0], P = target.shape[1];
    loss_arrays arrays = {loss, dparams, dz, dR, (const float *)z.data, B, h->Z};
    network_call c = {};
    loss_call a = {};
    bool served = false;

    if ((dparams.data || dz.data || dR.data) && network_serves(dev, h)) {
        a.ctf = (const float *)ctf.data, a.target = (const float *)target.data, a.dpred = (float *)dpred.data;
        a.scale = (float)(2.0 / ((double)B * (double)P));
        TRY(network_begin(dev, &c, h, dR.data ? NETWORK_TO_POINTS : NETWORK_BACKWARD, B, P, params, freqs, k, R, z));
        TRY(with_tile(dev, h->H, (int)h->n + 1, &served, [&](auto shape) { return loss_of<decltype(shape)>(dev, c, a, &arrays); }));
    }
    if (!served)
        TRY(cuda_composed_slice_loss(dev, h, loss, dparams, dz, dR, dpred, params, freqs, k, R, z, ctf, target));
out:
    network_end(dev, &c);
    return st;
}
