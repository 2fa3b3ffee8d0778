/* Matrix products on oneDNN, each on the calling thread alone. Serves its 2.x and its 3.x C interface; dnnl.c is the only file that
 * includes dnnl.h.
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

/* c [M,N] = a [M,K] b [K,N], or c += when `accumulate`, with b brought beforehand into the order the library likes best. Making one
 * takes up to half a millisecond: keep it. One may be used by any number of threads at once: all it works on is handed over. */
typedef struct deco_matmul deco_matmul;
deco_status deco_matmul_create(deco_matmul **out, int64_t M, int64_t N, int64_t K, int64_t lda, int64_t ldc, bool accumulate);
void deco_matmul_free(deco_matmul *m); /* takes NULL */

size_t deco_matmul_packed_bytes(const deco_matmul *m);  /* of b */
size_t deco_matmul_scratch_bytes(const deco_matmul *m); /* one such buffer a thread; may be 0 */

/* b as `m` wants it: packed(b), b[k·row + n·column]; so W [O,I] of a layer is b with row 1, column I. `packed` is 64-byte aligned. */
deco_status deco_matmul_pack(const deco_matmul *m, float *packed, const float *b, int64_t row, int64_t column);
/* `scratch` is 64-byte aligned and no other thread's now. */
deco_status deco_matmul_run(const deco_matmul *m, float *c, const float *a, const float *packed, void *scratch);

#endif
