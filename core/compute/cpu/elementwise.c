/* Element by element: sums, ReLU, products, the squared error. */
#include "compute/cpu/cpu.h"

#include <string.h>

/* Elements a tile: 64 KiB of f32, large enough to pay for handing it out. */
enum { TILE = 16384 };

typedef struct arrays {
    float *y;
    const float *a, *b;
} arrays;

static deco_status add_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const arrays *v = context;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->a[i] + v->b[i];
    return DECO_OK;
}

deco_status cpu_add(deco_device *dev, deco_array y, deco_array x, deco_array r)
{
    arrays v = {y.data, x.data, r.data};
    return cpu_for(dev, deco_array_count(x), TILE, add_tile, &v);
}

static deco_status add_relu_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const arrays *v = context;
    for (int64_t i = begin; i < end; i++) {
        float s = v->b ? v->a[i] + v->b[i] : v->a[i];
        v->y[i] = s < 0 ? 0 : s; /* this way round, a NaN goes on */
    }
    return DECO_OK;
}

deco_status cpu_add_relu(deco_device *dev, deco_array y, deco_array x, deco_array r)
{
    arrays v = {y.data, x.data, r.data};
    return cpu_for(dev, deco_array_count(x), TILE, add_relu_tile, &v);
}

static deco_status relu_backward_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const arrays *v = context;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->b[i] > 0 ? v->a[i] : 0;
    return DECO_OK;
}

deco_status cpu_relu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array y)
{
    arrays v = {dx.data, dy.data, y.data};
    return cpu_for(dev, deco_array_count(y), TILE, relu_backward_tile, &v);
}

static deco_status multiply_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const arrays *v = context;
    for (int64_t i = begin; i < end; i++)
        v->y[i] = v->a[i] * v->b[i];
    return DECO_OK;
}

deco_status cpu_multiply(deco_device *dev, deco_array y, deco_array x, deco_array c)
{
    arrays v = {y.data, x.data, c.data};
    return cpu_for(dev, deco_array_count(x), TILE, multiply_tile, &v);
}

static deco_status clear_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    memset((unsigned char *)((const arrays *)context)->y + begin, 0, (size_t)(end - begin));
    return DECO_OK;
}

deco_status cpu_clear(deco_device *dev, deco_array x)
{
    arrays v = {.y = x.data};
    return cpu_for(dev, deco_array_count(x) * (int64_t)x.item, 4 * TILE, clear_tile, &v);
}

/* ---- squared error --------------------------------------------------------------------------------------------- */

typedef struct errors {
    double *part; /* [tiles] sums of squares */
    float *dpred;
    const float *pred, *target;
    float scale; /* 2 / count */
} errors;

static deco_status squared_error_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const errors *e = context;
    double sum[4] = {0}; /* four chains: one addition a cycle instead of one in four */
    for (int64_t i = begin; i < end; i++) {
        float d = e->pred[i] - e->target[i];
        sum[i & 3] += (double)d * d;
    }
    e->part[tile] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int64_t i = begin; e->dpred && i < end; i++)
        e->dpred[i] = e->scale * (e->pred[i] - e->target[i]);
    return DECO_OK;
}

deco_status cpu_squared_error(deco_device *dev, deco_array loss, deco_array dpred, deco_array pred, deco_array target)
{
    deco_status st = DECO_OK;
    int64_t n = deco_array_count(pred), tiles = cpu_tiles(n, TILE);
    errors e = {NULL, dpred.data, pred.data, target.data, (float)(2.0 / (double)n)};
    double sum = 0;

    TRY(deco_scratch_take(dev, &e.part, (size_t)tiles * sizeof *e.part, "sums of squares"));
    TRY(cpu_for(dev, n, TILE, squared_error_tile, &e));
    for (int64_t t = 0; t < tiles; t++)
        sum += e.part[t];
    *(double *)loss.data = sum / (double)n;
out:
    deco_scratch_give(dev, e.part);
    return st;
}
