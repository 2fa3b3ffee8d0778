/* The products of the principal components for one kind of processor: included by pca_<kind>.c, which says which instructions may be used (KERNEL) and
 * what the table is called (KERNELS). In float32, sixteen columns at a time; pca.c says why that is enough. */
#include "analysis/pca_products.h"

typedef float sixteen __attribute__((vector_size(64), aligned(4), may_alias));
enum { ROWS_AT_ONCE = 8 };

KERNEL void centre(float *restrict out, const float *restrict x, const double *restrict mean, int64_t n, int64_t Z, int64_t wide)
{
    for (int64_t r = 0; r < n; r++) {
        for (int64_t j = 0; j < Z; j++)
            out[r * wide + j] = (float)(x[r * Z + j] - mean[j]);
        for (int64_t j = Z; j < wide; j++)
            out[r * wide + j] = 0;
    }
    for (int64_t i = n * wide; i < DECO_PCA_ROWS * wide; i++)
        out[i] = 0;
}

/* y [8, 16·columns] = aᵀ b over n steps; step k of row i of a is a[k·step + i·row]. */
KERNEL inline __attribute__((always_inline)) void tile(float *y, int64_t ldy, const float *a, int64_t step, int64_t row, const float *b,
                                                       int64_t ldb, int64_t n, int columns)
{
    sixteen s[ROWS_AT_ONCE][2] = {{{0}}};

    for (int64_t k = 0; k < n; k++)
        for (int q = 0; q < columns; q++) {
            sixteen v = *(const sixteen *)(b + k * ldb + 16 * q);
            for (int i = 0; i < ROWS_AT_ONCE; i++)
                s[i][q] += a[k * step + i * row] * v;
        }
    for (int i = 0; i < ROWS_AT_ONCE; i++)
        for (int q = 0; q < columns; q++)
            *(sixteen *)(y + i * ldy + 16 * q) = s[i][q];
}

KERNEL void gram(float *sum, const float *x, int64_t wide)
{
    for (int64_t i = 0; i < wide; i += ROWS_AT_ONCE)
        for (int64_t j = 0; j < i + ROWS_AT_ONCE; j += 32)
            if (wide - j >= 32)
                tile(sum + i * wide + j, wide, x + i, wide, 1, x + j, wide, DECO_PCA_ROWS, 2);
            else
                tile(sum + i * wide + j, wide, x + i, wide, 1, x + j, wide, DECO_PCA_ROWS, 1);
}

KERNEL void product(float *y, const float *x, const float *w, int64_t Z, int64_t wide)
{
    for (int64_t r = 0; r < DECO_PCA_ROWS; r += ROWS_AT_ONCE)
        for (int64_t j = 0; j < wide; j += 32)
            if (wide - j >= 32)
                tile(y + r * wide + j, wide, x + r * wide, 1, wide, w + j, wide, Z, 2);
            else
                tile(y + r * wide + j, wide, x + r * wide, 1, wide, w + j, wide, Z, 1);
}

const deco_pca_products KERNELS = {centre, gram, product};
