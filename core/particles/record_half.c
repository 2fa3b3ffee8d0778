/* float16 by F16C, or by the plain formulas. */
#include "particles/record_half.h"
#include "formats/mrc_half.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { CHUNK = 256 }; /* values gathered at a time */

static void pack_plain(uint16_t *half, const float *value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        half[i] = deco_half_from_float(value[i]);
}

static void unpack_plain(float *value, const uint16_t *half, int64_t n, float scale)
{
    for (int64_t i = 0; i < n; i++)
        value[i] = scale * deco_float_from_half(half[i]);
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

__attribute__((target("avx,f16c"))) static void pack_f16c(uint16_t *half, const float *value, int64_t n)
{
    int64_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(half + i), _mm256_cvtps_ph(_mm256_loadu_ps(value + i), _MM_FROUND_TO_NEAREST_INT));
    pack_plain(half + i, value + i, n - i);
}

__attribute__((target("avx,f16c"))) static void unpack_f16c(float *value, const uint16_t *half, int64_t n, float scale)
{
    const __m256 s = _mm256_set1_ps(scale);
    int64_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(value + i, _mm256_mul_ps(s, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(half + i)))));
    unpack_plain(value + i, half + i, n - i, scale);
}

/* clang 14 does not know the feature by name; AVX it asks the system for, too. Asked once: under a hypervisor the question is slow. */
static bool has_f16c(void)
{
    static atomic_int known; /* 0: not asked yet, 1: no, 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    unsigned a, b, c, d;

    if (!answer) {
        answer = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && __builtin_cpu_supports("avx") ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}
#else
static void pack_f16c(uint16_t *half, const float *value, int64_t n) { pack_plain(half, value, n); }
static void unpack_f16c(float *value, const uint16_t *half, int64_t n, float scale) { unpack_plain(value, half, n, scale); }
static bool has_f16c(void) { return false; }
#endif

void record_half_pack(unsigned char *to, const float *value, const int32_t *points, int64_t n, double scale)
{
    float some[CHUNK];
    uint16_t half[CHUNK];
    bool fast = has_f16c();

    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        for (int64_t k = 0; k < m; k++) /* in double: 2^140, for the smallest images, is no float */
            some[k] = (float)((double)value[points[i + k]] * scale);
        if (fast)
            pack_f16c(half, some, m);
        else
            pack_plain(half, some, m);
        memcpy(to + 2 * i, half, (size_t)m * sizeof *half);
    }
}

void record_half_unpack(float *out, const unsigned char *from, const int32_t *places, int64_t n, float scale)
{
    uint16_t half[CHUNK];
    bool fast = has_f16c();

    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        if (places)
            for (int64_t k = 0; k < m; k++)
                memcpy(&half[k], from + 2 * (size_t)places[i + k], sizeof *half);
        else
            memcpy(half, from + 2 * i, (size_t)m * sizeof *half);
        if (fast)
            unpack_f16c(out + i, half, m, scale);
        else
            unpack_plain(out + i, half, m, scale);
    }
}
