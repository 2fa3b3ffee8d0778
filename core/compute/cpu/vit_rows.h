/* Row by row work of the encoder between its matrix products: norms, GELU, softmax, and their gradients. One set of kernels
 * (vit_kernels.h), compiled for AVX-512, AVX2 and any processor like those of rows.h.
 *
 * Matrices are [rows,n], rows close together, of any width. Sums over rows are f32 and added to what is there: callers keep runs of rows
 * short and add the runs in double. */
#ifndef DECO_COMPUTE_CPU_VIT_ROWS_H
#define DECO_COMPUTE_CPU_VIT_ROWS_H

#include "formulas/adam.h"

#include <stdint.h>

typedef struct cpu_vit_rows {
    /* y = LayerNorm(x); stats [rows,2]: mean and 1/σ, or NULL */
    void (*layer_norm)(float *y, float *stats, const float *x, const float *gamma, const float *beta, int64_t rows, int64_t n, float eps);
    /* dx = dy + the norm's gradient of g; dgamma, dbeta [n] += */
    void (*layer_norm_backward)(float *dx, float *dgamma, float *dbeta, const float *g, const float *dy, const float *x, const float *stats,
                                const float *gamma, int64_t rows, int64_t n);
    /* y = (x - mean)·rstd·γ + β, column by column; stats [2,n]. y may be x. */
    void (*batch_norm)(float *y, const float *x, const float *stats, const float *gamma, const float *beta, int64_t rows, int64_t n);
    /* sums [2,n] += Σ g, Σ g·(x - mean)·rstd */
    void (*batch_norm_sums)(float *sums, const float *g, const float *x, const float *stats, int64_t rows, int64_t n);
    /* dx = dy + γ·rstd·(g - mean[0] - xhat·mean[1]); mean [2,n] are those sums over all rows of the batch, divided by their number. dy NULL:
     * 0. dx may be g. */
    void (*batch_norm_gradient)(float *dx, const float *g, const float *dy, const float *x, const float *stats, const float *gamma,
                                const float *mean, int64_t rows, int64_t n);
    /* sums [n] += Σ x; with `mean` [n]: Σ (x - mean)² */
    void (*column_sums)(float *sums, const float *x, const float *mean, int64_t rows, int64_t n);
    /* y [n] = GELU(x), exact to the error function's 1.5e-7. y may be x. */
    void (*gelu)(float *y, const float *x, int64_t n);
    /* dx = dy·GELU'(x); with y: GELU(x) once more; db [n] += Σ dx, or NULL. dx may be dy. */
    void (*gelu_backward)(float *dx, float *y, float *db, const float *dy, const float *x, int64_t rows, int64_t n);
    /* s [rows,n] becomes exp(factor·(s - its row's maximum)); log_sum [rows] the logarithm of Σ exp(factor·s), scale [rows] 1 / the sum of
     * what s became; factor > 0. Rows have room for whole vectors (CPU_PRODUCT_LINE): past n stands anything, before and after. */
    void (*softmax)(float *s, float *log_sum, float *scale, float factor, int64_t stride, int64_t rows, int64_t n);
    /* p: scores become exp(factor·p - log_sum), probabilities; dp becomes p·(dp - delta[row])·factor */
    void (*softmax_backward)(float *p, float *dp, const float *log_sum, const float *delta, float factor, int64_t stride, int64_t rows,
                             int64_t n);
    /* x [rows,n] at `stride` times scale[row] */
    void (*scale_rows)(float *x, const float *scale, int64_t stride, int64_t rows, int64_t n);
    /* out [rows] = Σ a·b, rows at `stride` */
    void (*dots)(float *out, const float *a, const float *b, int64_t stride, int64_t rows, int64_t n);
    /* out [n] = Σ over the runs of part [runs], `stride` apart; in double */
    void (*add_runs)(float *out, const float *part, int64_t runs, int64_t stride, int64_t n);
    /* formulas/adam.h on n elements, to the bit */
    void (*adam)(float *x, float *m, float *v, const float *g, const deco_adam_factors *f, int64_t n);
} cpu_vit_rows;

extern const cpu_vit_rows cpu_vit_rows_plain;
#ifdef __x86_64__
extern const cpu_vit_rows cpu_vit_rows_avx2, cpu_vit_rows_avx512;
#endif

const cpu_vit_rows *cpu_vit_rows_best(void);

#endif
