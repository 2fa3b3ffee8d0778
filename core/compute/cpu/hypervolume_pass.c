/* What the tiles of one call share: packed weights, frequencies, the first layer's bias of each image. */
#include "compute/cpu/dnnl.h"
#include "compute/cpu/hypervolume_pass.h"

#include <math.h>
#include <string.h>

/* The next `bytes` of a block, on a line of its own. */
static size_t place(size_t *at, size_t bytes)
{
    size_t here = *at;
    *at += (bytes + 63) & ~(size_t)63;
    return here;
}

/* Of weights, K rows of N: whole lines. */
static size_t packed_bytes(const cpu_pass *p, int64_t K, int64_t N)
{
    size_t at = 0;
    place(&at, (size_t)cpu_product_packed(p->products, K, N) * sizeof(float));
    return at;
}

static deco_status allocate(cpu_pass *p)
{
    const cpu_decoder *d = &p->d;
    size_t inner = (size_t)d->layers - 1, at = 0;
    int64_t H = d->h.H;
    p->f.count = d->features / 2;
    p->f.stride = cpu_tiles(p->f.count, CPU_ROWS_WIDTH) * CPU_ROWS_WIDTH;
    p->forward_half = packed_bytes(p, d->features / 2, H);
    p->backward_half = packed_bytes(p, H, d->features / 2);
    p->forward_first = p->mirrored ? 2 * p->forward_half : packed_bytes(p, d->features, H);
    p->backward_first = p->mirrored ? 2 * p->backward_half : packed_bytes(p, H, d->features);
    p->layer_step = packed_bytes(p, H, H);

    size_t bias = place(&at, (size_t)(p->B * H) * sizeof(float));
    size_t frequencies = place(&at, (size_t)(3 * p->f.stride) * sizeof(float));
    size_t forward = place(&at, p->forward_first + inner * p->layer_step);
    size_t backward = place(&at, p->wants & CPU_PASS_BACKWARD ? p->backward_first + inner * p->layer_step : 0);
    deco_status st = deco_scratch_take(p->dev, &p->block, at, "packed weights");
    if (st)
        return st;
    p->bias = (float *)(p->block + bias);
    p->frequencies = (float *)(p->block + frequencies);
    p->forward = p->block + forward;
    p->backward = p->block + backward;
    return DECO_OK;
}

static void scale_frequencies(cpu_pass *p)
{
    float longest = 0;
    memset(p->frequencies, 0, (size_t)(3 * p->f.stride) * sizeof(float));
    for (int64_t j = 0; j < p->f.count; j++) {
        float square = 0;
        for (int a = 0; a < 3; a++) {
            float f = p->freqs[3 * j + a] * p->half_L;
            p->frequencies[a * p->f.stride + j] = f;
            square += f * f;
        }
        longest = fmaxf(longest, sqrtf(square));
    }
    p->f.f = p->frequencies;
    p->f.longest = longest;
}

/* bias [B,H] = b + z W_zᵀ */
static deco_status bias_of_images(const cpu_pass *p)
{
    const cpu_decoder *d = &p->d;
    int64_t H = d->h.H, Z = d->h.Z, in = d->features + Z;
    for (int64_t b = 0; b < p->B; b++)
        memcpy(p->bias + b * H, p->params + cpu_decoder_layer_at(d, 0).bias, (size_t)H * sizeof(float));
    if (!Z || !p->B)
        return DECO_OK;
    return deco_cpu_sgemm(false, true, p->B, H, Z, 1, p->z, Z, p->params + cpu_decoder_layer_at(d, 0).weight + d->features, in, 1, p->bias,
                          H);
}

/* The first layer's weights, all columns or the sines' and the cosines' apart. */
static void pack_first(const cpu_pass *p, bool back)
{
    const cpu_decoder *d = &p->d;
    const float *w = p->params + cpu_decoder_layer_at(d, 0).weight;
    unsigned char *to = back ? p->backward : p->forward;
    int64_t in = d->features + d->h.Z, F = p->mirrored ? d->features / 2 : d->features, H = d->h.H;
    cpu_product_side side = {w, back ? in : 1, back ? 1 : in, back ? H : F, back ? F : H};

    p->products->pack((float *)to, &side, 0, side.N);
    if (!p->mirrored)
        return;
    side.b = w + F;
    p->products->pack((float *)(to + (back ? p->backward_half : p->forward_half)), &side, 0, side.N);
}

/* Tasks: the weights of each layer for going forward, then for going back, then the bias. */
static deco_status prepare(void *context, int64_t task, int worker)
{
    const cpu_pass *p = context;
    const cpu_decoder *d = &p->d;
    if (task == 2 * d->layers)
        return bias_of_images(p);
    bool back = task >= d->layers;
    int64_t layer = back ? task - d->layers : task, H = d->h.H;
    if (back && !(p->wants & (layer ? CPU_PASS_BACKWARD : CPU_PASS_POSE)))
        return DECO_OK;
    if (!layer) {
        pack_first(p, back);
        return DECO_OK;
    }
    cpu_product_side side = {p->params + cpu_decoder_layer_at(d, layer).weight, back ? H : 1, back ? 1 : H, H, H};
    p->products->pack((float *)cpu_pass_layer(p, back, layer), &side, 0, H);
    return DECO_OK;
}

/* Points p and P-1-p are opposite, to the bit; the middle one of an odd number is the origin. */
static bool opposite(const float *x, int64_t P, int axes)
{
    for (int64_t i = 0; i < (P + 1) / 2; i++)
        for (int a = 0; a < axes; a++)
            if (x[axes * i + a] != -x[axes * (P - 1 - i) + a])
                return false;
    return true;
}

/* The gradient of each given point needs both of a pair, not their difference. */
static bool is_mirrored(const cpu_pass *p)
{
    if (!(p->wants & CPU_PASS_MIRRORED) || p->P < 2 || (!p->R && p->wants & CPU_PASS_POSE))
        return false;
    if (p->R)
        return opposite(p->x, p->P, 2);
    for (int64_t b = 0; b < p->B; b++)
        if (!opposite(p->x + 3 * b * p->P, p->P, 3))
            return false;
    return true;
}

deco_status cpu_pass_begin(cpu_pass *p, deco_device *dev, const deco_hypervolume *h, int wants, int64_t B, int64_t P, deco_array params,
                           deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    *p = (cpu_pass){.dev = dev, .rows = cpu_rows_best(), .products = cpu_products_best(), .wants = wants, .B = B, .P = P};
    p->params = params.data, p->freqs = freqs.data, p->x = x.data, p->R = R.data, p->z = z.data;
    int64_t half_L = h->L / 2; /* whole */
    p->half_L = (float)half_L;
    p->mirrored = is_mirrored(p);
    int64_t rows = p->mirrored ? P + P % 2 : P, tile = cpu_decoder_tile(rows);
    p->d = cpu_decoder_of(h, tile);
    p->tiles_per_image = cpu_tiles(rows, tile);
    TRY(allocate(p));
    scale_frequencies(p);
    TRY(deco_pool_run(dev->pool, prepare, p, 2 * p->d.layers + 1));
out:
    return st;
}

void cpu_pass_end(cpu_pass *p) { deco_scratch_give(p->dev, p->block); }
