/* Element by element: sums, ReLU, products, GELU, the squared error. METHOD.md sections 3 to 5. */
#include "launch.h"

__global__ void add_kernel(float *y, const float *x, const float *r, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        y[i] = x[i] + r[i];
}

deco_status cuda_add(deco_device *dev, deco_array y, deco_array x, deco_array r)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, add_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, (const float *)r.data, n);
}

__global__ void add_relu_kernel(float *y, const float *x, const float *r, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n) {
        float s = r ? x[i] + r[i] : x[i];
        y[i] = s < 0 ? 0 : s; /* this way round, a NaN goes on */
    }
}

deco_status cuda_add_relu(deco_device *dev, deco_array y, deco_array x, deco_array r)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, add_relu_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, (const float *)r.data, n);
}

__global__ void relu_backward_kernel(float *dx, const float *dy, const float *y, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}

deco_status cuda_relu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array y)
{
    int64_t n = deco_array_count(y);
    return LAUNCH(dev, relu_backward_kernel, blocks_of(n), THREADS, (float *)dx.data, (const float *)dy.data, (const float *)y.data, n);
}

__global__ void multiply_kernel(float *y, const float *x, const float *c, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        y[i] = x[i] * c[i];
}

deco_status cuda_multiply(deco_device *dev, deco_array y, deco_array x, deco_array c)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, multiply_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, (const float *)c.data, n);
}

deco_status cuda_clear(deco_device *dev, deco_array x)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)deco_array_count(x) * x.item;
    TRY(cuda_enter(dev));
    if (bytes)
        CUDA(cudaMemsetAsync(x.data, 0, bytes, cuda_stream(dev)));
out:
    return st;
}

/* ---- GELU: x·Φ(x) ------------------------------------------------------------------------------------------------------- */

/* By erfc, which keeps its digits where 1 + erf loses them. */
__device__ static inline float normal_share(float x) { return 0.5f * erfcf(-0.70710678118654752f * x); }

__global__ void gelu_kernel(float *y, const float *x, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        y[i] = x[i] * normal_share(x[i]);
}

deco_status cuda_gelu(deco_device *dev, deco_array y, deco_array x)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, gelu_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, n);
}

__global__ void gelu_backward_kernel(float *dx, const float *dy, const float *x, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        dx[i] = dy[i] * (normal_share(x[i]) + x[i] * 0.39894228040143268f * expf(-0.5f * x[i] * x[i]));
}

deco_status cuda_gelu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array x)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, gelu_backward_kernel, blocks_of(n), THREADS, (float *)dx.data, (const float *)dy.data, (const float *)x.data, n);
}

/* ---- the squared error ----------------------------------------------------------------------------------------------------- */

enum { TILE = 16384 };

__global__ void squared_error_kernel(double *part, float *dpred, const float *pred, const float *target, float scale, int64_t n)
{
    int64_t begin = (int64_t)blockIdx.x * TILE, end = begin + TILE < n ? begin + TILE : n;
    double sum = 0;
    for (int64_t i = begin + threadIdx.x; i < end; i += THREADS) {
        float d = pred[i] - target[i];
        sum += (double)d * d;
        if (dpred)
            dpred[i] = scale * d;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

__global__ void mean_kernel(double *mean, const double *part, int64_t parts, double n)
{
    double sum = 0;
    for (int64_t t = threadIdx.x; t < parts; t += THREADS)
        sum += part[t];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *mean = sum / n;
}

deco_status cuda_squared_error(deco_device *dev, deco_array loss, deco_array dpred, deco_array pred, deco_array target)
{
    deco_status st = DECO_OK;
    int64_t n = deco_array_count(pred), tiles = cuda_tiles(n, TILE);
    float scale = (float)(2.0 / (double)n);
    double *part = NULL;

    TRY(deco_scratch_take(dev, &part, (size_t)tiles * sizeof *part, "sums of squares"));
    TRY(LAUNCH(dev, squared_error_kernel, tiles, THREADS, part, (float *)dpred.data, (const float *)pred.data, (const float *)target.data,
               scale, n));
    TRY(LAUNCH(dev, mean_kernel, 1, THREADS, (double *)loss.data, (const double *)part, tiles, (double)n));
out:
    deco_scratch_give(dev, part);
    return st;
}
