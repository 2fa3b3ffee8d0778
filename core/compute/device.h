/* Where the numbers of a step live and are worked on. The CPU device is in compute/cpu; others are opened at run time. */
#ifndef DECO_COMPUTE_DEVICE_H
#define DECO_COMPUTE_DEVICE_H

#include "base/status.h"
#include "base/threads.h"

typedef struct deco_device deco_device;

/* `name`: "cpu"; "cuda", "cuda:N": a card, through its library (compute/backend.h); "auto": a card where there is one, otherwise the CPU.
 * `threads` 0: the cores this process may use. Fails: ARGUMENT (no such name), DEVICE (a card that is not there or cannot be used: what was
 * found, what is needed, what to do), MEMORY. */
deco_status deco_device_create(deco_device **out, const char *name, int threads);
void deco_device_free(deco_device *dev); /* takes NULL */

const char *deco_device_name(const deco_device *dev);      /* "cpu", "cuda:0" */
const char *deco_device_libraries(const deco_device *dev); /* "avx512 kernels, oneDNN 2.6.3 (avx512_core), FFTW 3.3.10" */
deco_pool *deco_device_pool(deco_device *dev);             /* the host's workers: also for host code */

/* Whether matrix products of the decoder and the encoder may be in bf16 (sums in float32), where the device has such: a card's tensor cores from
 * compute capability 8.0 on. A new device computes in float32. */
bool deco_device_use_bf16(deco_device *dev, bool use); /* what was before */
bool deco_device_bf16(const deco_device *dev);

/* What rounds its numbers: "amx", "avx2" (base/processor.h), "cuda", "cuda bf16". Another one differs in the last bits. */
const char *deco_device_arithmetic(const deco_device *dev);

/* Device memory, 64-byte aligned, zeroed. */
deco_status deco_device_alloc(deco_device *dev, void *out_pointer, size_t bytes, const char *what);
void deco_device_release(deco_device *dev, void *p); /* takes NULL */
deco_status deco_device_upload(deco_device *dev, void *device, const void *host, size_t bytes);
deco_status deco_device_download(deco_device *dev, void *host, const void *device, size_t bytes); /* waits for what was enqueued before */
deco_status deco_device_wait(deco_device *dev);

/* Scratch of the operations themselves (packed weights, tiles), made on first need and kept. The peak in bytes. */
size_t deco_device_scratch_bytes(const deco_device *dev);

#endif
