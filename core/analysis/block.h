/* Rows of latents worked on in blocks: turned, so that one coordinate's values lie together, and in double.
 *
 * Sums over all rows are made slab by slab (a slab is a run of whole blocks) and added up in the order of the slabs. How many
 * there are depends on N alone, so the bits do not depend on the number of threads. */
#ifndef DECO_ANALYSIS_BLOCK_H
#define DECO_ANALYSIS_BLOCK_H

#include "base/status.h"
#include "base/threads.h"

enum { DECO_BLOCK = 128 };

static inline int64_t deco_blocks(int64_t N) { return (N + DECO_BLOCK - 1) / DECO_BLOCK; }

static inline int64_t deco_slabs(int64_t N)
{
    int64_t n = (deco_blocks(N) + 7) / 8;
    return n < 32 ? n : 32;
}

/* First row of slab s; that of slab deco_slabs(N) is N. */
static inline int64_t deco_slab_row(int64_t N, int64_t s)
{
    int64_t row = s * deco_blocks(N) / deco_slabs(N) * DECO_BLOCK;
    return row < N ? row : N;
}

static inline int64_t deco_block_rows(int64_t first, int64_t end) { return end - first < DECO_BLOCK ? end - first : DECO_BLOCK; }

/* out [Z,BLOCK] = x[first + r, j] - centre[j] (centre may be NULL); zero behind the last of n rows. */
void deco_block_load(double *out, const float *x, int64_t first, int64_t n, int64_t Z, const double *centre);

/* y [rows,BLOCK] = A [rows,Z] · x [Z,BLOCK]. */
void deco_block_product(double *y, const double *A, int64_t rows, int64_t Z, const double *x);

/* q [BLOCK] = |A (x - c)|² of each row, A [Z,Z] lower triangular, c [Z]. */
void deco_block_length(double *q, const double *A, const double *c, int64_t Z, const double *x);

/* sum [Z(Z+1)/2] += a · bᵀ over the first n of BLOCK rows (n a multiple of 8), a and b [Z,BLOCK]: the lower triangle, row by row. */
void deco_block_gram(double *sum, const double *a, const double *b, int64_t Z, int64_t n);

/* d2 [BLOCK] = Σ_j (x[j] - c[j])². */
void deco_block_distance(double *d2, const double *x, const double *c, int64_t Z);

/* The four above for one kind of processor, to the same bits (block_kernels.h). */
typedef struct deco_block_kernels {
    void (*product)(double *y, const double *A, int64_t rows, int64_t Z, const double *x);
    void (*length)(double *q, const double *A, const double *c, int64_t Z, const double *x);
    void (*gram)(double *sum, const double *a, const double *b, int64_t Z, int64_t n);
    void (*distance)(double *d2, const double *x, const double *c, int64_t Z);
} deco_block_kernels;
extern const deco_block_kernels block_kernels_plain, block_kernels_avx2, block_kernels_avx512; /* the last two on x86-64 alone */

/* Runs `task` on every slab of N rows. Each has `width` sums of its own, zeroed, at sums + slab·width; they are then added
 * up into total [width] in order. */
typedef struct deco_slab {
    int64_t first, end; /* rows */
    double *sums;       /* [width] */
} deco_slab;
deco_status deco_slabs_sum(double *total, int64_t width, int64_t N, deco_status (*task)(void *context, const deco_slab *slab),
                           void *context, deco_pool *pool);

#endif
