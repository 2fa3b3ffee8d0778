/* The CPU device: its pool, its workers' buffers, and the loop that all its operations are made of. */
#include "base/pages.h"
#include "base/processor.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/dnnl.h"

#include <fftw3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FFTW says "fftw-3.3.10-sse2-avx". */
static void name_libraries(char *out, size_t size)
{
    const char *version = strchr(fftwf_version, '-');
    version = version ? version + 1 : fftwf_version;
    snprintf(out, size, "%s kernels, %s, FFTW %.*s", deco_processor_name(deco_processor_kind()), deco_cpu_gemm_library(),
             (int)strcspn(version, "-"), version);
}

deco_status cpu_device_create(deco_device **out, int threads)
{
    deco_status st = DECO_OK;
    deco_pool *pool = NULL;
    cpu_device *cpu = NULL;
    const char *unknown = deco_processor_unknown();

    *out = NULL;
    if (unknown)
        return deco_fail(DECO_E_ARGUMENT, "the environment's CRYODECO_KERNELS is \"%s\": plain, avx2, avx512 or amx, or unset", unknown);
    TRY(deco_alloc(&cpu, 1, sizeof *cpu, "CPU device"));
    TRY(deco_pool_create(&pool, threads, deco_cpu_worker_start));
    TRY(deco_alloc(&cpu->worker, (size_t)deco_pool_room(pool), sizeof *cpu->worker, "CPU device"));
    deco_pool *given = pool;
    pool = NULL; /* the device's from here */
    TRY(deco_device_begin(&cpu->base, &cpu_ops, given, "cpu"));
    name_libraries(cpu->base.libraries, sizeof cpu->base.libraries);
    *out = &cpu->base;
    return DECO_OK;
out:
    if (cpu)
        free(cpu->worker);
    free(cpu);
    deco_pool_free(pool);
    return st;
}

void cpu_device_destroy(deco_device *dev)
{
    cpu_device *cpu = (cpu_device *)dev;
    for (int i = 0; i < deco_pool_room(dev->pool); i++)
        free(cpu->worker[i].buffer);
    free(cpu->worker);
    cpu_plans_free(cpu->plans);
    deco_device_end(dev);
    free(cpu);
}

void *cpu_scratch(deco_device *dev, int worker, size_t bytes)
{
    cpu_worker *w = &((cpu_device *)dev)->worker[worker];
    if (bytes <= w->size)
        return w->buffer;
    size_t size = deco_pages_size(bytes);
    void *p = deco_pages(bytes);
    if (!p)
        return NULL;
    free(w->buffer);
    atomic_fetch_add(&dev->scratch_bytes, size - w->size);
    w->buffer = p;
    w->size = size;
    return p;
}

typedef struct loop_task {
    deco_device *dev;
    cpu_loop *loop;
    const void *context;
    int64_t n, size;
} loop_task;

static deco_status run_tile(void *context, int64_t tile, int worker)
{
    const loop_task *t = context;
    int64_t begin = tile * t->size, end = begin + t->size;
    return t->loop(t->dev, t->context, tile, begin, end < t->n ? end : t->n, worker);
}

deco_status cpu_for(deco_device *dev, int64_t n, int64_t size, cpu_loop *loop, const void *context)
{
    loop_task t = {dev, loop, context, n, size};
    return deco_pool_run(dev->pool, run_tile, &t, cpu_tiles(n, size));
}

void cpu_add_tiles(float *out, const double *part, int64_t tiles, int64_t columns)
{
    for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        for (int64_t t = 0; t < tiles; t++)
            sum += part[t * columns + c];
        out[c] = (float)sum;
    }
}
