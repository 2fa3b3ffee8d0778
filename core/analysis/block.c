/* Blocks of rows turned and back, the kernels for this processor, and the ordered sums over slabs. */
#include "analysis/block.h"

#include "base/processor.h"
#include <stdlib.h>

enum { PATCH = 8 }; /* rows and columns turned at once: whole cache lines on either side */

void deco_block_load(double *out, const float *x, int64_t first, int64_t n, int64_t Z, const double *centre)
{
    x += first * Z;
    for (int64_t r0 = 0; r0 < n; r0 += PATCH)
        for (int64_t j0 = 0; j0 < Z; j0 += PATCH) {
            int64_t rows = n - r0 < PATCH ? n : r0 + PATCH, columns = Z - j0 < PATCH ? Z : j0 + PATCH;
            for (int64_t j = j0; j < columns; j++)
                for (int64_t r = r0; r < rows; r++)
                    out[j * DECO_BLOCK + r] = x[r * Z + j] - (centre ? centre[j] : 0);
        }
    for (int64_t j = 0; j < Z && n < DECO_BLOCK; j++)
        for (int64_t r = n; r < DECO_BLOCK; r++)
            out[j * DECO_BLOCK + r] = 0;
}

static const deco_block_kernels *kernels(void)
{
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX512)
        return &block_kernels_avx512;
    if (deco_processor_kind() >= DECO_AVX2)
        return &block_kernels_avx2;
#endif
    return &block_kernels_plain;
}

void deco_block_product(double *y, const double *A, int64_t rows, int64_t Z, const double *x) { kernels()->product(y, A, rows, Z, x); }

void deco_block_length(double *q, const double *A, const double *c, int64_t Z, const double *x) { kernels()->length(q, A, c, Z, x); }

void deco_block_gram(double *sum, const double *a, const double *b, int64_t Z, int64_t n) { kernels()->gram(sum, a, b, Z, n); }

void deco_block_distance(double *d2, const double *x, const double *c, int64_t Z) { kernels()->distance(d2, x, c, Z); }

typedef struct slab_run {
    int64_t N, width;
    double *sums;
    deco_status (*task)(void *context, const deco_slab *slab);
    void *context;
} slab_run;

static deco_status run_slab(void *context, int64_t index, int worker)
{
    const slab_run *run = context;
    deco_slab slab = {deco_slab_row(run->N, index), deco_slab_row(run->N, index + 1), run->sums + index * run->width};

    return run->task(run->context, &slab);
}

deco_status deco_slabs_sum(double *total, int64_t width, int64_t N, deco_status (*task)(void *context, const deco_slab *slab),
                           void *context, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t slabs = deco_slabs(N);
    slab_run run = {N, width, NULL, task, context};

    TRY(deco_alloc(&run.sums, (size_t)(slabs * width), sizeof *run.sums, "sums over the latents"));
    TRY(deco_pool_run(pool, run_slab, &run, slabs));
    for (int64_t i = 0; i < width; i++) {
        total[i] = 0;
        for (int64_t s = 0; s < slabs; s++)
            total[i] += run.sums[s * width + i];
    }
out:
    free(run.sums);
    return st;
}
