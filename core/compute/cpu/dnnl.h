/* Matrix products of any shape on oneDNN 2.x or 3.x, each on the calling thread alone, for what product.h is not made for. dnnl.c is the only file
 * that includes dnnl.h.
 *
 * All matrices are f32 and row-major; `ld` is the distance of two rows. Products are worked on by the workers of deco_pool, whose
 * start function is deco_cpu_worker_start: a thread that has not called it sets its OpenMP team, and its mask of signals, for each. */
#ifndef DECO_COMPUTE_CPU_DNNL_H
#define DECO_COMPUTE_CPU_DNNL_H

#include "base/status.h"

/* c [M,N] = alpha op(a) op(b) + beta c, on the calling thread, whatever it is. transA: a is [K,M]; transB: b is [N,K]. */
deco_status deco_cpu_sgemm(bool transA, bool transB, int64_t M, int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                           const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* One OpenMP thread for the products of this thread; touches no other. Give it to deco_pool_create. */
void deco_cpu_worker_start(void);

/* "oneDNN 2.6.3 (avx512_core)" */
const char *deco_cpu_gemm_library(void);

#endif
