/* The kernels of block.h for one kind of processor: included by block_<kind>.c, which says which instructions may be used (KERNEL), what the table is called
 * (KERNELS), and how many sums of eight stay in its registers: a tile of rows times columns (TILE_ROWS, TILE_COLUMNS of eights) of a product,
 * and GRAM_ROWS by GRAM_COLUMNS coordinates.
 *
 * Numbers go eight at a time whatever the processor, products and sums are rounded one by one, and eights are added up in one order: so the bits are
 * the same on every kind. */
#include "analysis/block.h"

typedef double eight __attribute__((vector_size(64), aligned(8), may_alias));
#define AT(p)     (*(const eight *)(p))
#define PUT(p, v) (*(eight *)(p) = (v))

KERNEL inline double sum_of(const eight *s)
{
    const double *v = (const double *)s;
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

/* `rows` rows of A times the columns at x (less c, unless NULL), from j = 0 to Z - 1. */
KERNEL inline __attribute__((always_inline)) void tile(eight s[TILE_ROWS][TILE_COLUMNS], const double *A, int64_t stride, int rows,
                                                       const double *x, const double *c, int64_t Z)
{
    for (int i = 0; i < rows; i++)
        for (int q = 0; q < TILE_COLUMNS; q++)
            s[i][q] = (eight){0};
    for (int64_t j = 0; j < Z; j++)
        for (int q = 0; q < TILE_COLUMNS; q++) {
            eight u = AT(x + j * DECO_BLOCK + 8 * q);
            if (c)
                u -= c[j];
            for (int i = 0; i < rows; i++)
                s[i][q] += A[i * stride + j] * u;
        }
}

KERNEL void product(double *y, const double *A, int64_t rows, int64_t Z, const double *x)
{
    eight s[TILE_ROWS][TILE_COLUMNS];

    for (int64_t i = 0; i < rows; i += TILE_ROWS)
        for (int64_t r = 0; r < DECO_BLOCK; r += 8 * TILE_COLUMNS) {
            int n = rows - i < TILE_ROWS ? (int)(rows - i) : TILE_ROWS;
            if (n == TILE_ROWS) /* the compiler unrolls this one */
                tile(s, A + i * Z, Z, TILE_ROWS, x + r, NULL, Z);
            else
                tile(s, A + i * Z, Z, n, x + r, NULL, Z);
            for (int k = 0; k < n; k++)
                for (int q = 0; q < TILE_COLUMNS; q++)
                    PUT(y + (i + k) * DECO_BLOCK + r + 8 * q, s[k][q]);
        }
}

KERNEL void length(double *out, const double *A, const double *c, int64_t Z, const double *x)
{
    eight s[TILE_ROWS][TILE_COLUMNS], sum[TILE_COLUMNS];

    for (int64_t r = 0; r < DECO_BLOCK; r += 8 * TILE_COLUMNS) {
        for (int q = 0; q < TILE_COLUMNS; q++)
            sum[q] = (eight){0};
        for (int64_t i = 0; i < Z; i += TILE_ROWS) { /* right of the diagonal are zeros, so a tile may go to its last row's end */
            int n = Z - i < TILE_ROWS ? (int)(Z - i) : TILE_ROWS;
            if (n == TILE_ROWS)
                tile(s, A + i * Z, Z, TILE_ROWS, x + r, c, i + TILE_ROWS);
            else
                tile(s, A + i * Z, Z, n, x + r, c, Z);
            for (int k = 0; k < n; k++)
                for (int q = 0; q < TILE_COLUMNS; q++)
                    sum[q] += s[k][q] * s[k][q];
        }
        for (int q = 0; q < TILE_COLUMNS; q++)
            PUT(out + r + 8 * q, sum[q]);
    }
}

KERNEL void gram_tile(double *sum, const double *a, const double *b, int64_t i, int64_t j, int64_t n)
{
    eight s[GRAM_ROWS][GRAM_COLUMNS];

    for (int p = 0; p < GRAM_ROWS; p++)
        for (int k = 0; k < GRAM_COLUMNS; k++)
            s[p][k] = (eight){0};
    a += i * DECO_BLOCK;
    b += j * DECO_BLOCK;
    for (int64_t r = 0; r < n; r += 8)
        for (int k = 0; k < GRAM_COLUMNS; k++) {
            eight w = AT(b + k * DECO_BLOCK + r);
            for (int p = 0; p < GRAM_ROWS; p++)
                s[p][k] += AT(a + p * DECO_BLOCK + r) * w;
        }
    for (int64_t p = 0; p < GRAM_ROWS; p++)
        for (int64_t k = 0; k < GRAM_COLUMNS; k++)
            sum[(i + p) * (i + p + 1) / 2 + j + k] += sum_of(&s[p][k]);
}

KERNEL double dot(const double *a, const double *b, int64_t n)
{
    eight s = {0};

    for (int64_t r = 0; r < n; r += 8)
        s += AT(a + r) * AT(b + r);
    return sum_of(&s);
}

KERNEL void gram(double *sum, const double *a, const double *b, int64_t Z, int64_t n)
{
    for (int64_t i = 0; i < Z; i += GRAM_ROWS) {
        int64_t rows = Z - i < GRAM_ROWS ? Z - i : GRAM_ROWS, j = 0;
        for (; rows == GRAM_ROWS && j + GRAM_COLUMNS <= i + 1; j += GRAM_COLUMNS) /* whole tiles left of the diagonal */
            gram_tile(sum, a, b, i, j, n);
        for (int64_t p = i; p < i + rows; p++)
            for (int64_t k = j; k <= p; k++)
                sum[p * (p + 1) / 2 + k] += dot(a + p * DECO_BLOCK, b + k * DECO_BLOCK, n);
    }
}

KERNEL void distance(double *d2, const double *x, const double *c, int64_t Z)
{
    for (int64_t r = 0; r < DECO_BLOCK; r += 8 * TILE_COLUMNS) {
        eight s[TILE_COLUMNS];
        for (int q = 0; q < TILE_COLUMNS; q++)
            s[q] = (eight){0};
        for (int64_t j = 0; j < Z; j++)
            for (int q = 0; q < TILE_COLUMNS; q++) {
                eight u = AT(x + j * DECO_BLOCK + r + 8 * q) - c[j];
                s[q] += u * u;
            }
        for (int q = 0; q < TILE_COLUMNS; q++)
            PUT(d2 + r + 8 * q, s[q]);
    }
}

const deco_block_kernels KERNELS = {product, length, gram, distance};
