/* BatchNorm over rows: sums by tiles of rows, in double. METHOD.md section 4. */
#include "launch.h"

__device__ static double column_sum(const double *part, int64_t c, int64_t tiles, int64_t columns)
{
    double sum = 0;
    for (int64_t t = 0; t < tiles; t++)
        sum += part[t * columns + c];
    return sum;
}

__global__ void mean_kernel(float *stats, float *running, const double *part, int64_t M, int64_t C, int64_t tiles, float momentum)
{
    int64_t c = grid_thread();
    if (c >= C)
        return;
    stats[c] = (float)(column_sum(part, c, tiles, C) / (double)M);
    if (running)
        running[c] += momentum * (stats[c] - running[c]);
}

__global__ void variance_kernel(float *stats, float *running, const double *part, int64_t M, int64_t C, int64_t tiles, float momentum,
                                double eps)
{
    int64_t c = grid_thread();
    if (c >= C)
        return;
    double variance = column_sum(part, c, tiles, C) / (double)M;
    stats[C + c] = (float)(1 / sqrt(variance + eps));
    if (running) {
        double unbiased = M > 1 ? variance * (double)M / (double)(M - 1) : variance;
        running[C + c] += momentum * ((float)unbiased - running[C + c]);
    }
}

deco_status cuda_batch_statistics(deco_device *dev, deco_array stats, deco_array running, deco_array x, float eps, float momentum)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], C = x.shape[1], tiles = cuda_tiles(M, CUDA_TILE_ROWS);
    float *out = (float *)stats.data, *run = (float *)running.data;
    const float *v = (const float *)x.data;
    double *part = NULL;

    TRY(deco_scratch_take(dev, &part, (size_t)(tiles * C) * sizeof *part, "batch statistics"));
    TRY(cuda_column_parts(dev, part, v, NULL, M, C));
    TRY(LAUNCH(dev, mean_kernel, blocks_of(C), THREADS, out, run, (const double *)part, M, C, tiles, momentum));
    /* a second pass over the differences: what is left of a large mean would drown the variance */
    TRY(cuda_column_parts(dev, part, v, out, M, C));
    TRY(LAUNCH(dev, variance_kernel, blocks_of(C), THREADS, out, run, (const double *)part, M, C, tiles, momentum, (double)eps));
out:
    deco_scratch_give(dev, part);
    return st;
}

__global__ void running_kernel(float *stats, const float *running, int64_t C, double eps)
{
    int64_t c = grid_thread();
    if (c >= C)
        return;
    stats[c] = running[c];
    stats[C + c] = (float)(1 / sqrt((double)running[C + c] + eps));
}

deco_status cuda_running_statistics(deco_device *dev, deco_array stats, deco_array running, float eps)
{
    int64_t C = running.shape[1];
    return LAUNCH(dev, running_kernel, blocks_of(C), THREADS, (float *)stats.data, (const float *)running.data, C, (double)eps);
}

/* ---- the norm ------------------------------------------------------------------------------------------------------------------ */

__global__ void batch_norm_kernel(float *y, const float *x, const float *stats, const float *gamma, const float *beta, int64_t n, int64_t C)
{
    int64_t i = grid_thread(), c = i % C;
    if (i < n)
        y[i] = (x[i] - stats[c]) * stats[C + c] * gamma[c] + beta[c];
}

deco_status cuda_batch_norm(deco_device *dev, deco_array y, deco_array x, deco_array stats, deco_array gamma, deco_array beta)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, batch_norm_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, (const float *)stats.data,
                  (const float *)gamma.data, (const float *)beta.data, n, x.shape[1]);
}

/* part [tiles,2,C]: Σ dy and Σ dy·xhat over a tile's rows. */
__global__ void gradient_part_kernel(double *part, const float *dy, const float *x, const float *stats, int64_t M, int64_t C, int64_t tiles)
{
    int64_t i = grid_thread(), tile = i / C, c = i % C;
    if (i >= tiles * C)
        return;
    int64_t begin = tile * CUDA_TILE_ROWS, end = begin + CUDA_TILE_ROWS < M ? begin + CUDA_TILE_ROWS : M;
    double dbeta = 0, dgamma = 0;
    for (int64_t m = begin; m < end; m++) {
        dbeta += dy[m * C + c];
        dgamma += (double)dy[m * C + c] * ((x[m * C + c] - stats[c]) * stats[C + c]);
    }
    part[2 * tile * C + c] = dbeta;
    part[(2 * tile + 1) * C + c] = dgamma;
}

/* mean [2,C]: the sums over M. */
__global__ void gradient_sums_kernel(float *mean, float *dgamma, float *dbeta, const double *part, int64_t M, int64_t C, int64_t tiles)
{
    int64_t c = grid_thread();
    if (c >= C)
        return;
    double beta = column_sum(part, c, tiles, 2 * C), gamma = column_sum(part, C + c, tiles, 2 * C);
    mean[c] = (float)(beta / (double)M);
    mean[C + c] = (float)(gamma / (double)M);
    if (dbeta)
        dbeta[c] = (float)beta;
    if (dgamma)
        dgamma[c] = (float)gamma;
}

__global__ void gradient_kernel(float *dx, const float *dy, const float *x, const float *stats, const float *gamma, const float *mean,
                                int64_t n, int64_t C)
{
    int64_t i = grid_thread(), c = i % C;
    if (i < n)
        dx[i] = gamma[c] * stats[C + c] * (dy[i] - mean[c] - (x[i] - stats[c]) * stats[C + c] * mean[C + c]);
}

deco_status cuda_batch_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                     deco_array stats, deco_array gamma)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], C = x.shape[1], tiles = cuda_tiles(M, CUDA_TILE_ROWS);
    const float *g = (const float *)dy.data, *v = (const float *)x.data, *s = (const float *)stats.data;
    double *part = NULL;
    float *mean = NULL;

    TRY(deco_scratch_take(dev, &part, (size_t)(tiles * 2 * C) * sizeof *part, "gradients of a norm"));
    TRY(deco_scratch_take(dev, &mean, (size_t)(2 * C) * sizeof *mean, "gradients of a norm"));
    TRY(LAUNCH(dev, gradient_part_kernel, blocks_of(tiles * C), THREADS, part, g, v, s, M, C, tiles));
    TRY(LAUNCH(dev, gradient_sums_kernel, blocks_of(C), THREADS, mean, (float *)dgamma.data, (float *)dbeta.data, (const double *)part, M,
               C, tiles));
    if (dx.data)
        TRY(LAUNCH(dev, gradient_kernel, blocks_of(M * C), THREADS, (float *)dx.data, g, v, s, (const float *)gamma.data,
                   (const float *)mean, M * C, C));
out:
    deco_scratch_give(dev, part);
    deco_scratch_give(dev, mean);
    return st;
}
