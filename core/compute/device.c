/* Which device a name means, and what all devices share: memory, scratch, names. */
#include "base/processor.h"
#include "compute/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

deco_status deco_device_create(deco_device **out, const char *name, int threads)
{
    deco_status st = DECO_OK;

    *out = NULL;
    if (!strcasecmp(name, "auto"))
        TRY(deco_backend_best(out, threads));
    else if (strcasecmp(name, "cpu") != 0)
        return deco_backend_create(out, name, threads);
    if (!*out)
        st = cpu_device_create(out, threads);
out:
    return st;
}

void deco_device_free(deco_device *dev)
{
    if (dev)
        dev->ops->destroy(dev);
}

const char *deco_device_name(const deco_device *dev) { return dev->name; }
const char *deco_device_libraries(const deco_device *dev) { return dev->libraries; }
deco_pool *deco_device_pool(deco_device *dev) { return dev->pool; }
bool deco_device_bf16(const deco_device *dev) { return dev->bf16; }

bool deco_device_use_bf16(deco_device *dev, bool use)
{
    bool before = dev->bf16;
    dev->bf16 = use && dev->has_bf16;
    return before;
}

const char *deco_device_arithmetic(const deco_device *dev)
{
    if (!strcmp(dev->name, "cpu"))
        return deco_processor_name(deco_processor_kind());
    return dev->bf16 ? "cuda bf16" : "cuda";
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

deco_status deco_device_alloc(deco_device *dev, void *out_pointer, size_t bytes, const char *what)
{
    void *p = NULL;
    deco_status st = dev->ops->alloc(dev, &p, bytes, what);
    memcpy(out_pointer, &p, sizeof p);
    return st;
}

void deco_device_release(deco_device *dev, void *p)
{
    if (p)
        dev->ops->release(dev, p);
}

deco_status deco_device_upload(deco_device *dev, void *device, const void *host, size_t bytes)
{
    return dev->ops->upload(dev, device, host, bytes);
}

deco_status deco_device_download(deco_device *dev, void *host, const void *device, size_t bytes)
{
    return dev->ops->download(dev, host, device, bytes);
}

deco_status deco_device_wait(deco_device *dev) { return dev->ops->wait(dev); }
size_t deco_device_scratch_bytes(const deco_device *dev) { return atomic_load(&dev->scratch_bytes); }

/* ---- what every backend begins and ends with -------------------------------------------------------------------- */

deco_status deco_device_begin(deco_device *dev, const deco_ops *ops, deco_pool *pool, const char *name)
{
    dev->ops = ops;
    dev->pool = pool;
    dev->scratch = NULL;
    snprintf(dev->name, sizeof dev->name, "%s", name);
    int error = pthread_mutex_init(&dev->scratch_lock, NULL);
    if (error) {
        deco_pool_free(pool);
        return deco_fail(DECO_E_MEMORY, "device %s: no mutex (%s)", name, strerror(error));
    }
    return DECO_OK;
}

/* A block of scratch; its address is what callers hold. */
struct deco_scratch {
    void *p;
    size_t size;
    bool lent;
    struct deco_scratch *next;
};

void deco_device_end(deco_device *dev)
{
    for (struct deco_scratch *s = dev->scratch, *next; s; s = next) {
        next = s->next;
        dev->ops->release(dev, s->p);
        free(s);
    }
    pthread_mutex_destroy(&dev->scratch_lock);
    deco_pool_free(dev->pool);
}

/* The smallest block that is free and long enough. */
static struct deco_scratch *best_block(struct deco_scratch *s, size_t bytes)
{
    struct deco_scratch *best = NULL;
    for (; s; s = s->next)
        if (!s->lent && s->size >= bytes && (!best || s->size < best->size))
            best = s;
    return best;
}

deco_status deco_scratch_take(deco_device *dev, void *out_pointer, size_t bytes, const char *what)
{
    deco_status st = DECO_OK;
    struct deco_scratch *s = NULL;
    void *p = NULL;

    pthread_mutex_lock(&dev->scratch_lock);
    s = best_block(dev->scratch, bytes);
    if (!s) {
        TRY(deco_alloc(&s, 1, sizeof *s, what));
        st = dev->ops->alloc(dev, &s->p, bytes, what);
        if (st) {
            free(s);
            goto out;
        }
        s->size = bytes;
        s->next = dev->scratch;
        dev->scratch = s;
        atomic_fetch_add(&dev->scratch_bytes, bytes);
    }
    s->lent = true;
    p = s->p;
out:
    pthread_mutex_unlock(&dev->scratch_lock);
    memcpy(out_pointer, &p, sizeof p);
    return st;
}

void deco_scratch_give(deco_device *dev, void *p)
{
    pthread_mutex_lock(&dev->scratch_lock);
    for (struct deco_scratch *s = dev->scratch; p && s; s = s->next)
        if (s->p == p)
            s->lent = false;
    pthread_mutex_unlock(&dev->scratch_lock);
}
