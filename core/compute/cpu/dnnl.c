/* oneDNN behind one call. Its 2.x and 3.x name what is used here alike. */
#include "compute/cpu/dnnl.h"

#include "base/threads.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one thread ------------------------------------------------------------------------------------------------ */

/* The OpenMP runtime that oneDNN brought along, if it is built on one. Asked for by name: our own code links none. */
typedef struct openmp {
    int (*get)(void);
    void (*set)(int);
} openmp;

static openmp runtime;
static char library[96];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *isa_name(void)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    /* Our products are f32: of the AVX-512 kinds only the core counts. The values are bit sets. */
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core)
        return "avx512_core";
    if ((isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2)
        return "avx2";
    return (isa & dnnl_cpu_isa_sse41) == dnnl_cpu_isa_sse41 ? "sse41" : "generic";
}

static void find_library(void)
{
    const dnnl_version_t *v = dnnl_version();
    *(void **)&runtime.get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    *(void **)&runtime.set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    snprintf(library, sizeof library, "oneDNN %d.%d.%d (%s)", v->major, v->minor, v->patch, isa_name());
}

const char *deco_cpu_gemm_library(void)
{
    pthread_once(&once, find_library);
    return library;
}

/* Sets this thread's team to one and returns what it was. */
static int team_of_one(void)
{
    pthread_once(&once, find_library);
    int before = runtime.get && runtime.set ? runtime.get() : 1;
    if (before != 1)
        runtime.set(1);
    return before;
}

static void team_back(int before)
{
    if (before != 1)
        runtime.set(before);
}

void deco_cpu_worker_start(void) { team_of_one(); }

/* While it multiplies. oneDNN's f32 kernels (2.x and 3.x) point the stack register into a buffer on the heap unless K is short: the frame of a signal that
 * comes then is written over whatever lies below the buffer, and the heap is damaged, most often unseen. */
static int begin_alone(void)
{
    deco_signals_hold();
    return team_of_one();
}

static void end_alone(int before)
{
    team_back(before);
    deco_signals_let();
}

static deco_status dnnl_failed(dnnl_status_t rc, const char *what)
{
    const char *why = rc == dnnl_out_of_memory       ? "no memory"
                      : rc == dnnl_invalid_arguments ? "arguments refused"
                      : rc == dnnl_unimplemented     ? "not implemented"
                                                     : "run-time error";
    return deco_fail(rc == dnnl_out_of_memory ? DECO_E_MEMORY : DECO_E_DEVICE, "%s: %s: %s (%d)", library, what, why, (int)rc);
}

deco_status deco_cpu_sgemm(bool transA, bool transB, int64_t M, int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                           const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    int before = begin_alone();
    dnnl_status_t rc = dnnl_sgemm(transA ? 'T' : 'N', transB ? 'T' : 'N', M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
    end_alone(before);
    return rc ? dnnl_failed(rc, "sgemm") : DECO_OK;
}
