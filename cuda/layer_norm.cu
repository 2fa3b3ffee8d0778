/* LayerNorm, a warp a row; sums in double. METHOD.md section 3. */
#include "launch.h"

#include "formulas/layer_norm.h"

__global__ void layer_norm_kernel(float *y, float *stats, const float *x, const float *gamma, const float *beta, int64_t M, int64_t C,
                                  double eps)
{
    int64_t i = grid_warp(), row = i < M ? i : M - 1; /* a warp beyond the end works along and writes nothing */
    const float *from = x + row * C;
    double sum = 0, square = 0;
    for (int64_t c = lane(); c < C; c += WARP)
        sum += from[c];
    double mu = warp_sum(sum) / (double)C;
    for (int64_t c = lane(); c < C; c += WARP)
        square += (from[c] - mu) * (from[c] - mu);
    float mean = (float)mu, rstd = (float)(1 / sqrt(warp_sum(square) / (double)C + eps));
    if (i >= M)
        return;
    for (int64_t c = lane(); c < C; c += WARP)
        y[i * C + c] = deco_layer_norm_value(from[c], mean, rstd, gamma[c], beta[c]);
    if (stats && lane() == 0)
        stats[2 * i] = mean, stats[2 * i + 1] = rstd;
}

deco_status cuda_layer_norm(deco_device *dev, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps)
{
    int64_t M = x.shape[0], C = x.shape[1];
    return LAUNCH(dev, layer_norm_kernel, blocks_of_warps(M), THREADS, (float *)y.data, (float *)stats.data, (const float *)x.data,
                  (const float *)gamma.data, (const float *)beta.data, M, C, (double)eps);
}

/* ---- backward -------------------------------------------------------------------------------------------------------------- */

/* part [tiles,2,C]: Σ dy·xhat and Σ dy over a tile's rows. */
__global__ void norm_part_kernel(double *part, const float *dy, const float *x, const float *stats, int64_t M, int64_t C, int64_t tiles)
{
    int64_t i = grid_thread();
    if (i >= tiles * C)
        return;
    int64_t tile = i / C, c = i % C, begin = tile * CUDA_TILE_ROWS, end = begin + CUDA_TILE_ROWS < M ? begin + CUDA_TILE_ROWS : M;
    double dgamma = 0, dbeta = 0;
    for (int64_t m = begin; m < end; m++) {
        float g = dy[m * C + c];
        dgamma += (double)g * ((x[m * C + c] - stats[2 * m]) * stats[2 * m + 1]);
        dbeta += g;
    }
    part[2 * tile * C + c] = dgamma;
    part[(2 * tile + 1) * C + c] = dbeta;
}

__global__ void norm_dx_kernel(float *dx, const float *dy, const float *x, const float *stats, const float *gamma, int64_t M, int64_t C)
{
    int64_t i = grid_warp(), row = i < M ? i : M - 1;
    float mean = stats[2 * row], rstd = stats[2 * row + 1];
    double a = 0, b = 0;
    for (int64_t c = lane(); c < C; c += WARP) {
        float g = dy[row * C + c] * gamma[c];
        a += g;
        b += (double)g * ((x[row * C + c] - mean) * rstd);
    }
    a = warp_sum(a) / (double)C, b = warp_sum(b) / (double)C;
    for (int64_t c = lane(); i < M && c < C; c += WARP)
        dx[i * C + c] = deco_layer_norm_gradient(dy[i * C + c] * gamma[c], (x[i * C + c] - mean) * rstd, rstd, (float)a, (float)b);
}

deco_status cuda_layer_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                     deco_array stats, deco_array gamma)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], C = x.shape[1], tiles = cuda_tiles(M, CUDA_TILE_ROWS);
    const float *g = (const float *)dy.data, *v = (const float *)x.data, *s = (const float *)stats.data;
    double *part = NULL;
    float *sums = NULL; /* [2,C] */

    if (dgamma.data || dbeta.data) {
        TRY(deco_scratch_take(dev, &part, (size_t)(tiles * 2 * C) * sizeof *part, "gradients of a norm"));
        TRY(deco_scratch_take(dev, &sums, (size_t)(2 * C) * sizeof *sums, "gradients of a norm"));
        TRY(LAUNCH(dev, norm_part_kernel, blocks_of(tiles * C), THREADS, part, g, v, s, M, C, tiles)); /* before dx, which may be dy */
        TRY(cuda_add_parts(dev, sums, part, 1, tiles, 2 * C));
    }
    if (dx.data)
        TRY(LAUNCH(dev, norm_dx_kernel, blocks_of_warps(M), THREADS, (float *)dx.data, g, v, s, (const float *)gamma.data, M, C));
    if (dgamma.data)
        CUDA(cudaMemcpyAsync(dgamma.data, sums, (size_t)C * sizeof *sums, cudaMemcpyDeviceToDevice, cuda_stream(dev)));
    if (dbeta.data)
        CUDA(cudaMemcpyAsync(dbeta.data, sums + C, (size_t)C * sizeof *sums, cudaMemcpyDeviceToDevice, cuda_stream(dev)));
out:
    deco_scratch_give(dev, part);
    deco_scratch_give(dev, sums);
    return st;
}
