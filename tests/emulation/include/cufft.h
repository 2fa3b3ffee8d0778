/* What cuda/ uses of cuFFT, with the names and argument orders of CUDA 13. The implementation is ../transforms.cc. */
#ifndef DECO_STUB_CUFFT_H
#define DECO_STUB_CUFFT_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CUFFT_SUCCESS = 0,
    CUFFT_INVALID_PLAN = 1,
    CUFFT_ALLOC_FAILED = 2,
    CUFFT_INTERNAL_ERROR = 5,
    CUFFT_EXEC_FAILED = 6
} cufftResult;
typedef enum { CUFFT_R2C = 0x2a } cufftType;
typedef int cufftHandle;
typedef float cufftReal;
typedef struct {
    float x, y;
} cufftComplex;

cufftResult cufftPlanMany(cufftHandle *plan, int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride, int odist,
                          cufftType type, int batch);
cufftResult cufftSetStream(cufftHandle plan, cudaStream_t stream);
cufftResult cufftExecR2C(cufftHandle plan, cufftReal *in, cufftComplex *out);
cufftResult cufftDestroy(cufftHandle plan);

#ifdef __cplusplus
}
#endif
#endif
