/* The row kernels for x86-64 with AVX2 and FMA. */
#ifdef __x86_64__
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"
#include <immintrin.h>

#define VN           8
#define KERNEL       __attribute__((target("avx2,fma"))) static
#define KERNELS      cpu_rows_avx2
#define KERNELS_NAME "avx2"
#define VIT_KERNELS  cpu_vit_rows_avx2
typedef __m256 vec;
typedef int32_t ivec __attribute__((vector_size(32)));

KERNEL inline vec fma_(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
KERNEL inline vec where_positive(vec x, vec a) { return _mm256_and_ps(a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NLE_UQ)); }

KERNEL inline float sum_(vec a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* clang-format off: the second needs the first */
#include "compute/cpu/rows_kernels.h"
#include "compute/cpu/vit_kernels.h"
/* clang-format on */
#endif
