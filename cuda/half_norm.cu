/* Norms of the encoder's halves: into bf16, and backward from it. METHOD.md section 4. */
#include "half.h"

#include "formulas/layer_norm.h"

/* ---- LayerNorm: a warp a row -------------------------------------------------------------------------------------------------------------------- */

__global__ void half_norm_kernel(bf16 *y, float *stats, const float *x, const float *gamma, const float *beta, int64_t M, int64_t C,
                                 float eps)
{
    int64_t i = grid_warp(), row = i < M ? i : M - 1;
    const float *from = x + row * C;
    float sum = 0, square = 0;
    for (int64_t c = lane(); c < C; c += WARP)
        sum += from[c];
    float mean = warp_sum(sum) / (float)C;
    for (int64_t c = lane(); c < C; c += WARP)
        square += (from[c] - mean) * (from[c] - mean);
    float rstd = 1 / sqrtf(warp_sum(square) / (float)C + eps);
    if (i >= M)
        return;
    for (int64_t c = lane(); c < C; c += WARP)
        y[i * C + c] = half_number(deco_layer_norm_value(from[c], mean, rstd, gamma[c], beta[c]));
    if (lane() == 0)
        stats[2 * i] = mean, stats[2 * i + 1] = rstd;
}

deco_status half_layer_norm(deco_device *dev, bf16 *y, float *stats, const float *x, const float *gamma, const float *beta, int64_t M,
                            int64_t C, double eps)
{
    return LAUNCH(dev, half_norm_kernel, blocks_of_warps(M), THREADS, y, stats, x, gamma, beta, M, C, (float)eps);
}

__global__ void half_norm_dx_kernel(float *dx, const bf16 *dy, const float *x, const float *stats, const float *gamma, const float *plus,
                                    int64_t M, int64_t C)
{
    int64_t i = grid_warp(), row = i < M ? i : M - 1;
    float mean = stats[2 * row], rstd = stats[2 * row + 1], a = 0, b = 0;
    for (int64_t c = lane(); c < C; c += WARP) {
        float g = number_at(dy, row * C + c) * gamma[c];
        a += g;
        b += g * ((x[row * C + c] - mean) * rstd);
    }
    a = warp_sum(a) / (float)C, b = warp_sum(b) / (float)C;
    for (int64_t c = lane(); i < M && c < C; c += WARP)
        dx[i * C + c] =
            plus[i * C + c] + deco_layer_norm_gradient(number_at(dy, i * C + c) * gamma[c], (x[i * C + c] - mean) * rstd, rstd, a, b);
}

/* ---- sums of both norms' backward: part [tiles,2,C], Σ dy and Σ dy·xhat ----------------------------------------------------------------------- */

/* The statistics of row m and column c: a row's pair (LayerNorm), or means and scales by column (BatchNorm). */
struct by_row {
    __device__ static float normal(float x, const float *stats, int64_t m, int64_t, int64_t)
    {
        return (x - stats[2 * m]) * stats[2 * m + 1];
    }
};
struct by_column {
    __device__ static float normal(float x, const float *stats, int64_t, int64_t c, int64_t C) { return (x - stats[c]) * stats[C + c]; }
};

template <class By>
__global__ void half_gradient_part_kernel(double *part, const bf16 *dy, const float *x, const float *stats, int64_t M, int64_t C,
                                          int64_t tiles)
{
    int64_t i = grid_thread(), tile = i / C, c = i % C;
    if (i >= tiles * C)
        return;
    int64_t begin = tile * SUM_ROWS, end = begin + SUM_ROWS < M ? begin + SUM_ROWS : M;
    float dbeta = 0, dgamma = 0;
    UNROLL_4
    for (int64_t m = begin; m < end; m++) {
        float g = number_at(dy, m * C + c);
        dbeta += g;
        dgamma += g * By::normal(x[m * C + c], stats, m, c, C);
    }
    part[2 * tile * C + c] = dbeta;
    part[(2 * tile + 1) * C + c] = dgamma;
}

/* sums [2,C]. */
template <class By>
static deco_status gradient_sums(deco_device *dev, float *sums, const bf16 *dy, const float *x, const float *stats, int64_t M, int64_t C)
{
    deco_status st = DECO_OK;
    int64_t tiles = cuda_tiles(M, SUM_ROWS);
    double *part = NULL;
    TRY(deco_scratch_take(dev, &part, (size_t)(tiles * 2 * C) * sizeof *part, "gradients of a norm"));
    TRY(LAUNCH(dev, half_gradient_part_kernel<By>, blocks_of(tiles * C), THREADS, part, dy, x, stats, M, C, tiles));
    TRY(cuda_add_parts(dev, sums, part, 1, tiles, 2 * C));
out:
    deco_scratch_give(dev, part);
    return st;
}

static deco_status put_sums(deco_device *dev, float *dgamma, float *dbeta, const float *sums, int64_t C)
{
    deco_status st = DECO_OK;
    CUDA(cudaMemcpyAsync(dbeta, sums, (size_t)C * sizeof *sums, cudaMemcpyDeviceToDevice, cuda_stream(dev)));
    CUDA(cudaMemcpyAsync(dgamma, sums + C, (size_t)C * sizeof *sums, cudaMemcpyDeviceToDevice, cuda_stream(dev)));
out:
    return st;
}

deco_status half_layer_norm_backward(deco_device *dev, float *dx, float *dgamma, float *dbeta, const bf16 *dy, const float *x,
                                     const float *stats, const float *gamma, const float *plus, int64_t M, int64_t C)
{
    deco_status st = DECO_OK;
    float *sums = NULL;
    TRY(deco_scratch_take(dev, &sums, (size_t)(2 * C) * sizeof *sums, "gradients of a norm"));
    TRY(gradient_sums<by_row>(dev, sums, dy, x, stats, M, C));
    TRY(put_sums(dev, dgamma, dbeta, sums, C));
    TRY(LAUNCH(dev, half_norm_dx_kernel, blocks_of_warps(M), THREADS, dx, dy, x, stats, gamma, plus, M, C));
out:
    deco_scratch_give(dev, sums);
    return st;
}

/* ---- BatchNorm ------------------------------------------------------------------------------------------------------------------------------------ */

/* Kernels over [M,C], C a multiple of 4: a thread has four columns side by side, of rows a whole grid apart. */
enum { ROWS_A_THREAD = 8 };
typedef struct columns_of_four {
    int64_t c, row, step;
} columns_of_four;
__device__ static inline columns_of_four four_of(int64_t C, int64_t M)
{
    int64_t i = grid_thread(), groups = C / 4, step = (M + ROWS_A_THREAD - 1) / ROWS_A_THREAD;
    columns_of_four at = {i % groups * 4, i / groups, step};
    return at;
}
static int64_t threads_of_four(int64_t M, int64_t C) { return cuda_tiles(M, ROWS_A_THREAD) * (C / 4); }

struct alignas(16) four_floats {
    float x[4];
};

__global__ void half_batch_norm_kernel(bf16 *y, const float *x, const float *stats, const float *gamma, const float *beta, int64_t M,
                                       int64_t C)
{
    columns_of_four at = four_of(C, M);
    if (at.row >= at.step)
        return;
    float scale[4], off[4];
    for (int k = 0; k < 4; k++) {
        scale[k] = stats[C + at.c + k] * gamma[at.c + k];
        off[k] = beta[at.c + k] - stats[at.c + k] * scale[k];
    }
    UNROLL_4
    for (int64_t m = at.row; m < M; m += at.step) {
        four_floats v = *(const four_floats *)(x + m * C + at.c);
        four_halves out = {{pair_of(v.x[0] * scale[0] + off[0], v.x[1] * scale[1] + off[1]),
                            pair_of(v.x[2] * scale[2] + off[2], v.x[3] * scale[3] + off[3])}};
        *(four_halves *)(y + m * C + at.c) = out;
    }
}

deco_status half_batch_norm(deco_device *dev, bf16 *y, const float *x, const float *stats, const float *gamma, const float *beta, int64_t M,
                            int64_t C)
{
    return LAUNCH(dev, half_batch_norm_kernel, blocks_of(threads_of_four(M, C)), THREADS, y, x, stats, gamma, beta, M, C);
}

__global__ void half_batch_dx_kernel(float *dx, const bf16 *dy, const float *x, const float *stats, const float *gamma, const float *sums,
                                     const float *plus, int64_t M, int64_t C)
{
    columns_of_four at = four_of(C, M);
    if (at.row >= at.step)
        return;
    float mean[4], scale[4], front[4], by_mean[4], by_normal[4];
    for (int k = 0; k < 4; k++) {
        int64_t c = at.c + k;
        mean[k] = stats[c], scale[k] = stats[C + c], front[k] = gamma[c] * scale[k];
        by_mean[k] = sums[c] / (float)M, by_normal[k] = sums[C + c] / (float)M;
    }
    UNROLL_4
    for (int64_t m = at.row; m < M; m += at.step) {
        int64_t i = m * C + at.c;
        four_halves d = *(const four_halves *)(dy + i);
        four_floats v = *(const four_floats *)(x + i), p = *(const four_floats *)(plus + i), out;
        for (int k = 0; k < 4; k++) {
            float g = k % 2 ? pair_second(d.w[k / 2]) : pair_first(d.w[k / 2]);
            out.x[k] = p.x[k] + front[k] * (g - by_mean[k] - (v.x[k] - mean[k]) * scale[k] * by_normal[k]);
        }
        *(four_floats *)(dx + i) = out;
    }
}

deco_status half_batch_norm_backward(deco_device *dev, float *dx, float *dgamma, float *dbeta, const bf16 *dy, const float *x,
                                     const float *stats, const float *gamma, const float *plus, int64_t M, int64_t C)
{
    deco_status st = DECO_OK;
    float *sums = NULL;
    TRY(deco_scratch_take(dev, &sums, (size_t)(2 * C) * sizeof *sums, "gradients of a norm"));
    TRY(gradient_sums<by_column>(dev, sums, dy, x, stats, M, C));
    TRY(put_sums(dev, dgamma, dbeta, sums, C));
    TRY(LAUNCH(dev, half_batch_dx_kernel, blocks_of(threads_of_four(M, C)), THREADS, dx, dy, x, stats, gamma, (const float *)sums, plus, M,
               C));
out:
    deco_scratch_give(dev, sums);
    return st;
}
