/* The library's one symbol, and the functions of core/ that its code calls by their own names: they are the program's, handed over as
 * pointers, because libcryodeco.so shows none of its symbols but those of cryodeco.h. */
#include "device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const deco_backend_host *cuda_host;

static const deco_backend backend = {
    .version = DECO_BACKEND_VERSION,
    .ops_bytes = sizeof(deco_ops),
    .device_bytes = sizeof(deco_device),
    .cards = cuda_cards,
    .create = cuda_create,
};

DECO_API deco_backend_entry cryodeco_backend;
const deco_backend *cryodeco_backend(const deco_backend_host *host)
{
    cuda_host = host;
    return &backend;
}

deco_status deco_device_begin(deco_device *dev, const deco_ops *ops, deco_pool *pool, const char *name)
{
    return cuda_host->begin(dev, ops, pool, name);
}

void deco_device_end(deco_device *dev) { cuda_host->end(dev); }

deco_status deco_scratch_take(deco_device *dev, void *out_pointer, size_t bytes, const char *what)
{
    return cuda_host->scratch_take(dev, out_pointer, bytes, what);
}

void deco_scratch_give(deco_device *dev, void *p) { cuda_host->scratch_give(dev, p); }

void deco_say(const char *format, ...)
{
    char text[DECO_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cuda_host->say(text);
}

deco_status deco_alloc(void *out_pointer, size_t count, size_t size, const char *what)
{
    void *p = calloc(count ? count : 1, size);
    memcpy(out_pointer, &p, sizeof p);
    return p ? DECO_OK : deco_fail_memory(count * size, what);
}
