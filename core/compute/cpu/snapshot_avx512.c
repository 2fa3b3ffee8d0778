/* The snapshot kernels for x86-64 with AVX-512. */
#ifdef __x86_64__
#include "compute/snapshot.h"
#include <immintrin.h>

#define VN           16
#define KERNEL       __attribute__((target("avx512f,fma"))) static
#define KERNELS      deco_snapshot_avx512
#define KERNELS_NAME "avx512"
typedef __m512 vec;
typedef int32_t ivec __attribute__((vector_size(64)));

KERNEL inline vec fma_(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
KERNEL inline float sum_(vec a) { return _mm512_reduce_add_ps(a); }

#define LANE_SPLAT(a, g)      _mm512_permute_ps((a), 0x55 * (g))
#define INTERLEAVE_LOW(a, b)  _mm512_unpacklo_ps((a), (b))
#define INTERLEAVE_HIGH(a, b) _mm512_unpackhi_ps((a), (b))
#define JOIN_LOW(a, b)        _mm512_shuffle_ps((a), (b), 0x44)
#define JOIN_HIGH(a, b)       _mm512_shuffle_ps((a), (b), 0xEE)

KERNEL inline vec two_pairs(const float *a, const float *b)
{
    return _mm512_castpd_ps(
        _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd((const double *)a)), _mm256_loadu_pd((const double *)b), 1));
}

KERNEL inline void quad_pairs_(vec *first, vec *second, const float *p, const uint32_t *at)
{
    vec a = two_pairs(p + at[0], p + at[4]), b = two_pairs(p + at[8], p + at[12]);
    *first = _mm512_shuffle_f32x4(a, b, 0x88);
    *second = _mm512_shuffle_f32x4(a, b, 0xDD);
}

KERNEL inline void keep_greater_(vec *best, ivec *which, vec a, int32_t number)
{
    __mmask16 greater = _mm512_cmp_ps_mask(a, *best, _CMP_GT_OQ);
    *best = _mm512_max_ps(a, *best); /* the second one when a is no number */
    *which = (ivec)_mm512_mask_set1_epi32((__m512i)*which, greater, number);
}

#include "compute/cpu/snapshot_kernels.h"
#endif
