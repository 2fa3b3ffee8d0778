/* The fused decoder's weights in the order in which tiles take them, and what is the same for all points of an image. */
#include "network.h"
#include "tensor.h"

/* ---- weights --------------------------------------------------------------------------------------------------------------------------- */

/* Slabs of one way through the decoder, in the order of layers and then of a layer's inputs. */
typedef struct slab_counts {
    int first, hidden, parts; /* of the first layer; of another; parts of the features, backwards */
    int n;
} slab_counts;

static int slabs_of(slab_counts s, network_way way)
{
    int count = s.first + s.n * s.hidden;
    if (way >= NETWORK_BACKWARD)
        count += s.n * s.hidden;
    return way == NETWORK_TO_POINTS ? count + s.parts * s.hidden : count;
}

/* The weight of the first layer from feature `column`, sine and cosine side by side, to unit n; 0 beyond the last. */
__device__ static inline float first_weight(const float *params, network_places at, int F, int64_t n, int64_t column)
{
    int64_t j = column / 2;
    return j < F ? params[n * at.inputs + (column % 2 ? F + j : j)] : 0;
}

/* What input k of slab `slab` is multiplied by for its output n. */
__device__ static inline float weight_of(const float *params, network_places at, slab_counts s, int F, int slab, int n, int k)
{
    if (slab < s.first)
        return first_weight(params, at, F, n, NETWORK_SLAB * (int64_t)slab + k);
    slab -= s.first;
    int l = slab / s.hidden, input = slab % s.hidden * NETWORK_SLAB + k;
    if (l < s.n)
        return params[weight_at(at, 1 + l) + n * at.H + input];
    l -= s.n;
    if (l < s.n) /* backwards from the last */
        return params[weight_at(at, s.n - l) + input * at.H + n];
    l -= s.n;
    return first_weight(params, at, F, input, l * at.H + n);
}

/* A thread a line of 8 inputs. */
__global__ void pack_kernel(uint32_t *slabs, const float *params, network_places at, slab_counts s, int F, int64_t lines)
{
    int64_t i = grid_thread();
    if (i >= lines)
        return;
    int line = (int)(i % (NETWORK_SLAB / 8)), n = (int)(i / (NETWORK_SLAB / 8) % at.H), slab = (int)(i / (NETWORK_SLAB / 8) / at.H);
    uint32_t *to = slabs + (slab * at.H * (NETWORK_SLAB / 8) + slab_line(n, line)) * (LINE / 4);
    for (int pair = 0; pair < 4; pair++)
        to[pair] = pair_of(weight_of(params, at, s, F, slab, n, 8 * line + 2 * pair),
                           weight_of(params, at, s, F, slab, n, 8 * line + 2 * pair + 1));
}

/* ---- the latent ---------------------------------------------------------------------------------------------------------------------- */

/* bias [B,H]: the first layer's, and the latent's share of its sums. A warp a number. */
__global__ void first_bias_kernel(float *bias, const float *params, const float *z, network_places at, int64_t B, int64_t Z)
{
    int64_t i = grid_warp(), all = B * at.H, which = i < all ? i : all - 1, n = which % at.H;
    const float *w = params + n * at.inputs + at.inputs - Z, *latent = z + which / at.H * Z;
    double sum = 0;
    for (int64_t j = lane(); j < Z; j += WARP)
        sum += (double)w[j] * latent[j];
    sum = warp_sum(sum);
    if (i < all && lane() == 0)
        bias[i] = (float)(params[bias_at(at, 0) + n] + sum);
}

/* ---- a call ---------------------------------------------------------------------------------------------------------------------------- */

bool network_serves(deco_device *dev, const deco_hypervolume *h)
{
    return cuda_bf16(dev) && (h->H == 128 || h->H == 256 || h->H == 512) && h->layer_norm && !deco_hypervolume_residual_first(h) &&
           h->n <= NETWORK_LAYERS;
}

deco_status network_begin(deco_device *dev, network_call *c, const deco_hypervolume *h, network_way way, int64_t B, int64_t P,
                          deco_array params, deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    uint32_t *slabs = NULL;
    float *bias = NULL;
    int64_t half = h->L / 2;
    network_call call = {};

    call.at.inputs = 6 * h->pe_dim + h->Z, call.at.H = h->H;
    call.P = P, call.half_L = (float)half, call.F = (int)(3 * h->pe_dim), call.n = (int)h->n;
    call.params = (const float *)params.data, call.freqs = (const float *)freqs.data;
    call.x = (const float *)x.data, call.R = (const float *)R.data;
    slab_counts counts = {(int)(network_features(&call) / NETWORK_SLAB), (int)(h->H / NETWORK_SLAB), (int)cuda_tiles(2 * call.F, h->H),
                          call.n};
    call.all_slabs = slabs_of(counts, way);
    *c = call;

    int64_t lines = call.all_slabs * h->H * (NETWORK_SLAB / 8);
    TRY(deco_scratch_take(dev, &slabs, (size_t)lines * LINE, "decoder's weights in bf16"));
    c->slabs = (const unsigned char *)slabs;
    TRY(deco_scratch_take(dev, &bias, (size_t)(B * h->H) * sizeof *bias, "decoder's latents"));
    c->bias = bias;
    TRY(LAUNCH(dev, pack_kernel, blocks_of(lines), THREADS, slabs, call.params, call.at, counts, call.F, lines));
    TRY(LAUNCH(dev, first_bias_kernel, blocks_of_warps(B * h->H), THREADS, bias, call.params, (const float *)z.data, call.at, B, h->Z));
out:
    return st;
}

void network_end(deco_device *dev, network_call *c)
{
    deco_scratch_give(dev, (void *)c->slabs);
    deco_scratch_give(dev, (void *)c->bias);
}
