/* Transforms by cuFFT, a plan for each size, kept for the life of the device. */
#include "device.h"

#include <stdlib.h>

struct cuda_fft {
    int dims;
    int64_t D, batch;
    cufftHandle plan;
    cuda_fft *next;
};

static deco_status check(cufftResult r, const char *call, int64_t D)
{
    if (r == CUFFT_SUCCESS)
        return DECO_OK;
    return deco_fail(r == CUFFT_ALLOC_FAILED ? DECO_E_MEMORY : DECO_E_DEVICE, "%s: cuFFT's error %d for a box of %lld%s", call, (int)r,
                     (long long)D, r == CUFFT_ALLOC_FAILED ? ", no memory on the card" : "");
}

void cuda_ffts_end(cuda_device *cuda)
{
    for (cuda_fft *f = cuda->ffts, *next; f; f = next) {
        next = f->next;
        cufftDestroy(f->plan);
        free(f);
    }
}

static deco_status make_plan(cuda_device *cuda, cuda_fft **out, int dims, int64_t D, int64_t batch)
{
    deco_status st = DECO_OK;
    cuda_fft *f = NULL;
    cufftHandle plan = 0;
    int n[3] = {(int)D, (int)D, (int)D};
    bool made = false;

    TRY(deco_alloc(&f, 1, sizeof *f, "plan of a transform"));
    TRY(check(cufftPlanMany(&plan, dims, n, NULL, 1, 0, NULL, 1, 0, CUFFT_R2C, (int)batch), "cufftPlanMany", D));
    made = true;
    TRY(check(cufftSetStream(plan, cuda->stream), "cufftSetStream", D));
    *f = (cuda_fft){dims, D, batch, plan, cuda->ffts};
    cuda->ffts = f;
    *out = f;
    return DECO_OK;
out:
    if (made)
        cufftDestroy(plan);
    free(f);
    return st;
}

deco_status cuda_fourier(deco_device *dev, float *out, float *in, int dims, int64_t D, int64_t batch)
{
    deco_status st = DECO_OK;
    cuda_device *cuda = (cuda_device *)dev;
    cuda_fft *f;

    pthread_mutex_lock(&cuda->plan_lock); /* a plan must not be run by two threads at once either */
    for (f = cuda->ffts; f && (f->dims != dims || f->D != D || f->batch != batch); f = f->next)
        ;
    if (!f)
        TRY(make_plan(cuda, &f, dims, D, batch));
    TRY(check(cufftExecR2C(f->plan, in, (cufftComplex *)(void *)out), "cufftExecR2C", D));
out:
    pthread_mutex_unlock(&cuda->plan_lock);
    return st;
}
