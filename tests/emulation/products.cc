/* cuBLASLt by plain loops, column by column as it counts. An algorithm remembers what alignment it was chosen for, and a product with less
 * is refused, as the library would. */
#include "cublasLt.h"

#include "stub.h"

#include <cstring>
#include <vector>

void *emulated_memory(const void *p, const char *kernel);

struct stub_product {
    int32_t ta, tb;
    bool biased;
    const void *bias;
};
struct stub_layout {
    int64_t rows, columns, ld, step;
    int32_t batch;
    cudaDataType_t type;
    int64_t item() const { return type == CUDA_R_16BF ? 2 : 4; }
};
struct stub_wish {
    uint32_t line[4]; /* a, b, c, d */
};

#define FALLIBLE \
    if (stub_fails(__func__)) \
    return CUBLAS_STATUS_INTERNAL_ERROR

template <class T> static cublasStatus_t make(T **out, T value)
{
    *out = new T(value);
    stub_lives(1);
    return CUBLAS_STATUS_SUCCESS;
}
template <class T> static cublasStatus_t destroy(T *x)
{
    delete x;
    stub_lives(-1);
    return CUBLAS_STATUS_SUCCESS;
}

struct cublasLtContext {
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    FALLIBLE;
    return make(handle, cublasLtContext());
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *product, cublasComputeType_t, cudaDataType_t)
{
    FALLIBLE;
    return make(product, stub_product{0, 0, false, nullptr});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) { return destroy(product); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t what, const void *value, size_t)
{
    FALLIBLE;
    switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA: memcpy(&product->ta, value, sizeof product->ta); break;
    case CUBLASLT_MATMUL_DESC_TRANSB: memcpy(&product->tb, value, sizeof product->tb); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE: product->biased = *(const uint32_t *)value == CUBLASLT_EPILOGUE_BIAS; break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: memcpy(&product->bias, value, sizeof product->bias); break;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type, uint64_t rows, uint64_t columns, int64_t ld)
{
    FALLIBLE;
    if (!rows || !columns || ld < (int64_t)rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    return make(layout, stub_layout{(int64_t)rows, (int64_t)columns, ld, 0, 1, type});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t what, const void *value,
                                                size_t)
{
    FALLIBLE;
    if (what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
        memcpy(&layout->batch, value, sizeof layout->batch);
    else
        memcpy(&layout->step, value, sizeof layout->step);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *wish)
{
    FALLIBLE;
    return make(wish, stub_wish{{256, 256, 256, 256}});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t wish) { return destroy(wish); }

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t wish, cublasLtMatmulPreferenceAttributes_t what,
                                                    const void *value, size_t)
{
    FALLIBLE;
    if (what >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES)
        memcpy(&wish->line[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, sizeof(uint32_t));
    return CUBLAS_STATUS_SUCCESS;
}

/* Sizes of op(A) op(B) = D must fit. */
static bool fits(const stub_product *p, const stub_layout *a, const stub_layout *b, const stub_layout *d)
{
    int64_t m = p->ta ? a->columns : a->rows, k = p->ta ? a->rows : a->columns;
    return m == d->rows && k == (p->tb ? b->columns : b->rows) && (p->tb ? b->rows : b->columns) == d->columns && a->batch == d->batch &&
           b->batch == d->batch;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t wish, int, cublasLtMatmulHeuristicResult_t *found, int *count)
{
    FALLIBLE;
    if (!fits(product, a, b, d))
        return CUBLAS_STATUS_INVALID_VALUE;
    memset(found, 0, sizeof *found);
    for (int i = 0; i < 4; i++)
        found->algo.data[i] = wish->line[i];
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static bool aligned(const void *p, const stub_layout &l, uint64_t line)
{
    return (uintptr_t)p % line == 0 && (l.batch == 1 || (uint64_t)(l.step * l.item()) % line == 0);
}

/* A matrix's memory as floats: itself, or what its bf16 numbers are. */
static std::vector<float> floats_of(const char *p, const stub_layout &l)
{
    std::vector<float> all((size_t)(l.ld * l.columns));
    if (l.type == CUDA_R_32F) {
        for (int64_t j = 0; j < l.columns; j++)
            memcpy(all.data() + j * l.ld, p + j * l.ld * l.item(), (size_t)(l.rows * l.item()));
        return all;
    }
    for (int64_t j = 0; j < l.columns; j++)
        for (int64_t i = 0; i < l.rows; i++) {
            uint16_t half;
            memcpy(&half, p + (j * l.ld + i) * l.item(), sizeof half);
            uint32_t bits = (uint32_t)half << 16;
            memcpy(&all[(size_t)(j * l.ld + i)], &bits, sizeof bits);
        }
    return all;
}

/* To the nearest bf16, of two equally near the even one. */
static uint16_t half_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* D = factor · op(A) op(B) + share · C + bias down the rows; sums over k in rising order, columns of D side by side. */
static void product(const stub_product &p, float factor, const float *A, const stub_layout &a, const float *B, const stub_layout &b,
                    float share, const char *C, const float *bias, char *D, const stub_layout &d)
{
    int64_t m = d.rows, n = d.columns, k = p.ta ? a.rows : a.columns;
    std::vector<float> left((size_t)(m * k)), sum((size_t)m); /* op(A), its rows side by side */
    for (int64_t x = 0; x < k; x++)
        for (int64_t i = 0; i < m; i++)
            left[(size_t)(x * m + i)] = p.ta ? A[i * a.ld + x] : A[x * a.ld + i];
    for (int64_t j = 0; j < n; j++) {
        std::fill(sum.begin(), sum.end(), 0.0F);
        for (int64_t x = 0; x < k; x++) {
            float t = p.tb ? B[x * b.ld + j] : B[j * b.ld + x], *s = sum.data();
            const float *from = left.data() + x * m;
            for (int64_t i = 0; i < m; i++)
                s[i] += t * from[i];
        }
        for (int64_t i = 0; i < m; i++) {
            int64_t at = (j * d.ld + i) * d.item();
            float x = factor * sum[(size_t)i] + (bias ? bias[i] : 0), was = 0;
            if (share != 0)
                memcpy(&was, C + at, sizeof was);
            x += share * was;
            uint16_t half = half_of(x);
            memcpy(D + at, d.item() == 2 ? (const void *)&half : (const void *)&x, (size_t)d.item());
        }
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *A, cublasLtMatrixLayout_t a,
                              const void *B, cublasLtMatrixLayout_t b, const void *beta, const void *C, cublasLtMatrixLayout_t, void *D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algorithm, void *, size_t, cudaStream_t stream)
{
    FALLIBLE;
    if (!aligned(A, *a, algorithm->data[0]) || !aligned(B, *b, algorithm->data[1]) || !aligned(D, *d, algorithm->data[3]))
        return CUBLAS_STATUS_INVALID_VALUE;
    const char *left = (const char *)emulated_memory(A, __func__), *right = (const char *)emulated_memory(B, __func__);
    char *out = (char *)emulated_memory(D, __func__);
    float factor = *(const float *)alpha, share = *(const float *)beta;
    stub_product p = *desc;
    stub_layout la = *a, lb = *b, ld = *d, bias_of{ld.rows, 1, ld.rows, 0, 1, ld.type};
    const char *plus = share != 0 ? (const char *)emulated_memory(C, __func__) : nullptr;
    const char *bias = p.biased ? (const char *)emulated_memory(p.bias, __func__) : nullptr;
    if (p.biased && !bias)
        return CUBLAS_STATUS_INVALID_VALUE;
    stub_enqueue(stream, [=] {
        std::vector<float> added = bias ? floats_of(bias, bias_of) : std::vector<float>();
        for (int64_t i = 0; i < ld.batch; i++)
            product(p, factor, floats_of(left + i * la.step * la.item(), la).data(), la,
                    floats_of(right + i * lb.step * lb.item(), lb).data(), lb, share, plus ? plus + i * ld.step * ld.item() : nullptr,
                    bias ? added.data() : nullptr, out + i * ld.step * ld.item(), ld);
    });
    return CUBLAS_STATUS_SUCCESS;
}
