/* A CUDA device: found, opened, its memory, and faults of kernels. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Oldest card that this toolkit builds for, as ten times its compute capability. */
enum { OLDEST = CUDART_VERSION >= 13000 ? 75 : 60 };

deco_status cuda_check(cudaError_t error, const char *call)
{
    if (error == cudaSuccess)
        return DECO_OK;
    cudaGetLastError(); /* taken note of: the next call's status is its own */
    return deco_fail(error == cudaErrorMemoryAllocation ? DECO_E_MEMORY : DECO_E_DEVICE, "%.*s: %s (%s)", (int)strcspn(call, "("), call,
                     cudaGetErrorString(error), cudaGetErrorName(error));
}

deco_status cuda_enter(deco_device *dev) { return cuda_check(cudaSetDevice(((cuda_device *)dev)->card), "cudaSetDevice"); }
cudaStream_t cuda_stream(const deco_device *dev) { return ((const cuda_device *)dev)->stream; }
cuda_limits cuda_limits_of(const deco_device *dev) { return ((const cuda_device *)dev)->limits; }
bool cuda_bf16(const deco_device *dev) { return dev->bf16; }
cuda_fault *cuda_fault_of(const deco_device *dev) { return ((const cuda_device *)dev)->fault; }

/* ---- cards ---------------------------------------------------------------------------------------------------------------- */

/* A version of the runtime or of what a driver serves: 13000 is 13.0. */
typedef struct version {
    int major, minor;
} version;
static version version_of(int number) { return (version){number / 1000, number % 1000 / 10}; }

deco_status cuda_cards(int *count)
{
    int driver = 0;
    cudaError_t error = cudaGetDeviceCount(count);

    if (error == cudaErrorNoDevice) {
        cudaGetLastError();
        *count = 0;
        return DECO_OK;
    }
    if (error != cudaErrorInsufficientDriver)
        return cuda_check(error, "cudaGetDeviceCount");
    cudaGetLastError();
    *count = 0;
    version need = version_of(CUDART_VERSION / 1000 * 1000);
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return deco_fail(DECO_E_DEVICE,
                         "no driver of NVIDIA's was found; CUDA %d needs one (%s or newer): install it, or choose --device cpu", need.major,
                         need.major >= 13 ? "580" : "525");
    version has = version_of(driver);
    return deco_fail(
        DECO_E_DEVICE,
        "the driver serves CUDA %d.%d, and this build needs %d.%d (driver %s or newer): update the driver, or choose --device cpu",
        has.major, has.minor, need.major, need.minor, need.major >= 13 ? "580" : "525");
}

/* Compute capability, kernels for it, a name for the log. */
static deco_status look_at_card(cuda_device *cuda, char *libraries, size_t size)
{
    deco_status st = DECO_OK;
    struct cudaDeviceProp card;
    int runtime = 0, driver = 0;

    CUDA(cudaGetDeviceProperties(&card, cuda->card));
    CUDA(cudaRuntimeGetVersion(&runtime));
    CUDA(cudaDriverGetVersion(&driver));
    cudaError_t missing = cuda_has_kernels();
    if (10 * card.major + card.minor < OLDEST || missing == cudaErrorNoKernelImageForDevice || missing == cudaErrorInvalidDeviceFunction) {
        cudaGetLastError();
        st = deco_fail(
            DECO_E_DEVICE,
            "%s has compute capability %d.%d, and this build has kernels for %d.%d and newer: choose another card, or --device cpu",
            card.name, card.major, card.minor, OLDEST / 10, OLDEST % 10);
        goto out;
    }
    TRY(cuda_check(missing, "cudaFuncGetAttributes"));
    cuda->limits = (cuda_limits){card.multiProcessorCount, card.sharedMemPerBlockOptin};
    cuda->base.has_bf16 = card.major >= 8;
    version r = version_of(runtime), d = version_of(driver);
    snprintf(libraries, size, "%.40s (%d.%d, %d GiB), CUDA %d.%d, driver for %d.%d", card.name, card.major, card.minor,
             (int)(card.totalGlobalMem >> 30), r.major, r.minor, d.major, d.minor);
out:
    return st;
}

/* Everything that has to be undone is in `cuda`, also half way. */
static deco_status open_card(cuda_device *cuda)
{
    deco_status st = DECO_OK;
    CUDA(cudaSetDevice(cuda->card));
    TRY(look_at_card(cuda, cuda->base.libraries, sizeof cuda->base.libraries));
    CUDA(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking));
    CUDA(cudaMalloc((void **)&cuda->fault, sizeof *cuda->fault));
    CUDA(cudaMemsetAsync(cuda->fault, 0, sizeof *cuda->fault, cuda->stream));
    TRY(cuda_gemms_begin(cuda));
    CUDA(cudaStreamSynchronize(cuda->stream));
out:
    return st;
}

void cuda_destroy(deco_device *dev)
{
    cuda_device *cuda = (cuda_device *)dev;
    cudaSetDevice(cuda->card);
    if (cuda->stream)
        cudaStreamSynchronize(cuda->stream);
    deco_device_end(dev);
    cuda_ffts_end(cuda);
    cuda_gemms_end(cuda);
    cudaFree(cuda->fault);
    if (cuda->stream)
        cudaStreamDestroy(cuda->stream);
    cudaGetLastError();
    pthread_mutex_destroy(&cuda->plan_lock);
    free(cuda);
}

/* The table: ours, and the program's composed blocks where it has none. */
static void fill_table(deco_ops *ops)
{
    const deco_ops *composed = cuda_host->composed;
    *ops = cuda_ops;
    ops->hypervolume_backward = composed->hypervolume_backward;
    ops->hypervolume_saved_bytes = composed->hypervolume_saved_bytes;
    ops->hypervolume_bank = composed->hypervolume_bank;
}

deco_status cuda_create(deco_device **out, int card, deco_pool *pool)
{
    deco_status st = DECO_OK;
    cuda_device *cuda = NULL;
    char name[32];
    snprintf(name, sizeof name, "cuda:%d", card);

    *out = NULL;
    TRY(deco_alloc(&cuda, 1, sizeof *cuda, "CUDA device"));
    cuda->card = card;
    fill_table(&cuda->ops);
    int error = pthread_mutex_init(&cuda->plan_lock, NULL);
    if (error) {
        free(cuda);
        cuda = NULL;
        st = deco_fail(DECO_E_MEMORY, "device %s: no mutex (%s)", name, strerror(error));
        goto out;
    }
    deco_pool *given = pool;
    pool = NULL; /* the device's from here, also when this fails */
    st = deco_device_begin(&cuda->base, &cuda->ops, given, name);
    if (st) {
        pthread_mutex_destroy(&cuda->plan_lock);
        free(cuda);
        return st;
    }
    TRY(open_card(cuda));
    *out = &cuda->base;
    return DECO_OK;
out:
    if (cuda)
        cuda_destroy(&cuda->base);
    else if (pool)
        cuda_host->pool_free(pool);
    return st;
}

/* ---- memory --------------------------------------------------------------------------------------------------------------- */

deco_status cuda_alloc(deco_device *dev, void **out, size_t bytes, const char *what)
{
    deco_status st = DECO_OK;
    size_t free_bytes = 0, all = 0;

    *out = NULL;
    TRY(cuda_enter(dev));
    cudaError_t error = cudaMalloc(out, bytes ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        *out = NULL;
        if (cudaMemGetInfo(&free_bytes, &all) != cudaSuccess)
            cudaGetLastError();
        return deco_fail(DECO_E_MEMORY, "%s: no memory on %s for %zu bytes; %zu of %zu are free", what, dev->name, bytes, free_bytes, all);
    }
    TRY(cuda_check(error, "cudaMalloc"));
    CUDA(cudaMemsetAsync(*out, 0, bytes ? bytes : 1, cuda_stream(dev)));
out:
    if (st && *out) {
        cudaFree(*out);
        *out = NULL;
    }
    return st;
}

void cuda_release(deco_device *dev, void *p)
{
    cudaSetDevice(((cuda_device *)dev)->card);
    cudaFree(p);
    cudaGetLastError(); /* a fault before this call: it is told where it is met next */
}

deco_status cuda_upload(deco_device *dev, void *device, const void *host, size_t bytes)
{
    deco_status st = DECO_OK;
    if (!bytes)
        return DECO_OK;
    TRY(cuda_enter(dev));
    CUDA(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, cuda_stream(dev))); /* from pageable memory: `host` has been read */
out:
    return st;
}

static deco_status tell_fault(const cuda_fault *f)
{
    long long at = f->at, value = f->value, limit = f->limit;
    switch (f->index) {
    case CUDA_ROW: return deco_fail(DECO_E_ARGUMENT, "row[%lld] is %lld; the table has rows 0 to %lld", at, value, limit - 1);
    case CUDA_MASK_POINT:
        return deco_fail(DECO_E_ARGUMENT, "mask point %lld is %lld; the lattice has points 0 to %lld", at, value, limit - 1);
    case CUDA_SLICE: return deco_fail(DECO_E_ARGUMENT, "pose_score: candidate %lld is slice %lld; there are %lld", at, value, limit);
    default: return deco_fail(DECO_E_ARGUMENT, "pose_score: point %lld turns to %lld; there are %lld", at, value, limit);
    }
}

/* Waits, and tells what a kernel met. */
deco_status cuda_wait(deco_device *dev)
{
    deco_status st = DECO_OK;
    cuda_fault fault;

    TRY(cuda_enter(dev));
    CUDA(cudaMemcpyAsync(&fault, cuda_fault_of(dev), sizeof fault, cudaMemcpyDeviceToHost, cuda_stream(dev)));
    CUDA(cudaStreamSynchronize(cuda_stream(dev)));
    if (fault.taken) {
        CUDA(cudaMemsetAsync(cuda_fault_of(dev), 0, sizeof fault, cuda_stream(dev)));
        st = tell_fault(&fault);
    }
out:
    return st;
}

deco_status cuda_download(deco_device *dev, void *host, const void *device, size_t bytes)
{
    deco_status st = DECO_OK;
    TRY(cuda_enter(dev));
    if (bytes)
        CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, cuda_stream(dev)));
    TRY(cuda_wait(dev));
out:
    return st;
}
