/* Row by row work of the decoder's tiles, between the matrix products: encoding, LayerNorm with bias, residual and ReLU, the last
 * layer, and their gradients. One set of kernels (rows_kernels.h), compiled for AVX-512, AVX2 and any processor; which one runs is
 * chosen once, by what the processor can do.
 *
 * Matrices are [rows,H]; rows is a multiple of CPU_ROWS_AT_ONCE, H of CPU_ROWS_WIDTH. */
#ifndef DECO_COMPUTE_CPU_ROWS_H
#define DECO_COMPUTE_CPU_ROWS_H

#include <stdint.h>

enum { CPU_ROWS_AT_ONCE = 4, CPU_ROWS_WIDTH = 16 };

/* The encoding's frequencies times L // 2, by axis: axis i of frequency j is f[i·stride + j], zero from `count` on.
 * `longest` is the largest |f_j|. */
typedef struct cpu_frequencies {
    const float *f;
    int64_t count, stride;
    float longest;
} cpu_frequencies;

/* One LayerNorm with what stands around it: x = max(LN(y + bias)·gamma + beta [+ residual], 0). */
typedef struct cpu_norm {
    const float *bias, *gamma, *beta; /* [H] */
    int64_t rows, H;
} cpu_norm;

/* Gradient of that; sums over rows are added to what is there. */
typedef struct cpu_norm_backward {
    const float *x, *inverse_sd, *gamma;
    const float *dout, *w; /* [rows], [H]: the gradient of x is dout·w, not g; or NULL */
    float *dw;             /* [H]: += Σ dout·x, with dout */
    float *dgamma, *dbeta, *dbias;
    int64_t rows, H;
} cpu_norm_backward;

typedef struct cpu_rows {
    const char *name;
    /* pe [rows,2·count] = [sin k, cos k] at x [rows,3]. Any number of rows, here and in encode_backward. */
    void (*encode)(float *pe, const float *x, int64_t rows, const cpu_frequencies *f);
    /* dx [rows,3] from dpe */
    void (*encode_backward)(float *dx, const float *dpe, const float *pe, int64_t rows, const cpu_frequencies *f);
    /* With inverse_sd [rows]: keeps it, and y becomes the normalised value. residual NULL: none; x may be residual. */
    void (*norm)(float *x, float *y, float *inverse_sd, const float *residual, const cpu_norm *layer);
    /* y: the normalised value becomes the gradient of the product; g: the gradient of x becomes that of the residual. */
    void (*norm_backward)(float *g, float *y, const cpu_norm_backward *layer);
    /* a = a + b, b = a - b, n of each */
    void (*sum_and_difference)(float *a, float *b, int64_t n);
    /* The last layer: out [rows] = x w + b */
    void (*dot)(float *out, const float *x, const float *w, float b, int64_t rows, int64_t H);
} cpu_rows;

extern const cpu_rows cpu_rows_plain;
#ifdef __x86_64__
extern const cpu_rows cpu_rows_avx2, cpu_rows_avx512;
#endif

const cpu_rows *cpu_rows_best(void);

#endif
