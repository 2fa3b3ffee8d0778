/* Sums that were left by tiles, added up in order. */
#include "launch.h"

__global__ void add_parts_kernel(float *out, const double *part, int64_t B, int64_t tiles, int64_t columns)
{
    int64_t i = grid_thread();
    if (i >= B * columns)
        return;
    const double *from = part + i / columns * tiles * columns + i % columns;
    double sum = 0;
    for (int64_t t = 0; t < tiles; t++)
        sum += from[t * columns];
    out[i] = (float)sum;
}

deco_status cuda_add_parts(deco_device *dev, float *out, const double *part, int64_t B, int64_t tiles, int64_t columns)
{
    return LAUNCH(dev, add_parts_kernel, blocks_of(B * columns), THREADS, out, part, B, tiles, columns);
}

/* part [tiles,C]: Σ x, or with means Σ (x - mean)². */
__global__ void column_part_kernel(double *part, const float *x, const float *mean, int64_t M, int64_t C, int64_t tiles)
{
    int64_t i = grid_thread(), c = i % C;
    if (i >= tiles * C)
        return;
    int64_t begin = i / C * CUDA_TILE_ROWS, end = begin + CUDA_TILE_ROWS < M ? begin + CUDA_TILE_ROWS : M;
    double sum = 0;
    for (int64_t m = begin; m < end; m++) {
        double d = mean ? (double)x[m * C + c] - mean[c] : x[m * C + c];
        sum += mean ? d * d : d;
    }
    part[i] = sum;
}

deco_status cuda_column_parts(deco_device *dev, double *part, const float *x, const float *mean, int64_t M, int64_t C)
{
    int64_t tiles = cuda_tiles(M, CUDA_TILE_ROWS);
    return LAUNCH(dev, column_part_kernel, blocks_of(tiles * C), THREADS, part, x, mean, M, C, tiles);
}

/* Any kernel of the library: all are built for the same cards. */
extern "C" cudaError_t cuda_has_kernels(void);
extern "C" cudaError_t cuda_has_kernels(void)
{
    struct cudaFuncAttributes a;
    return cudaFuncGetAttributes(&a, (const void *)add_parts_kernel);
}
