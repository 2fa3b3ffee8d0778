/* Products by cuBLASLt. The algorithm of a shape is the first that its heuristic names under our conditions, asked once; nothing is timed, so the
 * same card and library give the same bits. */
#include "device.h"

#include <stdlib.h>
#include <string.h>

/* What an algorithm depends on: sizes, and how far the operands are aligned. */
typedef struct shape {
    int64_t m, n, k, lda, ldb, ldc, batch, a_step, b_step, c_step;
    uint32_t a_line, b_line, c_line;
    int32_t ta, tb, bf16, bf16_out, bias;
} shape;

struct cuda_gemm {
    shape of;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
    cuda_gemm *next;
};

static const char *status_name(cublasStatus_t s)
{
    switch (s) {
    case CUBLAS_STATUS_NOT_INITIALIZED: return "not initialised";
    case CUBLAS_STATUS_ALLOC_FAILED: return "no memory";
    case CUBLAS_STATUS_INVALID_VALUE: return "invalid value";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "not for this card";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "execution failed";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "not supported";
    default: return "failed";
    }
}

static deco_status check(cublasStatus_t s, const char *call)
{
    if (s == CUBLAS_STATUS_SUCCESS)
        return DECO_OK;
    return deco_fail(s == CUBLAS_STATUS_ALLOC_FAILED ? DECO_E_MEMORY : DECO_E_DEVICE, "%.*s: %s (%d)", (int)strcspn(call, "("), call,
                     status_name(s), (int)s);
}
#define LT(call) TRY(check((call), #call))

deco_status cuda_gemms_begin(cuda_device *cuda)
{
    deco_status st = DECO_OK;
    LT(cublasLtCreate(&cuda->lt));
    CUDA(cudaMalloc(&cuda->workspace, CUDA_WORKSPACE));
out:
    return st;
}

static void free_gemm(cuda_gemm *g)
{
    if (g->product)
        cublasLtMatmulDescDestroy(g->product);
    if (g->a)
        cublasLtMatrixLayoutDestroy(g->a);
    if (g->b)
        cublasLtMatrixLayoutDestroy(g->b);
    if (g->c)
        cublasLtMatrixLayoutDestroy(g->c);
    free(g);
}

void cuda_gemms_end(cuda_device *cuda)
{
    for (cuda_gemm *g = cuda->gemms, *next; g; g = next) {
        next = g->next;
        free_gemm(g);
    }
    cudaFree(cuda->workspace);
    if (cuda->lt)
        cublasLtDestroy(cuda->lt);
}

/* ---- plans ---------------------------------------------------------------------------------------------------------------- */

/* The library counts column by column: our rows are its columns, and C = A B is its Cᵀ = Bᵀ Aᵀ. */
static deco_status make_layout(cublasLtMatrixLayout_t *out, cudaDataType_t type, int64_t rows, int64_t columns, int64_t ld, int64_t batch,
                               int64_t step)
{
    deco_status st = DECO_OK;
    int32_t count = (int32_t)batch;
    LT(cublasLtMatrixLayoutCreate(out, type, (uint64_t)columns, (uint64_t)rows, ld));
    if (batch > 1) {
        LT(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
        LT(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step));
    }
out:
    return st;
}

static deco_status choose_algorithm(cuda_device *cuda, cuda_gemm *g)
{
    deco_status st = DECO_OK;
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t found;
    size_t workspace = CUDA_WORKSPACE;
    uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE; /* a split sum is added up in order; in place, the order is anyone's */
    const shape *s = &g->of;
    int count = 0;

    LT(cublasLtMatmulPreferenceCreate(&wish));
    LT(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
    LT(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &sums, sizeof sums));
    LT(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &s->b_line, sizeof s->b_line));
    LT(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &s->a_line, sizeof s->a_line));
    LT(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &s->c_line, sizeof s->c_line));
    LT(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &s->c_line, sizeof s->c_line));
    LT(cublasLtMatmulAlgoGetHeuristic(cuda->lt, g->product, g->b, g->a, g->c, g->c, wish, 1, &found, &count));
    if (!count)
        st = deco_fail(DECO_E_DEVICE, "cuBLASLt has no algorithm for a product of %lld x %lld x %lld", (long long)s->m, (long long)s->n,
                       (long long)s->k);
    else
        g->algorithm = found.algo;
out:
    if (wish)
        cublasLtMatmulPreferenceDestroy(wish);
    return st;
}

static deco_status make_gemm(cuda_device *cuda, cuda_gemm **out, const shape *s)
{
    deco_status st = DECO_OK;
    cuda_gemm *g = NULL;
    int32_t ta = s->ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = s->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint32_t with_bias = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t type = s->bf16 ? CUDA_R_16BF : CUDA_R_32F;

    TRY(deco_alloc(&g, 1, sizeof *g, "plan of a product"));
    g->of = *s;
    LT(cublasLtMatmulDescCreate(&g->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    LT(cublasLtMatmulDescSetAttribute(g->product, CUBLASLT_MATMUL_DESC_TRANSA, &tb, sizeof tb));
    LT(cublasLtMatmulDescSetAttribute(g->product, CUBLASLT_MATMUL_DESC_TRANSB, &ta, sizeof ta));
    if (s->bias)
        LT(cublasLtMatmulDescSetAttribute(g->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &with_bias, sizeof with_bias));
    TRY(make_layout(&g->a, type, s->ta ? s->k : s->m, s->ta ? s->m : s->k, s->lda, s->batch, s->a_step));
    TRY(make_layout(&g->b, type, s->tb ? s->n : s->k, s->tb ? s->k : s->n, s->ldb, s->batch, s->b_step));
    TRY(make_layout(&g->c, s->bf16_out ? CUDA_R_16BF : CUDA_R_32F, s->m, s->n, s->ldc, s->batch, s->c_step));
    TRY(choose_algorithm(cuda, g));
    *out = g;
    g = NULL;
out:
    if (g)
        free_gemm(g);
    return st;
}

/* Bytes that `p`, and with a batch its step, are a multiple of: a power of two, at most 16, which is what the fastest ask for. More would let
 * the algorithm, and with it the last bit, go by where memory was found. */
static uint32_t line_of(const void *p, size_t item, int64_t step, int64_t batch)
{
    uintptr_t all = (uintptr_t)p | (batch > 1 ? (uintptr_t)step * item : 0) | 16;
    return (uint32_t)(all & -all);
}

static shape shape_of(const cuda_product *p)
{
    shape s;
    memset(&s, 0, sizeof s); /* compared byte by byte */
    s.m = p->m, s.n = p->n, s.k = p->k, s.lda = p->lda, s.ldb = p->ldb, s.ldc = p->ldc;
    s.batch = p->batch ? p->batch : 1;
    if (s.batch > 1)
        s.a_step = p->a_step, s.b_step = p->b_step, s.c_step = p->c_step;
    size_t item = p->bf16 ? 2 : sizeof(float), out = p->bf16_out ? 2 : sizeof(float);
    s.a_line = line_of(p->a, item, p->a_step, s.batch), s.b_line = line_of(p->b, item, p->b_step, s.batch);
    s.c_line = line_of(p->c, out, p->c_step, s.batch);
    s.ta = p->ta, s.tb = p->tb, s.bf16 = p->bf16, s.bf16_out = p->bf16_out, s.bias = p->bias != NULL;
    return s;
}

deco_status cuda_multiply_matrices(deco_device *dev, const cuda_product *p)
{
    deco_status st = DECO_OK;
    cuda_device *cuda = (cuda_device *)dev;
    shape s = shape_of(p);
    float factor = p->factor != 0 ? p->factor : 1, share = p->plus ? 1 : 0;
    const void *plus = p->plus ? (const void *)p->plus : p->c;
    cuda_gemm *g;

    if (!p->m || !p->n)
        return DECO_OK;
    if (!p->k) /* an empty sum; c is dense wherever this comes up */
        return cuda_check(cudaMemsetAsync(p->c, 0, (size_t)(p->m * p->ldc) * (p->bf16_out ? 2 : sizeof(float)), cuda->stream),
                          "cudaMemsetAsync");
    pthread_mutex_lock(&cuda->plan_lock);
    for (g = cuda->gemms; g && memcmp(&g->of, &s, sizeof s) != 0; g = g->next)
        ;
    if (!g) {
        TRY(make_gemm(cuda, &g, &s));
        g->next = cuda->gemms;
        cuda->gemms = g;
    }
    if (p->bias)
        LT(cublasLtMatmulDescSetAttribute(g->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias));
    LT(cublasLtMatmul(cuda->lt, g->product, &factor, p->b, g->b, p->a, g->a, &share, plus, g->c, p->c, g->c, &g->algorithm, cuda->workspace,
                      CUDA_WORKSPACE, cuda->stream));
out:
    pthread_mutex_unlock(&cuda->plan_lock);
    return st;
}
