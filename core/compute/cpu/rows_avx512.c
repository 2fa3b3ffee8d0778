/* The row kernels for x86-64 with AVX-512. */
#ifdef __x86_64__
#include "compute/cpu/product.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"

#define KERNEL       __attribute__((target("avx512f,fma"))) static
#define KERNELS      cpu_rows_avx512
#define KERNELS_NAME "avx512"
#define VIT_KERNELS  cpu_vit_rows_avx512
#define PRODUCTS     cpu_products_avx512
#define PRODUCT_ROWS 9
#include "compute/cpu/lanes_avx512.h"

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

/* clang-format off: the others need the first */
#include "compute/cpu/rows_kernels.h"
#include "compute/cpu/vit_kernels.h"
#include "compute/cpu/product_kernels.h"
/* clang-format on */
#endif
