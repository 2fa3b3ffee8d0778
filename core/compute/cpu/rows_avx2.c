/* The row kernels for x86-64 with AVX2 and FMA. */
#ifdef __x86_64__
#include "compute/cpu/product.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"
#include <immintrin.h>

#define VN           8
#define KERNEL       __attribute__((target("avx2,fma"))) static
#define KERNELS      cpu_rows_avx2
#define KERNELS_NAME "avx2"
#define VIT_KERNELS  cpu_vit_rows_avx2
#define PRODUCTS     cpu_products_avx2
#define PRODUCT_ROWS 4
typedef __m256 vec;
typedef int32_t ivec __attribute__((vector_size(32)));

KERNEL inline vec fma_(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
KERNEL inline vec where_positive(vec x, vec a) { return _mm256_and_ps(a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NLE_UQ)); }
KERNEL inline vec larger_(vec a, vec b) { return _mm256_max_ps(b, a); } /* the second when either is a NaN */

KERNEL inline float sum_(vec a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

KERNEL inline float largest_(vec a)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
KERNEL inline vec reciprocal_(vec a) { return 1.f / a; }

KERNEL inline void transpose_(vec t[VN])
{
    vec pair[VN], four[VN];
#pragma GCC unroll 4
    for (int i = 0; i < VN; i += 2) {
        pair[i] = _mm256_unpacklo_ps(t[i], t[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(t[i], t[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < VN; i++) /* of rows 0 to 3 and 4 to 7: columns 0 and 4, 1 and 5, ... */
        four[i] = i % 2 ? _mm256_shuffle_ps(pair[i / 4 * 4 + i % 4 / 2], pair[i / 4 * 4 + i % 4 / 2 + 2], 0xee)
                        : _mm256_shuffle_ps(pair[i / 4 * 4 + i % 4 / 2], pair[i / 4 * 4 + i % 4 / 2 + 2], 0x44);
#pragma GCC unroll 4
    for (int i = 0; i < VN / 2; i++) {
        t[i] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x31);
    }
}

/* clang-format off: the others need the first */
#include "compute/cpu/rows_kernels.h"
#include "compute/cpu/vit_kernels.h"
#include "compute/cpu/product_kernels.h"
/* clang-format on */
#endif
