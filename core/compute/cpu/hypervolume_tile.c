/* The decoder on one tile, forward and backward. */
#include "compute/cpu/hypervolume_pass.h"

#include <string.h>

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

static float *take(unsigned char **at, int64_t floats)
{
    float *p = (float *)*at;
    *at += ((size_t)floats * sizeof(float) + 63) & ~(size_t)63;
    return p;
}

deco_status cpu_tile_begin(cpu_tile *t, const cpu_pass *p, int worker)
{
    const cpu_decoder *d = p->d;
    bool backward = p->wants & CPU_PASS_BACKWARD, pose = p->wants & CPU_PASS_POSE;
    int64_t T = d->tile, TH = T * d->h.H, kept = backward ? d->layers : 1;
    int64_t floats = 10 * T + T * d->features * (pose ? 2 : 1) + kept * (2 * TH + T) + (backward ? TH : 0);
    size_t bytes = (size_t)floats * sizeof(float) + d->matmul_scratch + 16 * 64;
    unsigned char *at = cpu_scratch(p->dev, worker, bytes);
    if (!at)
        return deco_fail_memory(bytes, "a tile of the decoder");
    *t = (cpu_tile){.step = backward ? TH : 0, .sd_step = T};
    t->xyz = take(&at, 3 * T);
    t->out = take(&at, T);
    t->dout = take(&at, T);
    t->dxyz = take(&at, 3 * T);
    t->pe = take(&at, T * d->features);
    t->x = take(&at, kept * TH);
    t->y = take(&at, kept * TH);
    if (backward) {
        t->inverse_sd = take(&at, kept * T);
        t->g = take(&at, TH);
    }
    if (pose)
        t->dpe = take(&at, T * d->features);
    t->product = at;
    return DECO_OK;
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

static void find_points(cpu_tile *t, const cpu_pass *p, int64_t index)
{
    int64_t T = p->d->tile;
    t->image = index / p->tiles_per_image;
    t->first = index % p->tiles_per_image * T;
    t->points = p->P - t->first < T ? p->P - t->first : T;
    if (p->R) {
        const float *R = p->R + 9 * t->image, *k = p->x + 2 * t->first;
        for (int64_t i = 0; i < t->points; i++)
            for (int a = 0; a < 3; a++)
                t->xyz[3 * i + a] = k[2 * i] * R[a] + k[2 * i + 1] * R[3 + a];
    } else {
        memcpy(t->xyz, p->x + 3 * (t->image * p->P + t->first), (size_t)(3 * t->points) * sizeof(float));
    }
    memset(t->xyz + 3 * t->points, 0, (size_t)(3 * (T - t->points)) * sizeof(float));
}

static const float *packed(const unsigned char *weights, size_t first, size_t step, int64_t layer)
{
    return (const float *)(weights + (layer ? first + (size_t)(layer - 1) * step : 0));
}

deco_status cpu_tile_forward(cpu_tile *t, const cpu_pass *p, int64_t index)
{
    deco_status st = DECO_OK;
    const cpu_decoder *d = p->d;
    int64_t T = d->tile, H = d->h.H;
    const float *before = NULL;

    find_points(t, p, index);
    p->rows->encode(t->pe, t->xyz, T, &p->f);
    for (int64_t i = 0; i < d->layers; i++) {
        const cpu_decoder_layer *l = &d->layer[i];
        float *x = t->x + i * t->step, *y = t->y + i * t->step;
        cpu_norm n = {i ? p->params + l->bias : p->bias + t->image * H, p->params + l->gamma, p->params + l->beta, T, H};
        TRY(deco_matmul_run(i ? d->inner : d->first, y, i ? before : t->pe, packed(p->forward, p->forward_first, p->forward_step, i),
                            t->product));
        p->rows->norm(x, y, t->inverse_sd ? t->inverse_sd + i * t->sd_step : NULL, before, &n);
        before = x;
    }
    p->rows->dot(t->out, before, p->params + d->out_weight, p->params[d->out_bias], T, H);
out:
    return st;
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

static void clear(float *p, int64_t n) { memset(p, 0, (size_t)n * sizeof *p); }

/* The vectors start at zero; the matrices are written over by the first tile. */
static void clear_vectors(const cpu_decoder *d, const cpu_tile_sums *s)
{
    int64_t H = d->h.H;
    for (int64_t i = 0; i < d->layers; i++)
        clear(s->sums + cpu_sums_place(d, d->layer[i].bias), 3 * H);
    clear(s->sums + cpu_sums_place(d, d->out_weight), H + 1);
}

static cpu_norm_backward norm_of(const cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s, int64_t i)
{
    const cpu_decoder *d = p->d;
    const cpu_decoder_layer *l = &d->layer[i];
    cpu_norm_backward n = {.x = t->x + i * t->step, .inverse_sd = t->inverse_sd + i * t->sd_step, .gamma = p->params + l->gamma};
    n.rows = d->tile, n.H = d->h.H;
    n.dgamma = s->sums + cpu_sums_place(d, l->gamma);
    n.dbeta = s->sums + cpu_sums_place(d, l->beta);
    n.dbias = i ? s->sums + cpu_sums_place(d, l->bias) : s->columns;
    if (i == d->layers - 1) {
        n.dout = t->dout;
        n.w = p->params + d->out_weight;
        n.dw = s->sums + cpu_sums_place(d, d->out_weight);
    }
    return n;
}

/* [H,in] += dyᵀ x */
static deco_status add_weights(const cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s, int64_t i, const float *dy)
{
    const cpu_decoder *d = p->d;
    int64_t H = d->h.H, in = i ? H : d->features;
    const float *x = i ? t->x + (i - 1) * t->step : t->pe;
    float *to = s->sums + (i ? cpu_sums_place(d, d->layer[i].weight) : 0);
    return deco_cpu_sgemm(true, false, H, in, d->tile, 1, dy, H, x, in, s->fresh ? 0 : 1, to, in);
}

deco_status cpu_tile_backward(cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s)
{
    deco_status st = DECO_OK;
    const cpu_decoder *d = p->d;
    int64_t T = d->tile, H = d->h.H;
    float sum = 0;

    if (s->fresh)
        clear_vectors(d, s);
    clear(s->columns, H);
    for (int64_t i = 0; i < t->points; i++)
        sum += t->dout[i];
    s->sums[cpu_sums_place(d, d->out_bias)] += sum;
    for (int64_t i = d->layers - 1; i >= 0; i--) {
        float *dy = t->y + i * t->step;
        cpu_norm_backward n = norm_of(t, p, s, i);
        p->rows->norm_backward(t->g, dy, &n);
        if (s->weights)
            TRY(add_weights(t, p, s, i, dy));
        if (i)
            TRY(deco_matmul_run(d->inner_back, t->g, dy, packed(p->backward, p->backward_first, p->backward_step, i), t->product));
    }
    if (p->wants & CPU_PASS_POSE) {
        TRY(deco_matmul_run(d->first_back, t->dpe, t->y, packed(p->backward, p->backward_first, p->backward_step, 0), t->product));
        p->rows->encode_backward(t->dxyz, t->dpe, t->pe, T, &p->f);
    }
out:
    return st;
}
