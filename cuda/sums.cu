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

/* Any kernel of the library: all are built for the same cards. */
extern "C" cudaError_t cuda_has_kernels(void);
extern "C" cudaError_t cuda_has_kernels(void)
{
    struct cudaFuncAttributes a;
    return cudaFuncGetAttributes(&a, (const void *)add_parts_kernel);
}
