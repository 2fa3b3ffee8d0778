/* Points of slices, CTF values, shifts. */
#include "compute/cpu/cpu.h"
#include "formulas/ctf.h"
#include "formulas/shift.h"

enum { POINTS = 2048 };

typedef struct slices {
    float *out;
    const float *k, *x, *R, *t, *dy;
    const deco_ctf_row *ctf;
    int64_t P, tiles; /* tiles of POINTS an image */
    double *part;     /* sums by tile */
} slices;

/* The points of a task: tiles are cut within an image. */
static int64_t points_of(const slices *s, int64_t task, int64_t *first, int64_t *last)
{
    *first = task % s->tiles * POINTS;
    *last = *first + POINTS < s->P ? *first + POINTS : s->P;
    return task / s->tiles;
}

static deco_status run(deco_device *dev, slices *s, int64_t B, int64_t P, cpu_loop *loop)
{
    s->P = P;
    s->tiles = cpu_tiles(P, POINTS);
    return cpu_for(dev, B * s->tiles, 1, loop, s);
}

/* As run, for a loop that leaves `width` sums a tile, which are added for each image: out [B,width]. */
static deco_status run_sums(deco_device *dev, slices *s, int64_t B, int64_t P, cpu_loop *loop, int64_t width)
{
    deco_status st = DECO_OK;
    int64_t tiles = cpu_tiles(P, POINTS);
    TRY(deco_scratch_take(dev, &s->part, (size_t)(B * tiles * width) * sizeof *s->part, "sums of slices"));
    TRY(run(dev, s, B, P, loop));
    for (int64_t b = 0; b < B; b++)
        cpu_add_tiles(s->out + b * width, s->part + b * tiles * width, tiles, width);
out:
    deco_scratch_give(dev, s->part);
    return st;
}

static deco_status slice_points(deco_device *dev, const void *context, int64_t task, int64_t begin, int64_t end, int worker)
{
    const slices *s = context;
    int64_t first, last, b = points_of(s, task, &first, &last);
    const float *R = s->R + 9 * b;
    float *x = s->out + 3 * b * s->P;
    for (int64_t p = first; p < last; p++)
        for (int a = 0; a < 3; a++)
            x[3 * p + a] = s->k[2 * p] * R[a] + s->k[2 * p + 1] * R[3 + a];
    return DECO_OK;
}

deco_status cpu_slice_points(deco_device *dev, deco_array x, deco_array k, deco_array R)
{
    slices s = {.out = x.data, .k = k.data, .R = R.data};
    return run(dev, &s, R.shape[0], k.shape[0], slice_points);
}

static deco_status slice_points_backward(deco_device *dev, const void *context, int64_t task, int64_t begin, int64_t end, int worker)
{
    const slices *s = context;
    int64_t first, last, b = points_of(s, task, &first, &last);
    const float *dx = s->x + 3 * b * s->P;
    double *dR = s->part + 9 * task;
    for (int i = 0; i < 9; i++)
        dR[i] = 0; /* the third row stays: slices have no z */
    for (int64_t p = first; p < last; p++)
        for (int i = 0; i < 6; i++)
            dR[i] += (double)s->k[2 * p + i / 3] * dx[3 * p + i % 3];
    return DECO_OK;
}

deco_status cpu_slice_points_backward(deco_device *dev, deco_array dR, deco_array dx, deco_array k)
{
    slices s = {.out = dR.data, .x = dx.data, .k = k.data};
    return run_sums(dev, &s, dx.shape[0], k.shape[0], slice_points_backward, 9);
}

static deco_status ctf_values(deco_device *dev, const void *context, int64_t task, int64_t begin, int64_t end, int worker)
{
    const slices *s = context;
    int64_t first, last, b = points_of(s, task, &first, &last);
    deco_ctf_phase phase = deco_ctf_prepare(s->ctf[b]);
    for (int64_t p = first; p < last; p++)
        s->out[b * s->P + p] = deco_ctf_at(phase, s->k[2 * p], s->k[2 * p + 1]);
    return DECO_OK;
}

deco_status cpu_ctf_values(deco_device *dev, deco_array out, deco_array ctf, deco_array k)
{
    slices s = {.out = out.data, .ctf = ctf.data, .k = k.data};
    return run(dev, &s, ctf.shape[0], k.shape[0], ctf_values);
}

/* The value opposite to point p is that of point P - 1 - p: the mask is symmetric and in rising order. */
static deco_status shift(deco_device *dev, const void *context, int64_t task, int64_t begin, int64_t end, int worker)
{
    const slices *s = context;
    int64_t first, last, b = points_of(s, task, &first, &last);
    const float *x = s->x + b * s->P, *t = s->t + 2 * b;
    for (int64_t p = first; p < last; p++)
        s->out[b * s->P + p] = deco_shift_value(deco_shift_phase(s->k + 2 * p, t), x[p], x[s->P - 1 - p]);
    return DECO_OK;
}

deco_status cpu_shift(deco_device *dev, deco_array y, deco_array x, deco_array t, deco_array k)
{
    slices s = {.out = y.data, .x = x.data, .t = t.data, .k = k.data};
    return run(dev, &s, x.shape[0], x.shape[1], shift);
}

static deco_status shift_backward(deco_device *dev, const void *context, int64_t task, int64_t begin, int64_t end, int worker)
{
    const slices *s = context;
    int64_t first, last, b = points_of(s, task, &first, &last);
    const float *x = s->x + b * s->P, *dy = s->dy + b * s->P, *t = s->t + 2 * b;
    double sum[2] = {0};
    for (int64_t p = first; p < last; p++) {
        const float *k = s->k + 2 * p;
        double slope = (double)dy[p] * deco_shift_slope(deco_shift_phase(k, t), x[p], x[s->P - 1 - p]);
        sum[0] += slope * k[0], sum[1] += slope * k[1];
    }
    s->part[2 * task] = DECO_TWO_PI * sum[0];
    s->part[2 * task + 1] = DECO_TWO_PI * sum[1];
    return DECO_OK;
}

deco_status cpu_shift_backward(deco_device *dev, deco_array dt, deco_array dy, deco_array x, deco_array t, deco_array k)
{
    slices s = {.out = dt.data, .dy = dy.data, .x = x.data, .t = t.data, .k = k.data};
    return run_sums(dev, &s, x.shape[0], x.shape[1], shift_backward, 2);
}
