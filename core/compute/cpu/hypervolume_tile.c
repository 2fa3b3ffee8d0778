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
    const cpu_decoder *d = &p->d;
    bool backward = p->wants & CPU_PASS_BACKWARD, pose = p->wants & CPU_PASS_POSE;
    int64_t T = d->tile, TH = T * d->h.H, kept = backward ? d->layers : 1;
    int64_t panels = cpu_product_panels(p->products, T, d->h.H);
    int64_t floats = 10 * T + T * d->features * (pose ? 2 : 1) + kept * (2 * TH + T) + (backward ? TH + panels : 0);
    size_t bytes = (size_t)floats * sizeof(float) + 16 * 64;
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
        t->panels = take(&at, panels);
    }
    if (pose)
        t->dpe = take(&at, T * d->features);
    return DECO_OK;
}

/* Rows that have points and an encoding of their own. */
static int64_t own_rows(const cpu_pass *p) { return p->mirrored ? p->d.tile / 2 : p->d.tile; }

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
    int64_t T = p->d.tile, half = own_rows(p), opposites = opposite_rows(t, p);
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

/* y = PE W_xᵀ */
static void first_product(cpu_tile *t, const cpu_pass *p)
{
    const cpu_decoder *d = &p->d;
    int64_t T = d->tile, H = d->h.H, F = d->features, half = T / 2 * H;
    if (!p->mirrored) {
        cpu_product all = cpu_pass_product(T, H, F, t->y, t->pe, p->forward);
        p->products->multiply(&all);
        return;
    }
    cpu_product cosines = cpu_pass_product(T / 2, H, F / 2, t->y, t->pe + F / 2, p->forward + p->forward_half);
    cpu_product sines = cpu_pass_product(T / 2, H, F / 2, t->y + half, t->pe, p->forward);
    cosines.row = sines.row = F;
    p->products->multiply(&cosines);
    p->products->multiply(&sines);
    p->rows->sum_and_difference(t->y, t->y + half, half);
}

void cpu_tile_forward(cpu_tile *t, const cpu_pass *p, int64_t index)
{
    const cpu_decoder *d = &p->d;
    int64_t T = d->tile, H = d->h.H;
    const float *before = NULL;

    find_points(t, p, index);
    p->rows->encode(t->pe, t->xyz, own_rows(p), &p->f);
    first_product(t, p);
    for (int64_t i = 0; i < d->layers; i++) {
        cpu_decoder_layer l = cpu_decoder_layer_at(d, i);
        float *x = t->x + i * t->step, *y = t->y + i * t->step;
        cpu_norm n = {i ? p->params + l.bias : p->bias + t->image * H, p->params + l.gamma, p->params + l.beta, T, H};
        if (i) {
            cpu_product inner = cpu_pass_product(T, H, H, y, before, cpu_pass_layer(p, false, i));
            p->products->multiply(&inner);
        }
        p->rows->norm(x, y, t->inverse_sd ? t->inverse_sd + i * t->sd_step : NULL, before, &n);
        before = x;
    }
    p->rows->dot(t->out, before, p->params + d->out_weight, p->params[d->out_bias], T, H);
}

/* ---- backward --------------------------------------------------------------------------------------------------- */

static void clear(float *p, int64_t n) { memset(p, 0, (size_t)n * sizeof *p); }

/* The vectors start at zero; the matrices are written over by the first tile. */
static void clear_vectors(const cpu_decoder *d, const cpu_tile_sums *s)
{
    int64_t H = d->h.H;
    for (int64_t i = 0; i < d->layers; i++)
        clear(s->sums + cpu_sums_place(d, cpu_decoder_layer_at(d, i).bias), 3 * H);
    clear(s->sums + cpu_sums_place(d, d->out_weight), H + 1);
}

static cpu_norm_backward norm_of(const cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s, int64_t i)
{
    const cpu_decoder *d = &p->d;
    cpu_decoder_layer l = cpu_decoder_layer_at(d, i);
    cpu_norm_backward n = {.x = t->x + i * t->step, .inverse_sd = t->inverse_sd + i * t->sd_step, .gamma = p->params + l.gamma};
    n.rows = d->tile, n.H = d->h.H;
    n.dgamma = s->sums + cpu_sums_place(d, l.gamma);
    n.dbeta = s->sums + cpu_sums_place(d, l.beta);
    n.dbias = i ? s->sums + cpu_sums_place(d, l.bias) : s->columns;
    if (i == d->layers - 1) {
        n.dout = t->dout;
        n.w = p->params + d->out_weight;
        n.dw = s->sums + cpu_sums_place(d, d->out_weight);
    }
    return n;
}

/* to [H,columns], rows ld apart, += dyᵀ x */
static void add_product(const cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s, float *to, int64_t ld, const float *dy,
                        const float *x, int64_t H, int64_t columns, int64_t rows)
{
    if (s->weights)
        cpu_product_weights(p->products, &(cpu_product_gradient){rows, H, columns, ld, to, dy, x, !s->fresh}, t->panels);
}

/* Of the first layer: its weights' gradient and, with the pose, that of the points. */
static void first_backward(cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s)
{
    const cpu_decoder *d = &p->d;
    int64_t T = d->tile, H = d->h.H, F = d->features, own = own_rows(p);
    bool pose = p->wants & CPU_PASS_POSE;
    float *dy = t->y, *below = t->y + own * H;

    if (p->mirrored) { /* the cosines' gradient is in both rows of a pair alike, the sines' with opposite sign */
        p->rows->sum_and_difference(dy, below, own * H);
        add_product(t, p, s, s->sums + F / 2, F, dy, t->pe + F / 2, H, F / 2, own);
        add_product(t, p, s, s->sums, F, below, t->pe, H, F / 2, own);
    } else {
        add_product(t, p, s, s->sums, F, dy, t->pe, H, F, T);
    }
    if (!pose)
        return;
    if (p->mirrored) {
        cpu_product cosines = cpu_pass_product(own, F / 2, H, t->dpe + F / 2, dy, p->backward + p->backward_half);
        cpu_product sines = cpu_pass_product(own, F / 2, H, t->dpe, below, p->backward);
        cosines.ldc = sines.ldc = F;
        p->products->multiply(&cosines);
        p->products->multiply(&sines);
    } else {
        cpu_product all = cpu_pass_product(T, F, H, t->dpe, dy, p->backward);
        p->products->multiply(&all);
    }
    p->rows->encode_backward(t->dxyz, t->dpe, t->pe, own, &p->f);
}

void cpu_tile_backward(cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s)
{
    const cpu_decoder *d = &p->d;
    int64_t T = d->tile, H = d->h.H;
    float sum = 0;

    if (s->fresh)
        clear_vectors(d, s);
    clear(s->columns, H);
    for (int64_t i = 0; i < T; i++)
        sum += t->dout[i];
    s->sums[cpu_sums_place(d, d->out_bias)] += sum;
    for (int64_t i = d->layers - 1; i >= 0; i--) {
        float *dy = t->y + i * t->step, *to = s->sums + cpu_sums_place(d, cpu_decoder_layer_at(d, i).weight);
        cpu_norm_backward n = norm_of(t, p, s, i);
        p->rows->norm_backward(t->g, dy, &n);
        if (i) {
            add_product(t, p, s, to, H, dy, t->x + (i - 1) * t->step, H, H, T);
            cpu_product below = cpu_pass_product(T, H, H, t->g, dy, cpu_pass_layer(p, true, i));
            below.onto = t->g;
            p->products->multiply(&below);
        }
    }
    first_backward(t, p, s);
}
