/* BatchNorm over rows, and GELU: tiles of rows on the pool; sums over rows by tile, then in double. METHOD.md section 4. */
#include "compute/cpu/cpu.h"
#include "compute/cpu/vit_rows.h"

#include <math.h>
#include <string.h>

enum { ROWS = 256 };

typedef struct rows_work {
    const cpu_vit_rows *k;
    float *y, *y2;
    const float *x, *g, *stats, *gamma, *beta, *mean;
    int64_t n;
    float *part; /* [tiles,columns] sums of each tile */
    int64_t columns;
} rows_work;

/* sums [columns] of the tiles' parts, times `per`. */
static void add_parts(double *sums, const rows_work *w, int64_t tiles, double per)
{
    for (int64_t c = 0; c < w->columns; c++) {
        double sum = 0;
        for (int64_t t = 0; t < tiles; t++)
            sum += w->part[t * w->columns + c];
        sums[c] = per * sum;
    }
}

/* ---- statistics ---------------------------------------------------------------------------------------------------- */

static deco_status sum_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows_work *w = context;
    float *to = w->part + tile * w->n;
    memset(to, 0, (size_t)w->n * sizeof *to);
    w->k->column_sums(to, w->x + begin * w->n, w->mean, end - begin, w->n);
    return DECO_OK;
}

deco_status cpu_batch_statistics(deco_device *dev, deco_array stats, deco_array running, deco_array x, float eps, float momentum)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], C = x.shape[1], tiles = cpu_tiles(M, ROWS);
    float *out = stats.data, *run = running.data;
    double *sums = NULL;
    rows_work w = {.k = cpu_vit_rows_best(), .x = x.data, .n = C, .columns = C};

    TRY(deco_scratch_take(dev, &w.part, (size_t)(tiles * C) * sizeof *w.part, "batch statistics"));
    TRY(deco_scratch_take(dev, &sums, (size_t)C * sizeof *sums, "batch statistics"));
    TRY(cpu_for(dev, M, ROWS, sum_tile, &w));
    add_parts(sums, &w, tiles, 1 / (double)M);
    for (int64_t c = 0; c < C; c++) {
        out[c] = (float)sums[c];
        if (run)
            run[c] += momentum * (out[c] - run[c]);
    }
    w.mean = out; /* a second pass over the differences: what is left of a large mean would drown the variance */
    TRY(cpu_for(dev, M, ROWS, sum_tile, &w));
    add_parts(sums, &w, tiles, 1 / (double)M);
    for (int64_t c = 0; c < C; c++) {
        double unbiased = M > 1 ? sums[c] * (double)M / (double)(M - 1) : sums[c];
        out[C + c] = (float)(1 / sqrt(sums[c] + (double)eps));
        if (run)
            run[C + c] += momentum * ((float)unbiased - run[C + c]);
    }
out:
    deco_scratch_give(dev, w.part);
    deco_scratch_give(dev, sums);
    return st;
}

deco_status cpu_running_statistics(deco_device *dev, deco_array stats, deco_array running, float eps)
{
    float *out = stats.data;
    const float *run = running.data;
    int64_t C = running.shape[1];
    for (int64_t c = 0; c < C; c++) {
        out[c] = run[c];
        out[C + c] = (float)(1 / sqrt((double)run[C + c] + (double)eps));
    }
    return DECO_OK;
}

/* ---- the norm ------------------------------------------------------------------------------------------------------ */

static deco_status norm_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows_work *w = context;
    w->k->batch_norm(w->y + begin * w->n, w->x + begin * w->n, w->stats, w->gamma, w->beta, end - begin, w->n);
    return DECO_OK;
}

deco_status cpu_batch_norm(deco_device *dev, deco_array y, deco_array x, deco_array stats, deco_array gamma, deco_array beta)
{
    rows_work w = {.k = cpu_vit_rows_best(), .y = y.data, .x = x.data, .stats = stats.data, .gamma = gamma.data, .beta = beta.data};
    w.n = x.shape[1];
    return cpu_for(dev, x.shape[0], ROWS, norm_tile, &w);
}

static deco_status gradient_sums_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows_work *w = context;
    float *to = w->part + tile * w->columns;
    memset(to, 0, (size_t)w->columns * sizeof *to);
    w->k->batch_norm_sums(to, w->g + begin * w->n, w->x + begin * w->n, w->stats, end - begin, w->n);
    return DECO_OK;
}

static deco_status gradient_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows_work *w = context;
    int64_t at = begin * w->n;
    w->k->batch_norm_gradient(w->y + at, w->g + at, NULL, w->x + at, w->stats, w->gamma, w->mean, end - begin, w->n);
    return DECO_OK;
}

deco_status cpu_batch_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                    deco_array stats, deco_array gamma)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], C = x.shape[1], tiles = cpu_tiles(M, ROWS);
    double *sums = NULL;
    float *mean = NULL;
    rows_work w = {.k = cpu_vit_rows_best(), .y = dx.data, .g = dy.data, .x = x.data, .stats = stats.data, .gamma = gamma.data};

    w.n = C, w.columns = 2 * C;
    TRY(deco_scratch_take(dev, &w.part, (size_t)(tiles * 2 * C) * sizeof *w.part, "gradients of a norm"));
    TRY(deco_scratch_take(dev, &sums, (size_t)(2 * C) * sizeof *sums, "gradients of a norm"));
    TRY(deco_scratch_take(dev, &mean, (size_t)(2 * C) * sizeof *mean, "gradients of a norm"));
    TRY(cpu_for(dev, M, ROWS, gradient_sums_tile, &w));
    add_parts(sums, &w, tiles, 1);
    for (int64_t c = 0; c < 2 * C; c++)
        mean[c] = (float)(sums[c] / (double)M);
    for (int64_t c = 0; c < C; c++) {
        if (dbeta.data)
            ((float *)dbeta.data)[c] = (float)sums[c];
        if (dgamma.data)
            ((float *)dgamma.data)[c] = (float)sums[C + c];
    }
    w.mean = mean;
    if (dx.data)
        TRY(cpu_for(dev, M, ROWS, gradient_tile, &w));
out:
    deco_scratch_give(dev, w.part);
    deco_scratch_give(dev, sums);
    deco_scratch_give(dev, mean);
    return st;
}

/* ---- GELU ---------------------------------------------------------------------------------------------------------- */

enum { ELEMENTS = 16384 };

static deco_status gelu_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows_work *w = context;
    if (w->g)
        w->k->gelu_backward(w->y + begin, NULL, NULL, w->g + begin, w->x + begin, 1, end - begin);
    else
        w->k->gelu(w->y + begin, w->x + begin, end - begin);
    return DECO_OK;
}

deco_status cpu_gelu(deco_device *dev, deco_array y, deco_array x)
{
    rows_work w = {.k = cpu_vit_rows_best(), .y = y.data, .x = x.data};
    return cpu_for(dev, deco_array_count(x), ELEMENTS, gelu_tile, &w);
}

deco_status cpu_gelu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array x)
{
    rows_work w = {.k = cpu_vit_rows_best(), .y = dx.data, .g = dy.data, .x = x.data};
    return cpu_for(dev, deco_array_count(x), ELEMENTS, gelu_tile, &w);
}
