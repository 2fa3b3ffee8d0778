/* Vectors of 16 floats for the kernels that are compiled for AVX-512; the including file gives KERNEL. */
#ifndef DECO_COMPUTE_CPU_LANES_AVX512_H
#define DECO_COMPUTE_CPU_LANES_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define VN 16
typedef __m512 vec;
typedef int32_t ivec __attribute__((vector_size(64)));

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

#endif
