/* LayerNorm, a tile of rows at a time; sums along a row in double. */
#include "compute/cpu/cpu.h"
#include "formulas/layer_norm.h"

#include <math.h>
#include <string.h>

enum { ROWS = 192 };

typedef struct norm {
    float *y, *stats;
    const float *x, *gamma, *beta;
    int64_t C;
    double eps;
} norm;

static void row_statistics(float *mean, float *rstd, const float *x, int64_t C, double eps)
{
    double sum = 0, square = 0;
    for (int64_t c = 0; c < C; c++)
        sum += x[c];
    double mu = sum / (double)C;
    for (int64_t c = 0; c < C; c++)
        square += (x[c] - mu) * (x[c] - mu);
    *mean = (float)mu;
    *rstd = (float)(1 / sqrt(square / (double)C + eps));
}

static deco_status norm_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const norm *n = context;
    for (int64_t i = begin; i < end; i++) {
        const float *x = n->x + i * n->C;
        float *y = n->y + i * n->C, mean, rstd;
        row_statistics(&mean, &rstd, x, n->C, n->eps);
        for (int64_t c = 0; c < n->C; c++)
            y[c] = deco_layer_norm_value(x[c], mean, rstd, n->gamma[c], n->beta[c]);
        if (n->stats)
            n->stats[2 * i] = mean, n->stats[2 * i + 1] = rstd;
    }
    return DECO_OK;
}

deco_status cpu_layer_norm(deco_device *dev, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps)
{
    norm n = {y.data, stats.data, x.data, gamma.data, beta.data, x.shape[1], eps};
    return cpu_for(dev, x.shape[0], ROWS, norm_rows, &n);
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

typedef struct norm_backward {
    float *dx;
    const float *dy, *x, *stats, *gamma;
    int64_t C;
    double *part; /* [tiles, 2, C]: dgamma, dbeta of each tile; NULL when neither is wanted */
} norm_backward;

static void backward_row(float *dx, const float *dy, const float *x, const float *gamma, int64_t C, float mean, float rstd)
{
    double a = 0, b = 0;
    for (int64_t c = 0; c < C; c++) {
        float g = dy[c] * gamma[c];
        a += g;
        b += (double)g * ((x[c] - mean) * rstd);
    }
    a /= (double)C, b /= (double)C;
    for (int64_t c = 0; c < C; c++)
        dx[c] = deco_layer_norm_gradient(dy[c] * gamma[c], (x[c] - mean) * rstd, rstd, (float)a, (float)b);
}

static deco_status backward_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const norm_backward *n = context;
    int64_t C = n->C;
    double *dgamma = n->part ? n->part + tile * 2 * C : NULL;
    if (dgamma)
        memset(dgamma, 0, 2 * (size_t)C * sizeof *dgamma);
    for (int64_t i = begin; i < end; i++) {
        const float *dy = n->dy + i * C, *x = n->x + i * C;
        float mean = n->stats[2 * i], rstd = n->stats[2 * i + 1];
        for (int64_t c = 0; dgamma && c < C; c++) {
            dgamma[c] += (double)dy[c] * ((x[c] - mean) * rstd);
            dgamma[C + c] += dy[c];
        }
        if (n->dx) /* after the sums: dx may be dy */
            backward_row(n->dx + i * C, dy, x, n->gamma, C, mean, rstd);
    }
    return DECO_OK;
}

deco_status cpu_layer_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                    deco_array stats, deco_array gamma)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], C = x.shape[1], tiles = cpu_tiles(M, ROWS);
    norm_backward n = {dx.data, dy.data, x.data, stats.data, gamma.data, C, NULL};
    float *sums = NULL; /* [2, C] */

    if (dgamma.data || dbeta.data) {
        TRY(deco_scratch_take(dev, &n.part, (size_t)(tiles * 2 * C) * sizeof *n.part, "gradients of a norm"));
        TRY(deco_scratch_take(dev, &sums, 2 * (size_t)C * sizeof *sums, "gradients of a norm"));
    }
    TRY(cpu_for(dev, M, ROWS, backward_rows, &n));
    if (!sums)
        goto out;
    cpu_add_tiles(sums, n.part, tiles, 2 * C);
    if (dgamma.data)
        memcpy(dgamma.data, sums, (size_t)C * sizeof *sums);
    if (dbeta.data)
        memcpy(dbeta.data, sums + C, (size_t)C * sizeof *sums);
out:
    deco_scratch_give(dev, n.part);
    deco_scratch_give(dev, sums);
    return st;
}
