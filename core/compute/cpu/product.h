/* Matrix products of the decoder and the encoder, on the calling thread: b is packed beforehand, a is read as it lies, row by row or column by
 * column.
 *
 * Our own, since an image's 257 tokens fit no tile of oneDNN's: RESULTS.md. Kernels for AVX-512, AVX2 and any processor (product_kernels.h)
 * like those of rows.h, and for AMX (product_amx.c). A number is the sum over k in rising order, whatever M and N are. */
#ifndef DECO_COMPUTE_CPU_PRODUCT_H
#define DECO_COMPUTE_CPU_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

/* c [M,N] = a b (+ bias) (+ onto), M, N, K >= 1. */
typedef struct cpu_product {
    int64_t M, N, K;
    float *c;
    const float *onto; /* [M,N], rows as far apart as those of c, which it may be; NULL: nothing */
    int64_t ldc;
    const float *a; /* a[m·row + k·step] */
    int64_t row, step;
    const float *b;    /* packed */
    const float *bias; /* [N]; NULL: none */
} cpu_product;

/* b [K,N] to pack: b[k·row + n·column], one of which is 1. So W [O,I] of a layer, y = x Wᵀ, is b with row 1, column I. */
typedef struct cpu_product_side {
    const float *b;
    int64_t row, column, K, N;
} cpu_product_side;

typedef struct cpu_products {
    const char *name;
    int64_t columns; /* of a panel; panels are packed and multiplied by themselves */
    int64_t rows;    /* of a part: K is gone through in parts (cpu_product_part) of at most so many */
    int64_t depth;   /* a part is filled up with zeros to a multiple of these rows, which divides CPU_PRODUCT_STEP */
    int64_t halves;  /* of 32 bits that a number of b takes when packed */
    /* Whether a column of `a` is read as fast as a row. If not, a panel of at most `rows` rows of b is [K,columns] when packed, the last
     * narrower: it can be the a of a product, too. */
    bool turns_a;
    /* Columns [first, last) of b to their place in `packed`, which is 64-byte aligned; `first` is a panel's. */
    void (*pack)(float *packed, const cpu_product_side *b, int64_t first, int64_t last);
    void (*multiply)(const cpu_product *p);
} cpu_products;

/* Floats of b when packed. Columns past N are zeros: a product may write them. */
enum { CPU_PRODUCT_LINE = 16, CPU_PRODUCT_STEP = 32 };
static inline int64_t cpu_product_line(int64_t n) { return (n + CPU_PRODUCT_LINE - 1) / CPU_PRODUCT_LINE * CPU_PRODUCT_LINE; }
static inline int64_t cpu_product_packed(const cpu_products *k, int64_t K, int64_t N)
{
    return (K + k->depth - 1) / k->depth * k->depth * cpu_product_line(N) * k->halves / 2;
}

/* Rows of the parts that K is gone through in, the last of which may be shorter; packed, the part from row i on begins at
 * cpu_product_packed(k, i, N) floats. Whole steps, and parts that differ by no more. */
static inline int64_t cpu_product_part(const cpu_products *k, int64_t K)
{
    int64_t parts = (K + k->rows - 1) / k->rows, rows = parts ? (K + parts - 1) / parts : 1;
    return (rows + CPU_PRODUCT_STEP - 1) / CPU_PRODUCT_STEP * CPU_PRODUCT_STEP;
}

extern const cpu_products cpu_products_plain;
#ifdef __x86_64__
extern const cpu_products cpu_products_avx2, cpu_products_avx512, cpu_products_amx;
#endif

const cpu_products *cpu_products_best(void);

#endif
