/* The row kernels for x86-64 with AVX-512. */
#ifdef __x86_64__
#include "compute/cpu/product.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"
#include <immintrin.h>

#define VN           16
#define KERNEL       __attribute__((target("avx512f,fma"))) static
#define KERNELS      cpu_rows_avx512
#define KERNELS_NAME "avx512"
#define VIT_KERNELS  cpu_vit_rows_avx512
#define PRODUCTS     cpu_products_avx512
#define PRODUCT_ROWS 9
typedef __m512 vec;
typedef int32_t ivec __attribute__((vector_size(64)));

KERNEL inline vec fma_(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

KERNEL inline vec where_positive(vec x, vec a) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLE_UQ), a); }

KERNEL inline vec larger_(vec a, vec b) { return _mm512_max_ps(b, a); } /* the second when either is a NaN */
KERNEL inline float sum_(vec a) { return _mm512_reduce_add_ps(a); }
KERNEL inline float largest_(vec a) { return _mm512_reduce_max_ps(a); }

KERNEL inline vec reciprocal_(vec a)
{
    vec r = _mm512_rcp14_ps(a); /* and one step of Newton's, a third of what a division takes */
    return fma_(r, fma_(-a, r, (vec){0} + 1.f), r);
}

/* Exchanges the lanes and the rows that differ in one bit of their number, bit by bit. */
KERNEL inline void transpose_(vec t[VN])
{
    const ivec lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#pragma GCC unroll 4
    for (int bit = 1; bit < VN; bit *= 2) {
        ivec low = lane + (((lane & bit) != 0) & (VN - bit)), high = low + bit;
#pragma GCC unroll 16
        for (int i = 0; i < VN; i++) {
            vec a = t[i], b = t[i | bit];
            t[i] = i & bit ? a : _mm512_permutex2var_ps(a, (__m512i)low, b);
            t[i | bit] = i & bit ? b : _mm512_permutex2var_ps(a, (__m512i)high, b);
        }
    }
}

/* clang-format off: the others need the first */
#include "compute/cpu/rows_kernels.h"
#include "compute/cpu/vit_kernels.h"
#include "compute/cpu/product_kernels.h"
/* clang-format on */
#endif
