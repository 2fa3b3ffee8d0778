/* cuFFT by the definition of the transform, axis by axis, in double: boxes of tests are small. */
#include "cufft.h"

#include "stub.h"

#include <cmath>
#include <complex>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

void *emulated_memory(const void *p, const char *kernel);

struct plan {
    int rank, n, batch;
    cudaStream_t stream;
};
static std::map<cufftHandle, plan> plans;
static std::mutex lock;
static cufftHandle next_handle = 1;

#define FALLIBLE(error) \
    if (stub_fails(__func__)) \
        return error; \
    std::lock_guard<std::mutex> l(lock)

cufftResult cufftPlanMany(cufftHandle *out, int rank, int *n, int *, int, int, int *, int, int, cufftType, int batch)
{
    FALLIBLE(CUFFT_ALLOC_FAILED);
    *out = next_handle++;
    plans[*out] = plan{rank, n[0], batch, nullptr};
    stub_lives(1);
    return CUFFT_SUCCESS;
}

cufftResult cufftSetStream(cufftHandle handle, cudaStream_t stream)
{
    FALLIBLE(CUFFT_INVALID_PLAN);
    plans[handle].stream = stream;
    return CUFFT_SUCCESS;
}

cufftResult cufftDestroy(cufftHandle handle)
{
    std::lock_guard<std::mutex> l(lock);
    plans.erase(handle);
    stub_lives(-1);
    return CUFFT_SUCCESS;
}

typedef std::complex<double> number;

/* Lines of n numbers that are `stride` apart. */
static void transform_axis(std::vector<number> &f, int64_t n, int64_t stride, const std::vector<number> &wave)
{
    std::vector<number> line((size_t)n);
    for (int64_t start = 0; start < (int64_t)f.size(); start++) {
        if (start / stride % n)
            continue;
        for (int64_t u = 0; u < n; u++) {
            number sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += f[(size_t)(start + i * stride)] * wave[(size_t)(u * i % n)];
            line[(size_t)u] = sum;
        }
        for (int64_t u = 0; u < n; u++)
            f[(size_t)(start + u * stride)] = line[(size_t)u];
    }
}

static void transform(const plan &p, const float *in, float *out)
{
    int64_t n = p.n, rows = p.rank == 3 ? n * n : n, half = n / 2 + 1;
    std::vector<number> wave((size_t)n), f((size_t)(rows * n));
    for (int64_t i = 0; i < n; i++)
        wave[(size_t)i] = std::polar(1.0, -2 * M_PI * (double)i / (double)n);
    for (int64_t b = 0; b < p.batch; b++) {
        for (size_t i = 0; i < f.size(); i++)
            f[i] = in[(size_t)(b * rows * n) + i];
        for (int64_t axis = 0, stride = 1; axis < p.rank; axis++, stride *= n)
            transform_axis(f, n, stride, wave);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t u = 0; u < half; u++) {
                number v = f[(size_t)(r * n + u)];
                float *to = out + 2 * ((b * rows + r) * half + u);
                to[0] = (float)v.real(), to[1] = (float)v.imag();
            }
    }
}

cufftResult cufftExecR2C(cufftHandle handle, cufftReal *in, cufftComplex *out)
{
    FALLIBLE(CUFFT_EXEC_FAILED);
    plan p = plans[handle];
    const float *from = (const float *)emulated_memory(in, __func__);
    float *to = (float *)emulated_memory(out, __func__);
    stub_enqueue(p.stream, [=] { transform(p, from, to); });
    return CUFFT_SUCCESS;
}
