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
    t->dxyz = take(&at, 3 * T);
    t->out = take(&at, T);
    t->dout = take(&at, T);
    t->ctf = take(&at, T);
    t->target = take(&at, T);
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

/* Rows that have points and an encoding of their own. */
static int64_t own_rows(const cpu_pass *p) { return p->mirrored ? p->d->tile / 2 : p->d->tile; }

/* Opposite rows of the tile: one fewer than points when the last of these is its own opposite. */
static int64_t opposite_rows(const cpu_tile *t, const cpu_pass *p)
{
    if (!p->mirrored)
        return 0;
    return t->points - (2 * (t->first + t->points) > p->P);
}

void cpu_tile_get(float *rows, const cpu_tile *t, const cpu_pass *p, const float *values)
{
    const float *image = values + t->image * p->P;
    int64_t T = p->d->tile, half = own_rows(p), opposites = opposite_rows(t, p);
    memset(rows, 0, (size_t)T * sizeof *rows);
    memcpy(rows, image + t->first, (size_t)t->points * sizeof *rows);
    for (int64_t i = 0; i < opposites; i++)
        rows[half + i] = image[p->P - 1 - t->first - i];
}

void cpu_tile_put(float *values, const cpu_tile *t, const cpu_pass *p, const float *rows)
{
    float *image = values + t->image * p->P;
    int64_t half = own_rows(p), opposites = opposite_rows(t, p);
    memcpy(image + t->first, rows, (size_t)t->points * sizeof *rows);
    for (int64_t i = 0; i < opposites; i++)
        image[p->P - 1 - t->first - i] = rows[half + i];
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

static void find_points(cpu_tile *t, const cpu_pass *p, int64_t index)
{
    int64_t rows = own_rows(p), all = p->mirrored ? (p->P + 1) / 2 : p->P;
    t->image = index / p->tiles_per_image;
    t->first = index % p->tiles_per_image * rows;
    t->points = all - t->first < rows ? all - t->first : rows;
    if (p->R) {
        const float *R = p->R + 9 * t->image, *k = p->x + 2 * t->first;
        for (int64_t i = 0; i < t->points; i++)
            for (int a = 0; a < 3; a++)
                t->xyz[3 * i + a] = k[2 * i] * R[a] + k[2 * i + 1] * R[3 + a];
    } else {
        memcpy(t->xyz, p->x + 3 * (t->image * p->P + t->first), (size_t)(3 * t->points) * sizeof(float));
    }
    memset(t->xyz + 3 * t->points, 0, (size_t)(3 * (rows - t->points)) * sizeof(float));
}

/* Weights of a layer after the first. */
static const float *packed(const unsigned char *weights, size_t first, size_t step, int64_t layer)
{
    return (const float *)(weights + first + (size_t)(layer - 1) * step);
}

/* y = PE W_xᵀ */
static deco_status first_product(cpu_tile *t, const cpu_pass *p)
{
    deco_status st = DECO_OK;
    const cpu_decoder *d = p->d;
    if (!p->mirrored)
        return deco_matmul_run(d->first, t->y, t->pe, (const float *)p->forward, t->product);
    int64_t half = d->tile / 2 * d->h.H;
    TRY(deco_matmul_run(d->half, t->y, t->pe + d->features / 2, (const float *)(p->forward + p->forward_half), t->product));
    TRY(deco_matmul_run(d->half, t->y + half, t->pe, (const float *)p->forward, t->product));
    p->rows->sum_and_difference(t->y, t->y + half, half);
out:
    return st;
}

deco_status cpu_tile_forward(cpu_tile *t, const cpu_pass *p, int64_t index)
{
    deco_status st = DECO_OK;
    const cpu_decoder *d = p->d;
    int64_t T = d->tile, H = d->h.H;
    const float *before = NULL;

    find_points(t, p, index);
    p->rows->encode(t->pe, t->xyz, own_rows(p), &p->f);
    TRY(first_product(t, p));
    for (int64_t i = 0; i < d->layers; i++) {
        const cpu_decoder_layer *l = &d->layer[i];
        float *x = t->x + i * t->step, *y = t->y + i * t->step;
        cpu_norm n = {i ? p->params + l->bias : p->bias + t->image * H, p->params + l->gamma, p->params + l->beta, T, H};
        if (i)
            TRY(deco_matmul_run(d->inner, y, before, packed(p->forward, p->forward_first, p->forward_step, i), t->product));
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

/* to [H,columns], rows ld apart, += dyᵀ x */
static deco_status add_product(const cpu_tile_sums *s, float *to, int64_t ld, const float *dy, const float *x, int64_t H, int64_t columns,
                               int64_t rows)
{
    if (!s->weights)
        return DECO_OK;
    return deco_cpu_sgemm(true, false, H, columns, rows, 1, dy, H, x, ld, s->fresh ? 0 : 1, to, ld);
}

/* Of the first layer: its weights' gradient and, with the pose, that of the points. */
static deco_status first_backward(cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s)
{
    deco_status st = DECO_OK;
    const cpu_decoder *d = p->d;
    int64_t T = d->tile, H = d->h.H, F = d->features, own = own_rows(p);
    bool pose = p->wants & CPU_PASS_POSE;
    float *dy = t->y, *below = t->y + own * H;

    if (p->mirrored) { /* the cosines' gradient is in both rows of a pair alike, the sines' with opposite sign */
        p->rows->sum_and_difference(dy, below, own * H);
        TRY(add_product(s, s->sums + F / 2, F, dy, t->pe + F / 2, H, F / 2, own));
        TRY(add_product(s, s->sums, F, below, t->pe, H, F / 2, own));
        if (pose) {
            TRY(deco_matmul_run(d->half_back, t->dpe + F / 2, dy, (const float *)(p->backward + p->backward_half), t->product));
            TRY(deco_matmul_run(d->half_back, t->dpe, below, (const float *)p->backward, t->product));
        }
    } else {
        TRY(add_product(s, s->sums, F, dy, t->pe, H, F, T));
        if (pose)
            TRY(deco_matmul_run(d->first_back, t->dpe, dy, (const float *)p->backward, t->product));
    }
    if (pose)
        p->rows->encode_backward(t->dxyz, t->dpe, t->pe, own, &p->f);
out:
    return st;
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
    for (int64_t i = 0; i < T; i++)
        sum += t->dout[i];
    s->sums[cpu_sums_place(d, d->out_bias)] += sum;
    for (int64_t i = d->layers - 1; i >= 0; i--) {
        float *dy = t->y + i * t->step, *to = s->sums + cpu_sums_place(d, d->layer[i].weight);
        cpu_norm_backward n = norm_of(t, p, s, i);
        p->rows->norm_backward(t->g, dy, &n);
        if (i) {
            TRY(add_product(s, to, H, dy, t->x + (i - 1) * t->step, H, H, T));
            TRY(deco_matmul_run(d->inner_back, t->g, dy, packed(p->backward, p->backward_first, p->backward_step, i), t->product));
        }
    }
    TRY(first_backward(t, p, s));
out:
    return st;
}
