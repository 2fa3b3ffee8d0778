/* A CUDA device as the host sees it. C only: kernels' files see card.h and launch.h alone. */
#ifndef DECO_CUDA_DEVICE_H
#define DECO_CUDA_DEVICE_H

#include "compute/table.h"
#include "card.h"

#include <cublasLt.h>
#include <cufft.h>

typedef struct cuda_gemm cuda_gemm; /* a product's shape with its chosen algorithm (gemm.c) */
typedef struct cuda_fft cuda_fft;   /* a transform's plan (fft.c) */

typedef struct cuda_device {
    deco_device base;
    deco_ops ops; /* ours, the composed blocks among them */
    int card;
    cuda_limits limits;
    cudaStream_t stream;
    cuda_fault *fault;

    pthread_mutex_t plan_lock; /* of what follows */
    cublasLtHandle_t lt;
    void *workspace; /* of products, one for all: they follow one another */
    cuda_gemm *gemms;
    cuda_fft *ffts;
} cuda_device;

enum { CUDA_WORKSPACE = 32 << 20 };

extern const deco_ops cuda_ops;
extern const deco_backend_host *cuda_host; /* what the program gave us */

void cuda_destroy(deco_device *dev);
deco_status cuda_alloc(deco_device *dev, void **out, size_t bytes, const char *what);
void cuda_release(deco_device *dev, void *p);
deco_status cuda_upload(deco_device *dev, void *device, const void *host, size_t bytes);
deco_status cuda_download(deco_device *dev, void *host, const void *device, size_t bytes);
deco_status cuda_wait(deco_device *dev);

deco_status cuda_cards(int *count);
deco_status cuda_create(deco_device **out, int card, deco_pool *pool);

deco_status cuda_gemms_begin(cuda_device *cuda);
void cuda_gemms_end(cuda_device *cuda);
void cuda_ffts_end(cuda_device *cuda);

/* Whether this build has kernels for the current card: the runtime's own word (kernels.cu). */
cudaError_t cuda_has_kernels(void);

#endif
