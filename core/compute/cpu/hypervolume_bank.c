/* Slices of several latents at one set of rotations: tiles of points outside, latents inside. The first product, W_x pe, is the same
 * for all latents and is made once a tile; a latent is a bias of it. */
#include "compute/cpu/hypervolume_bank.h"
#include "compute/composed.h"
#include "compute/cpu/hypervolume_pass.h"

#include <string.h>

/* The slices are one run of n·P points to the pass: tiles go over the ends of slices, and only the last is short. */
typedef struct bank {
    cpu_pass pass;
    const float *k, *R;
    float *out;
    int64_t slice; /* points of one slice */
} bank;

typedef struct bank_tile {
    float *xyz, *pe, *first, *x, *y, *out;
} bank_tile;

static float *take(unsigned char **at, int64_t floats)
{
    float *p = (float *)*at;
    *at += ((size_t)floats * sizeof(float) + 63) & ~(size_t)63;
    return p;
}

static deco_status tile_begin(bank_tile *t, const cpu_pass *p, int worker)
{
    const cpu_decoder *d = &p->d;
    int64_t T = d->tile, TH = T * d->h.H;
    size_t bytes = (size_t)(4 * T + T * d->features + 3 * TH) * sizeof(float) + (size_t)7 * 64;
    unsigned char *at = cpu_scratch(p->dev, worker, bytes);
    if (!at)
        return deco_fail_memory(bytes, "a tile of the decoder");
    t->xyz = take(&at, 3 * T);
    t->out = take(&at, T);
    t->pe = take(&at, T * d->features);
    t->first = take(&at, TH);
    t->x = take(&at, TH);
    t->y = take(&at, TH);
    return DECO_OK;
}

/* Points begin … end of the run; the tile's rest lies at the origin. */
static void find_points(float *xyz, const bank *b, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        const float *R = b->R + i / b->slice * 9, *k = b->k + i % b->slice * 2;
        for (int a = 0; a < 3; a++)
            *xyz++ = k[0] * R[a] + k[1] * R[3 + a];
    }
    memset(xyz, 0, (size_t)(3 * (begin + b->pass.d.tile - end)) * sizeof *xyz);
}

/* t->out of one latent from t->first. */
static void decode(bank_tile *t, const cpu_pass *p, int64_t latent)
{
    const cpu_decoder *d = &p->d;
    int64_t T = d->tile, H = d->h.H;
    cpu_decoder_layer l = cpu_decoder_layer_at(d, 0);
    cpu_norm n = {p->bias + latent * H, p->params + l.gamma, p->params + l.beta, T, H};
    p->rows->norm(t->x, t->first, NULL, NULL, &n); /* leaves `first` as it is */
    for (int64_t i = 1; i < d->layers; i++) {
        cpu_product inner = cpu_pass_product(T, H, H, t->y, t->x, cpu_pass_layer(p, false, i));
        l = cpu_decoder_layer_at(d, i);
        n = (cpu_norm){p->params + l.bias, p->params + l.gamma, p->params + l.beta, T, H};
        p->products->multiply(&inner);
        p->rows->norm(t->x, t->y, NULL, t->x, &n);
    }
    p->rows->dot(t->out, t->x, p->params + d->out_weight, p->params[d->out_bias], T, H);
}

static deco_status work_on_tile(void *context, int64_t index, int worker)
{
    deco_status st = DECO_OK;
    const bank *b = context;
    const cpu_pass *p = &b->pass;
    int64_t T = p->d.tile, begin = index * T, end = begin + T < p->P ? begin + T : p->P;
    bank_tile t;

    TRY(tile_begin(&t, p, worker));
    find_points(t.xyz, b, begin, end);
    p->rows->encode(t.pe, t.xyz, T, &p->f);
    cpu_product first = cpu_pass_product(T, p->d.h.H, p->d.features, t.first, t.pe, p->forward);
    p->products->multiply(&first);
    for (int64_t latent = 0; latent < p->B; latent++) {
        decode(&t, p, latent);
        memcpy(b->out + latent * p->P + begin, t.out, (size_t)(end - begin) * sizeof *t.out);
    }
out:
    return st;
}

deco_status cpu_hypervolume_bank(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                 deco_array k, deco_array R, deco_array z)
{
    if (!cpu_decoder_serves(h))
        return composed_hypervolume_bank(dev, h, out, params, freqs, k, R, z);
    deco_status st = DECO_OK;
    bank b = {.k = k.data, .R = R.data, .out = out.data, .slice = out.shape[2]};
    TRY(cpu_pass_begin(&b.pass, dev, h, CPU_PASS_FORWARD, out.shape[0], out.shape[1] * b.slice, params, freqs, k, R, z));
    TRY(deco_pool_run(dev->pool, work_on_tile, &b, b.pass.tiles_per_image));
out:
    cpu_pass_end(&b.pass);
    return st;
}
