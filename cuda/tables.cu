/* Rows of tables taken out and put in, Adam over a vector and over a table, running means. METHOD.md section 5. */
#include "launch.h"

#include "formulas/adam.h"

__global__ void gather_kernel(float *y, const float *table, const int64_t *row, int64_t B, int64_t N, int64_t W, cuda_fault *fault)
{
    int64_t i = grid_thread(), b = i / W;
    if (i < B * W && in_range(fault, CUDA_ROW, b, row[b], N))
        y[i] = table[row[b] * W + i % W];
}

deco_status cuda_rows_gather(deco_device *dev, deco_array y, deco_array table, deco_array row)
{
    int64_t B = row.shape[0], N = table.shape[0], W = table.shape[1];
    return LAUNCH(dev, gather_kernel, blocks_of(B * W), THREADS, (float *)y.data, (const float *)table.data, (const int64_t *)row.data, B,
                  N, W, cuda_fault_of(dev));
}

/* next[i]: the next place in `row` with the same row, -1 where there is none; first[row]: its first place (where `first` is given). */
__global__ void link_rows_kernel(int32_t *next, int32_t *first, const int64_t *row, int64_t B, int64_t N, cuda_fault *fault)
{
    int64_t i = grid_thread();
    if (i >= B)
        return;
    next[i] = -1;
    if (!in_range(fault, CUDA_ROW, i, row[i], N))
        return;
    for (int64_t k = i + 1; k < B; k++)
        if (row[k] == row[i]) {
            next[i] = (int32_t)k;
            break;
        }
    if (!first)
        return;
    int64_t k = 0;
    while (row[k] != row[i])
        k++;
    if (k == i)
        first[row[i]] = (int32_t)i;
}

__global__ void put_kernel(float *table, const float *x, const int64_t *row, const int32_t *next, int64_t B, int64_t N, int64_t W)
{
    int64_t i = grid_thread(), b = i / W;
    if (i < B * W && next[b] < 0 && row[b] >= 0 && row[b] < N) /* of a row that comes twice the last stays */
        table[row[b] * W + i % W] = x[i];
}

deco_status cuda_rows_put(deco_device *dev, deco_array table, deco_array x, deco_array row)
{
    deco_status st = DECO_OK;
    int64_t B = row.shape[0], N = table.shape[0], W = table.shape[1];
    const int64_t *rows = (const int64_t *)row.data;
    int32_t *next = NULL;

    TRY(deco_scratch_take(dev, &next, (size_t)B * sizeof *next, "rows of a table"));
    TRY(LAUNCH(dev, link_rows_kernel, blocks_of(B), THREADS, next, (int32_t *)NULL, rows, B, N, cuda_fault_of(dev)));
    TRY(LAUNCH(dev, put_kernel, blocks_of(B * W), THREADS, (float *)table.data, (const float *)x.data, rows, (const int32_t *)next, B, N,
               W));
out:
    deco_scratch_give(dev, next);
    return st;
}

/* ---- Adam --------------------------------------------------------------------------------------------------------------------- */

__device__ static deco_adam_factors factors_of(const deco_adam_step *h)
{
    return deco_adam_prepare(h->lr, h->beta1, h->beta2, h->eps, h->decay, (double)h->step);
}

/* Powers in double are slow on most cards: once a block. */
__global__ void adam_kernel(float *x, const float *g, float *m, float *v, const deco_adam_step *hyper, int64_t n)
{
    SHARED(deco_adam_factors, f, 1);
    int64_t i = grid_thread();
    if (threadIdx.x == 0)
        f[0] = factors_of(hyper);
    block_meet();
    if (i < n)
        deco_adam_update(x + i, m + i, v + i, g[i], f[0]);
}

deco_status cuda_adam(deco_device *dev, deco_array x, deco_array g, deco_array m, deco_array v, deco_array hyper)
{
    int64_t n = x.shape[0];
    return LAUNCH(dev, adam_kernel, blocks_of(n), THREADS, (float *)x.data, (const float *)g.data, (float *)m.data, (float *)v.data,
                  (const deco_adam_step *)hyper.data, n);
}

__global__ void adam_rows_kernel(float *x, const float *g, float *m, float *v, const int32_t *first, const int32_t *next,
                                 const deco_adam_step *hyper, int64_t n, int64_t W)
{
    SHARED(deco_adam_factors, f, 1);
    int64_t i = grid_thread();
    if (threadIdx.x == 0)
        f[0] = factors_of(hyper);
    block_meet();
    if (i >= n)
        return;
    float sum = 0;
    for (int32_t b = first[i / W]; b >= 0; b = next[b])
        sum += g[b * W + i % W];
    deco_adam_update(x + i, m + i, v + i, sum, f[0]);
}

deco_status cuda_adam_rows(deco_device *dev, deco_array x, deco_array g, deco_array row, deco_array m, deco_array v, deco_array hyper)
{
    deco_status st = DECO_OK;
    int64_t N = x.shape[0], W = x.shape[1], B = row.shape[0];
    int32_t *first = NULL, *next = NULL;

    TRY(cuda_enter(dev));
    TRY(deco_scratch_take(dev, &first, (size_t)N * sizeof *first, "rows of a table"));
    TRY(deco_scratch_take(dev, &next, (size_t)B * sizeof *next, "rows of a table"));
    if (N)
        CUDA(cudaMemsetAsync(first, 0xFF, (size_t)N * sizeof *first, cuda_stream(dev))); /* -1 */
    TRY(LAUNCH(dev, link_rows_kernel, blocks_of(B), THREADS, next, first, (const int64_t *)row.data, B, N, cuda_fault_of(dev)));
    TRY(LAUNCH(dev, adam_rows_kernel, blocks_of(N * W), THREADS, (float *)x.data, (const float *)g.data, (float *)m.data, (float *)v.data,
               (const int32_t *)first, (const int32_t *)next, (const deco_adam_step *)hyper.data, N * W, W));
out:
    deco_scratch_give(dev, first);
    deco_scratch_give(dev, next);
    return st;
}

__global__ void blend_kernel(float *y, const float *x, const float *weight, int64_t n)
{
    int64_t i = grid_thread();
    if (i < n)
        y[i] += *weight * (x[i] - y[i]);
}

deco_status cuda_blend(deco_device *dev, deco_array y, deco_array x, deco_array weight)
{
    int64_t n = y.shape[0];
    return LAUNCH(dev, blend_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, (const float *)weight.data, n);
}
