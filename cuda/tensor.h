/* A warp's share of products on tensor cores: bf16 numbers, float32 sums. The only place with instructions of the machine's own; in emulation
 * the same fragments are laid out and multiplied lane by lane. Cards from compute capability 8.0 on; on older ones kernels that need this are
 * empty, and nobody starts them.
 *
 * Where a lane's numbers lie, g = lane / 4 and q = lane % 4: of a sum of 16 x 8, rows g and g + 8, columns 2q and 2q + 1. */
#ifndef DECO_CUDA_TENSOR_H
#define DECO_CUDA_TENSOR_H

#include "launch.h"

#include <string.h>

enum { FRAGMENT_M = 16, FRAGMENT_N = 8, FRAGMENT_K = 16, LINE = 16 }; /* a line: 8 numbers of bf16, what is copied at once */

#define ONE_TURN 0.15915494309189535f /* 1 / (2 pi) */

/* ---- bf16, two in a word, the first in the lower half -------------------------------------------------------------------------- */

__device__ static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

__device__ static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

__device__ static inline float pair_first(uint32_t pair) { return float_of(pair << 16); }
__device__ static inline float pair_second(uint32_t pair) { return float_of(pair & 0xffff0000U); }

#ifdef CRYODECO_EMULATED
#define HAS_TENSOR 1

/* To the nearest, of two equally near the even one. */
static inline uint32_t bf16_of(float x)
{
    uint32_t bits = bits_of(x);
    return x != x ? 0x7fffU : (bits + 0x7fffU + (bits >> 16 & 1)) >> 16;
}
static inline uint32_t pair_of(float first, float second) { return bf16_of(first) | bf16_of(second) << 16; }

/* sin and cos of x turns, to 1e-6 for x up to some hundreds. */
static inline void sine_and_cosine(float x, float *s, float *c)
{
    x = (x - rintf(x)) * 6.28318548202514648f;
    *s = sinf(x), *c = cosf(x);
}

/* x or 0; a NaN goes on. */
static inline float positive(float x) { return x < 0 ? 0 : x; }
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }

/* 2 to the x, to 2 ulp; 0 where that is no normal number. */
static inline float two_to(float x) { return x < -126 ? 0 : exp2f(x); }

/* 1 / x, to 1 ulp. */
static inline float one_over(float x) { return 1 / x; }

/* Lane `from`'s x. */
template <class T> static inline T warp_from(T x, int from)
{
    unsigned long long bits = 0;
    static_assert(sizeof x <= sizeof bits, "a shuffle moves 4 or 8 bytes");
    __builtin_memcpy(&bits, &x, sizeof x);
    bits = emulated_exchange(bits)->bits[from];
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

/* Four matrices of 8 x 8 in bf16: lane i names row i % 8 of matrix i / 8, and gets of each the pair q of row g. */
static inline void load_matrices(uint32_t r[4], const void *row)
{
    const emulated_warp *warp = emulated_exchange((unsigned long long)(uintptr_t)row);
    for (int m = 0; m < 4; m++) {
        const uint32_t *from = (const uint32_t *)(uintptr_t)warp->bits[8 * m + lane() / 4];
        r[m] = from[lane() % 4];
    }
}

/* The same, turned: gets of each matrix rows 2q and 2q + 1 of column g. */
static inline void load_turned(uint32_t r[4], const void *row)
{
    const emulated_warp *warp = emulated_exchange((unsigned long long)(uintptr_t)row);
    for (int m = 0; m < 4; m++) {
        const uint16_t *upper = (const uint16_t *)(uintptr_t)warp->bits[8 * m + 2 * (lane() % 4)];
        const uint16_t *lower = (const uint16_t *)(uintptr_t)warp->bits[8 * m + 2 * (lane() % 4) + 1];
        r[m] = upper[lane() / 4] | (uint32_t)lower[lane() / 4] << 16;
    }
}

/* sum += a b, tile by tile. */
template <int MT, int NT> static inline void warp_multiply(float (&sum)[MT][NT][4], const uint32_t (&a)[MT][4], const uint32_t (&b)[NT][2])
{
    uint32_t left[MT][4][WARP], right[NT][2][WARP];
    auto show = [](uint32_t x, uint32_t y, uint32_t *all_x, uint32_t *all_y) {
        const emulated_warp *warp = emulated_exchange(x | (unsigned long long)y << 32);
        for (int i = 0; i < WARP; i++)
            all_x[i] = (uint32_t)warp->bits[i], all_y[i] = (uint32_t)(warp->bits[i] >> 32);
    };
    for (int m = 0; m < MT; m++)
        for (int r = 0; r < 4; r += 2)
            show(a[m][r], a[m][r + 1], left[m][r], left[m][r + 1]);
    for (int n = 0; n < NT; n++)
        show(b[n][0], b[n][1], right[n][0], right[n][1]);
    for (int m = 0; m < MT; m++)
        for (int n = 0; n < NT; n++)
            for (int e = 0; e < 4; e++) {
                int row = lane() / 4, column = 2 * (lane() % 4) + e % 2;
                float s = 0;
                for (int k = 0; k < FRAGMENT_K; k++) { /* which lane and register hold A[row, k] and B[k, column] */
                    uint32_t x = left[m][e / 2 + k / 8 * 2][4 * row + k % 8 / 2], y = right[n][k / 8][4 * column + k % 8 / 2];
                    s += (k % 2 ? pair_second(x) : pair_first(x)) * (k % 2 ? pair_second(y) : pair_first(y));
                }
                sum[m][n][e] += s;
            }
}

/* Copies of 16 bytes to shared memory that go on beside the kernel: begun, closed as a group, waited for. Emulated ones arrive at once. */
static inline void copy_line_or_zeros(void *shared, const void *from, bool is)
{
    emulated_aligned(shared, LINE), emulated_aligned(from, LINE);
    if (is)
        memcpy(shared, from, LINE);
    else
        memset(shared, 0, LINE);
}
static inline void copy_line(void *shared, const void *from) { copy_line_or_zeros(shared, from, true); }
static inline void copy_group() {}
template <int LEFT> static inline void copy_wait() {}

#else
#include <cuda_bf16.h>

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define HAS_TENSOR 1
#else
#define HAS_TENSOR 0
#endif

__device__ static inline uint32_t pair_of(float first, float second)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
}

__device__ static inline void sine_and_cosine(float x, float *s, float *c)
{
    x = (x - rintf(x)) * 6.28318548202514648f;
    *s = __sinf(x), *c = __cosf(x);
}

__device__ static inline float positive(float x)
{
#if HAS_TENSOR
    asm("max.NaN.f32 %0, %0, 0f00000000;" : "+f"(x));
#endif
    return x;
}

__device__ static inline float two_to(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ static inline float one_over(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

template <class T> __device__ static inline T warp_from(T x, int from) { return __shfl_sync(0xffffffffU, x, from); }

__device__ static inline unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ static inline void load_matrices(uint32_t r[4], const void *row)
{
#if HAS_TENSOR
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
#endif
}

__device__ static inline void load_turned(uint32_t r[4], const void *row)
{
#if HAS_TENSOR
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
#endif
}

template <int MT, int NT>
__device__ static inline void warp_multiply(float (&sum)[MT][NT][4], const uint32_t (&a)[MT][4], const uint32_t (&b)[NT][2])
{
#if HAS_TENSOR
    UNROLL
    for (int m = 0; m < MT; m++) {
        UNROLL
        for (int n = 0; n < NT; n++)
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                         : "+f"(sum[m][n][0]), "+f"(sum[m][n][1]), "+f"(sum[m][n][2]), "+f"(sum[m][n][3])
                         : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
    }
#endif
}

__device__ static inline void copy_line(void *shared, const void *from)
{
#if HAS_TENSOR
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(from) : "memory");
#endif
}
/* Where it is not, 16 bytes of 0; `from` is an address of the array all the same. */
__device__ static inline void copy_line_or_zeros(void *shared, const void *from, bool is)
{
#if HAS_TENSOR
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(from), "r"(is ? LINE : 0) : "memory");
#endif
}
__device__ static inline void copy_group()
{
#if HAS_TENSOR
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int LEFT> __device__ static inline void copy_wait()
{
#if HAS_TENSOR
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}
#endif

/* ---- sums over the lanes that share a row, and over those that share a column --------------------------------------------------- */

__device__ static inline float row_sum(float x)
{
    for (int mask = 1; mask < 4; mask *= 2)
        x += warp_from(x, lane() ^ mask);
    return x;
}

__device__ static inline float column_sum(float x)
{
    for (int mask = 4; mask < WARP; mask *= 2)
        x += warp_from(x, lane() ^ mask);
    return x;
}

#endif
