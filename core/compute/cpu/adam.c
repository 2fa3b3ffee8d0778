/* Adam and AdamW over a flat vector, and its running mean. */
#include "compute/cpu/cpu.h"
#include "formulas/adam.h"

enum { ELEMENTS = 16384 };

typedef struct adam {
    float *x, *m, *v;
    const float *g;
    deco_adam_factors factors;
} adam;

static deco_status adam_elements(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const adam *a = context;
    float *restrict x = a->x, *restrict m = a->m, *restrict v = a->v;
    const float *restrict g = a->g;
    deco_adam_factors f = a->factors;
    for (int64_t i = begin; i < end; i++)
        deco_adam_update(x + i, m + i, v + i, g[i], f);
    return DECO_OK;
}

deco_status cpu_adam(deco_device *dev, deco_array x, deco_array g, deco_array m, deco_array v, deco_array hyper)
{
    const deco_adam_step *h = hyper.data;
    adam a = {x.data, m.data, v.data, g.data, deco_adam_prepare(h->lr, h->beta1, h->beta2, h->eps, h->decay, (double)h->step)};
    return cpu_for(dev, x.shape[0], ELEMENTS, adam_elements, &a);
}

typedef struct blend {
    float *y;
    const float *x;
    float weight;
} blend;

static deco_status blend_elements(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const blend *b = context;
    for (int64_t i = begin; i < end; i++)
        b->y[i] += b->weight * (b->x[i] - b->y[i]);
    return DECO_OK;
}

deco_status cpu_blend(deco_device *dev, deco_array y, deco_array x, deco_array weight)
{
    blend b = {y.data, x.data, *(const float *)weight.data};
    return cpu_for(dev, y.shape[0], ELEMENTS, blend_elements, &b);
}
