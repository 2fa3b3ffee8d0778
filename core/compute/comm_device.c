/* Numbers of a device: through the host's memory, where they do not lie in it. */
#include "compute/comm_parts.h"

#include <stdlib.h>
#include <string.h>

static bool is_host(const deco_device *dev) { return !strcmp(deco_device_name(dev), "cpu"); }

/* Room for n numbers, kept; and what the device holds in it. */
static deco_status fetch(deco_comm *c, deco_device *dev, const float *x, int64_t n)
{
    deco_status st = DECO_OK;

    if ((size_t)n > c->host_size) {
        free(c->host);
        c->host = NULL;
        c->host_size = 0;
        TRY(deco_alloc(&c->host, (size_t)n, sizeof *c->host, "numbers for the workers"));
        c->host_size = (size_t)n;
    }
    TRY(deco_device_download(dev, c->host, x, (size_t)n * sizeof *x));
out:
    return st;
}

deco_status deco_comm_sum_on(deco_comm *c, deco_device *dev, float *x, int64_t n, double weight, const char *what)
{
    deco_status st = DECO_OK;

    if (!c || is_host(dev))
        return deco_comm_sum(c, x, n, weight, what);
    TRY(fetch(c, dev, x, n));
    TRY(deco_comm_sum(c, c->host, n, weight, what));
    TRY(deco_device_upload(dev, x, c->host, (size_t)n * sizeof *x));
out:
    return st;
}

deco_status deco_comm_gather_on(deco_comm *c, deco_device *dev, float *x, const int64_t *first, int64_t width, const char *what)
{
    deco_status st = DECO_OK;
    size_t *bytes = NULL;
    int64_t n = c ? first[c->size] * width : 0;

    if (!c)
        return DECO_OK;
    TRY(deco_alloc(&bytes, (size_t)c->size + 1, sizeof *bytes, "a gather over the workers"));
    for (int i = 0; i <= c->size; i++)
        bytes[i] = (size_t)(first[i] * width) * sizeof *x;
    if (is_host(dev)) {
        st = deco_comm_gather(c, x, bytes, what);
        goto out;
    }
    TRY(fetch(c, dev, x, n));
    TRY(deco_comm_gather(c, c->host, bytes, what));
    TRY(deco_device_upload(dev, x, c->host, (size_t)n * sizeof *x));
out:
    free(bytes);
    return st;
}

deco_status deco_comm_share_on(deco_comm *c, deco_device *dev, float *x, int64_t n, const char *what)
{
    deco_status st = DECO_OK;

    if (!c || is_host(dev))
        return deco_comm_share(c, x, (size_t)n * sizeof *x, what);
    TRY(fetch(c, dev, x, n));
    TRY(deco_comm_share(c, c->host, (size_t)n * sizeof *x, what));
    TRY(deco_device_upload(dev, x, c->host, (size_t)n * sizeof *x));
out:
    return st;
}
