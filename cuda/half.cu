/* GELU, sums and weights' gradients of the encoder's halves in bf16. METHOD.md section 4. */
#include "half.h"

/* ---- bf16 and column sums ----------------------------------------------------------------------------------------------------------------- */

__global__ void half_kernel(bf16 *y, const float *x, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        y[i] = half_number(x[i]);
}

deco_status half_of(deco_device *dev, bf16 *y, const float *x, int64_t n)
{
    return LAUNCH(dev, half_kernel, blocks_of(n), THREADS, y, x, n);
}

/* part [tiles,C]: sums over a tile's rows, in float32 over so few; y, unless NULL, = x in bf16. */
template <class X> __global__ void half_part_kernel(double *part, bf16 *y, const X *x, int64_t M, int64_t C, int64_t tiles)
{
    int64_t i = grid_thread(), c = i % C;
    if (i >= tiles * C)
        return;
    int64_t begin = i / C * SUM_ROWS, end = begin + SUM_ROWS < M ? begin + SUM_ROWS : M;
    float sum = 0;
    UNROLL_4
    for (int64_t m = begin; m < end; m++) {
        float v = number_at(x, m * C + c);
        sum += v;
        if (y)
            y[m * C + c] = half_number(v);
    }
    part[i] = sum;
}

template <class X> static deco_status sums_of(deco_device *dev, bf16 *y, float *sum, const X *x, int64_t M, int64_t C)
{
    deco_status st = DECO_OK;
    int64_t tiles = cuda_tiles(M, SUM_ROWS);
    double *part = NULL;
    TRY(deco_scratch_take(dev, &part, (size_t)(tiles * C) * sizeof *part, "gradients of biases"));
    TRY(LAUNCH(dev, half_part_kernel<X>, blocks_of(tiles * C), THREADS, part, y, x, M, C, tiles));
    TRY(cuda_add_parts(dev, sum, part, 1, tiles, C));
out:
    deco_scratch_give(dev, part);
    return st;
}

deco_status half_with_sums(deco_device *dev, bf16 *y, float *sum, const float *x, int64_t M, int64_t C)
{
    return sums_of(dev, y, sum, x, M, C);
}
deco_status half_sums(deco_device *dev, float *sum, const bf16 *x, int64_t M, int64_t C)
{
    return sums_of(dev, (bf16 *)NULL, sum, x, M, C);
}

/* ---- GELU: four numbers a thread -------------------------------------------------------------------------------------------------------------- */

/* Φ(x), the normal distribution, and its slope: Abramowitz and Stegun 26.2.17, to 8e-8. */
typedef struct normal_at {
    float share, slope;
} normal_at;
__device__ static inline normal_at normal_of(float x)
{
    float t = one_over(1 + 0.2316419f * fabsf(x)), slope = 0.39894228040143268f * two_to(-0.72134752044448170f * x * x);
    float tail = slope * t * (0.319381530f + t * (-0.356563782f + t * (1.781477937f + t * (-1.821255978f + t * 1.330274429f))));
    normal_at n = {x < 0 ? tail : 1 - tail, slope};
    return n;
}
__device__ static inline float gelu_of(float x) { return x * normal_of(x).share; }
__device__ static inline float gelu_slope(float x)
{
    normal_at n = normal_of(x);
    return n.share + x * n.slope;
}

__global__ void half_gelu_kernel(four_halves *y, const four_halves *x, int64_t n)
{
    int64_t i = grid_thread();
    if (i >= n)
        return;
    four_halves in = x[i], out;
    for (int w = 0; w < 2; w++) {
        float a = pair_first(in.w[w]), b = pair_second(in.w[w]);
        out.w[w] = pair_of(gelu_of(a), gelu_of(b));
    }
    y[i] = out;
}

deco_status half_gelu(deco_device *dev, bf16 *y, const bf16 *x, int64_t n)
{
    return LAUNCH(dev, half_gelu_kernel, blocks_of(n / 4), THREADS, (four_halves *)y, (const four_halves *)x, n / 4);
}

__global__ void half_gelu_backward_kernel(four_halves *dy, const four_halves *x, int64_t n)
{
    int64_t i = grid_thread();
    if (i >= n)
        return;
    four_halves in = x[i], d = dy[i];
    for (int w = 0; w < 2; w++)
        d.w[w] = pair_of(pair_first(d.w[w]) * gelu_slope(pair_first(in.w[w])), pair_second(d.w[w]) * gelu_slope(pair_second(in.w[w])));
    dy[i] = d;
}

deco_status half_gelu_backward(deco_device *dev, bf16 *dy, const bf16 *x, int64_t n)
{
    return LAUNCH(dev, half_gelu_backward_kernel, blocks_of(n / 4), THREADS, (four_halves *)dy, (const four_halves *)x, n / 4);
}

/* ---- weights' gradients ------------------------------------------------------------------------------------------------------------------------------ */

enum { RUN = 4096 };

deco_status half_weight_gradient(deco_device *dev, float *dw, const bf16 *dy, const bf16 *x, int64_t M, int64_t O, int64_t I)
{
    return cuda_weight_gradient(dev, dw, dy, x, true, M, O, I, RUN);
}
