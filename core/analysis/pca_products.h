/* Products over blocks of latents, for this processor. */
#ifndef DECO_ANALYSIS_PCA_PRODUCTS_H
#define DECO_ANALYSIS_PCA_PRODUCTS_H

#include "analysis/block.h"

enum { DECO_PCA_ROWS = DECO_BLOCK };

/* All arrays have rows of `wide` numbers, a multiple of 16 that is at least Z; what is beyond Z is zero. */
typedef struct deco_pca_products {
    /* out [ROWS,wide] = x [n,Z] less the mean; rows beyond n are zero */
    void (*centre)(float *out, const float *x, const double *mean, int64_t n, int64_t Z, int64_t wide);
    /* sum [wide,wide] = xᵀ x of x [ROWS,wide]: the lower triangle, and some of the rest */
    void (*gram)(float *sum, const float *x, int64_t wide);
    /* y [ROWS,wide] = x [ROWS,wide] w [Z,wide] */
    void (*product)(float *y, const float *x, const float *w, int64_t Z, int64_t wide);
} deco_pca_products;
extern const deco_pca_products pca_products_plain, pca_products_avx2, pca_products_avx512; /* the last two on x86-64 alone */

#endif
