/* The row kernels for x86-64 with AVX-512. */
#ifdef __x86_64__
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"
#include <immintrin.h>

#define VN           16
#define KERNEL       __attribute__((target("avx512f,fma"))) static
#define KERNELS      cpu_rows_avx512
#define KERNELS_NAME "avx512"
#define VIT_KERNELS  cpu_vit_rows_avx512
typedef __m512 vec;
typedef int32_t ivec __attribute__((vector_size(64)));

KERNEL inline vec fma_(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

KERNEL inline vec where_positive(vec x, vec a) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLE_UQ), a); }

KERNEL inline float sum_(vec a) { return _mm512_reduce_add_ps(a); }

/* clang-format off: the second needs the first */
#include "compute/cpu/rows_kernels.h"
#include "compute/cpu/vit_kernels.h"
/* clang-format on */
#endif
