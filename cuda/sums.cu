/* Sums that were left by tiles, added up in order. */
#include "launch.h"

/* A block adds WARP columns of one group: each of its warps every WARPS-th row, then the warps' sums one after the other. */
template <class X> __global__ void add_parts_kernel(float *out, const X *part, int64_t rows, int64_t columns, int64_t blocks)
{
    SHARED_BYTES(memory);
    double *of_warp = (double *)memory;
    int64_t group = blockIdx.x / blocks, c = blockIdx.x % blocks * WARP + lane();
    const X *from = part + group * rows * columns + (c < columns ? c : columns - 1);
    double sum = 0;
    UNROLL_4
    for (int64_t r = threadIdx.x / WARP; r < rows; r += WARPS)
        sum += from[r * columns];
    of_warp[threadIdx.x] = sum;
    block_meet();
    if (threadIdx.x >= WARP || c >= columns)
        return;
    for (int w = 1; w < WARPS; w++)
        sum += of_warp[w * WARP + (int)threadIdx.x];
    out[group * columns + c] = (float)sum;
}

template <class X> static deco_status add_parts(deco_device *dev, float *out, const X *part, int64_t B, int64_t tiles, int64_t columns)
{
    int64_t blocks = cuda_tiles(columns, WARP);
    return LAUNCH_SHARED(dev, add_parts_kernel<X>, B * blocks, THREADS, THREADS * sizeof(double), out, part, tiles, columns, blocks);
}

deco_status cuda_add_parts(deco_device *dev, float *out, const double *part, int64_t B, int64_t tiles, int64_t columns)
{
    return add_parts(dev, out, part, B, tiles, columns);
}

deco_status cuda_add_float_parts(deco_device *dev, float *out, const float *part, int64_t B, int64_t tiles, int64_t columns)
{
    return add_parts(dev, out, part, B, tiles, columns);
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
    return cudaFuncGetAttributes(&a, (const void *)add_parts_kernel<double>);
}
