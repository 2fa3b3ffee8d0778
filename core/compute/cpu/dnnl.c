/* oneDNN behind two calls: a plain product, and one with its second matrix packed beforehand. */
#include "compute/cpu/dnnl.h"

#include "base/threads.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the two C interfaces -------------------------------------------------------------------------------------- */

/* 2.x describes memory by a struct, 3.x by a handle that is destroyed; 2.x makes a primitive in two steps, 3.x in one. */
#if DNNL_VERSION_MAJOR >= 3
#define AS(desc) (desc)
typedef const_dnnl_memory_desc_t borrowed_desc;
static void desc_free(dnnl_memory_desc_t d) { dnnl_memory_desc_destroy(d); }
#define desc_strided dnnl_memory_desc_create_with_strides
#define desc_tagged  dnnl_memory_desc_create_with_tag

static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *out, dnnl_engine_t engine, borrowed_desc a, borrowed_desc b, borrowed_desc c,
                                 dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(out, engine, a, b, NULL, c, attr);
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_f32); }
#else
#define AS(desc)     (&(desc))
typedef const dnnl_memory_desc_t *borrowed_desc;
static void desc_free(dnnl_memory_desc_t d) { (void)d; }
#define desc_strided dnnl_memory_desc_init_by_strides
#define desc_tagged  dnnl_memory_desc_init_by_tag

static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *out, dnnl_engine_t engine, borrowed_desc a, borrowed_desc b, borrowed_desc c,
                                 dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t op;
    dnnl_status_t rc = dnnl_matmul_desc_init(&op, a, b, NULL, c);
    return rc ? rc : dnnl_primitive_desc_create(out, &op, attr, engine, NULL);
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1); }
#endif

/* ---- one thread ------------------------------------------------------------------------------------------------ */

/* The OpenMP runtime that oneDNN brought along, if it is built on one. Asked for by name: our own code links none. */
typedef struct openmp {
    int (*get)(void);
    void (*set)(int);
} openmp;

static openmp runtime;
static dnnl_engine_t cpu_engine;
static dnnl_status_t engine_status;
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
    engine_status = dnnl_engine_create(&cpu_engine, dnnl_cpu, 0);
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

/* ---- the packed product ---------------------------------------------------------------------------------------- */

struct deco_matmul {
    int64_t N, K;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    size_t packed, scratch;
};

#define LIB(call, what) \
    do { \
        dnnl_status_t rc_ = (call); \
        if (rc_) { \
            st = dnnl_failed(rc_, (what)); \
            goto out; \
        } \
    } while (0)

/* The caller keeps the scratchpad: with the library's own, one primitive on two threads gives wrong numbers and no error. */
static deco_status matmul_attributes(dnnl_primitive_attr_t *out, bool accumulate)
{
    deco_status st = DECO_OK;
    dnnl_post_ops_t ops = NULL;
    LIB(dnnl_primitive_attr_create(out), "matmul attributes");
    LIB(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user), "matmul attributes");
    if (accumulate) {
        LIB(dnnl_post_ops_create(&ops), "matmul attributes");
        LIB(append_sum(ops), "matmul attributes");
        LIB(dnnl_primitive_attr_set_post_ops(*out, ops), "matmul attributes");
    }
out:
    if (ops)
        dnnl_post_ops_destroy(ops);
    return st;
}

static borrowed_desc matmul_part(const deco_matmul *m, dnnl_query_t what) { return dnnl_primitive_desc_query_md(m->desc, what, 0); }

deco_status deco_matmul_create(deco_matmul **out, int64_t M, int64_t N, int64_t K, int64_t lda, int64_t ldc, bool accumulate)
{
    deco_status st = DECO_OK;
    deco_matmul *m = NULL;
    dnnl_memory_desc_t a = {0}, b = {0}, c = {0};
    dnnl_primitive_attr_t attr = NULL;
    int before = team_of_one(); /* made for a team, it would want scratch for one */

    *out = NULL;
    if (engine_status) {
        st = dnnl_failed(engine_status, "engine");
        goto out;
    }
    TRY(deco_alloc(&m, 1, sizeof *m, "a matrix product"));
    m->N = N, m->K = K;
    LIB(desc_strided(&a, 2, (dnnl_dims_t){M, K}, dnnl_f32, (dnnl_dims_t){lda, 1}), "matmul");
    LIB(desc_tagged(&b, 2, (dnnl_dims_t){K, N}, dnnl_f32, dnnl_format_tag_any), "matmul");
    LIB(desc_strided(&c, 2, (dnnl_dims_t){M, N}, dnnl_f32, (dnnl_dims_t){ldc, 1}), "matmul");
    TRY(matmul_attributes(&attr, accumulate));
    LIB(matmul_desc(&m->desc, cpu_engine, AS(a), AS(b), AS(c), attr), "matmul");
    LIB(dnnl_primitive_create(&m->primitive, m->desc), "matmul");
    m->packed = dnnl_memory_desc_get_size(matmul_part(m, dnnl_query_weights_md));
    m->scratch = dnnl_memory_desc_get_size(matmul_part(m, dnnl_query_scratchpad_md));
    *out = m;
    m = NULL;
out:
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    desc_free(a), desc_free(b), desc_free(c);
    deco_matmul_free(m);
    team_back(before);
    return st;
}

void deco_matmul_free(deco_matmul *m)
{
    if (!m)
        return;
    if (m->primitive)
        dnnl_primitive_destroy(m->primitive);
    if (m->desc)
        dnnl_primitive_desc_destroy(m->desc);
    free(m);
}

size_t deco_matmul_packed_bytes(const deco_matmul *m) { return m->packed; }
size_t deco_matmul_scratch_bytes(const deco_matmul *m) { return m->scratch; }

/* Memory objects of one call: views, made and dropped in well under a microsecond. */
#define VIEWS 4

static deco_status execute(dnnl_primitive_t primitive, dnnl_exec_arg_t *args, const borrowed_desc *desc, void *const *data, int n,
                           const char *what)
{
    deco_status st = DECO_OK;
    dnnl_stream_t stream = NULL;
    int before = begin_alone();
    for (int i = 0; i < n; i++)
        args[i].memory = NULL;
    for (int i = 0; i < n; i++)
        LIB(dnnl_memory_create(&args[i].memory, desc[i], cpu_engine, data[i]), what);
    LIB(dnnl_stream_create(&stream, cpu_engine, dnnl_stream_default_flags), what);
    LIB(dnnl_primitive_execute(primitive, stream, n, args), what);
    LIB(dnnl_stream_wait(stream), what);
out:
    if (stream)
        dnnl_stream_destroy(stream);
    for (int i = 0; i < n; i++)
        if (args[i].memory)
            dnnl_memory_destroy(args[i].memory);
    end_alone(before);
    return st;
}

deco_status deco_matmul_pack(const deco_matmul *m, float *packed, const float *b, int64_t row, int64_t column)
{
    deco_status st = DECO_OK;
    dnnl_memory_desc_t from = {0};
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, NULL}, {DNNL_ARG_TO, NULL}};
    int before = team_of_one();

    borrowed_desc to = matmul_part(m, dnnl_query_weights_md);
    LIB(desc_strided(&from, 2, (dnnl_dims_t){m->K, m->N}, dnnl_f32, (dnnl_dims_t){row, column}), "packing");
    LIB(dnnl_reorder_primitive_desc_create(&desc, AS(from), cpu_engine, to, cpu_engine, NULL), "packing");
    LIB(dnnl_primitive_create(&primitive, desc), "packing");
    TRY(execute(primitive, args, (borrowed_desc[]){AS(from), to}, (void *[]){(void *)b, packed}, 2, "packing"));
out:
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    desc_free(from);
    team_back(before);
    return st;
}

deco_status deco_matmul_run(const deco_matmul *m, float *c, const float *a, const float *packed, void *scratch)
{
    static const int roles[VIEWS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    dnnl_exec_arg_t args[VIEWS];
    borrowed_desc desc[VIEWS] = {matmul_part(m, dnnl_query_src_md), matmul_part(m, dnnl_query_weights_md),
                                 matmul_part(m, dnnl_query_dst_md), matmul_part(m, dnnl_query_scratchpad_md)};
    void *data[VIEWS] = {(void *)a, (void *)packed, c, scratch};
    for (int i = 0; i < VIEWS; i++)
        args[i].arg = roles[i];
    return execute(m->primitive, args, desc, data, VIEWS, "matmul");
}
