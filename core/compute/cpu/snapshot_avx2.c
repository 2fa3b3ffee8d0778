/* The snapshot kernels for x86-64 with AVX2 and FMA. */
#ifdef __x86_64__
#include "compute/snapshot.h"
#include <immintrin.h>

#define VN           8
#define KERNEL       __attribute__((target("avx2,fma"))) static
#define KERNELS      deco_snapshot_avx2
#define KERNELS_NAME "avx2"
typedef __m256 vec;
typedef int32_t ivec __attribute__((vector_size(32)));

KERNEL inline vec fma_(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }

KERNEL inline float sum_(vec a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

#define LANE_SPLAT(a, g)      _mm256_permute_ps((a), 0x55 * (g))
#define INTERLEAVE_LOW(a, b)  _mm256_unpacklo_ps((a), (b))
#define INTERLEAVE_HIGH(a, b) _mm256_unpackhi_ps((a), (b))
#define JOIN_LOW(a, b)        _mm256_shuffle_ps((a), (b), 0x44)
#define JOIN_HIGH(a, b)       _mm256_shuffle_ps((a), (b), 0xEE)

KERNEL inline void quad_pairs_(vec *first, vec *second, const float *p, const uint32_t *at)
{
    vec a = _mm256_loadu_ps(p + at[0]), b = _mm256_loadu_ps(p + at[4]);
    *first = _mm256_permute2f128_ps(a, b, 0x20);
    *second = _mm256_permute2f128_ps(a, b, 0x31);
}

KERNEL inline void keep_greater_(vec *best, ivec *which, vec a, int32_t number)
{
    __m256 greater = _mm256_cmp_ps(a, *best, _CMP_GT_OQ);
    *best = _mm256_max_ps(a, *best); /* the second one when a is no number */
    *which = (ivec)_mm256_blendv_epi8((__m256i)*which, _mm256_set1_epi32(number), _mm256_castps_si256(greater));
}

#include "compute/cpu/snapshot_kernels.h"
#endif
