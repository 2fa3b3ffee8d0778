/* Adam and AdamW over a flat vector, Adam over a table that some rows have a gradient of, and a running mean. */
#include "compute/cpu/cpu.h"
#include "compute/cpu/vit_rows.h"
#include "formulas/adam.h"

#include <string.h>

enum { ELEMENTS = 16384 };

typedef struct adam {
    float *x, *m, *v;
    const float *g;
    deco_adam_factors factors;
} adam;

static deco_status adam_elements(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const adam *a = context;
    cpu_vit_rows_best()->adam(a->x + begin, a->m + begin, a->v + begin, a->g + begin, &a->factors, end - begin);
    return DECO_OK;
}

deco_status cpu_adam(deco_device *dev, deco_array x, deco_array g, deco_array m, deco_array v, deco_array hyper)
{
    const deco_adam_step *h = hyper.data;
    adam a = {x.data, m.data, v.data, g.data, deco_adam_prepare(h->lr, h->beta1, h->beta2, h->eps, h->decay, (double)h->step)};
    return cpu_for(dev, x.shape[0], ELEMENTS, adam_elements, &a);
}

typedef struct adam_table {
    float *x, *m, *v;
    const float *g;
    const int64_t *row;
    int64_t B, W;
    deco_adam_factors factors;
} adam_table;

/* A tile's gradient is put together in the worker's buffer: the table's would be as large as the table. */
static deco_status adam_table_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const adam_table *a = context;
    int64_t W = a->W, n = (end - begin) * W;
    float *g = cpu_scratch(dev, worker, (size_t)n * sizeof *g), *x = a->x + begin * W, *m = a->m + begin * W, *v = a->v + begin * W;

    if (!g)
        return deco_fail_memory((size_t)n * sizeof *g, "gradients of a table");
    memset(g, 0, (size_t)n * sizeof *g);
    for (int64_t i = 0; i < a->B; i++)
        for (int64_t c = 0; c < W && a->row[i] >= begin && a->row[i] < end; c++)
            g[(a->row[i] - begin) * W + c] += a->g[i * W + c];
    for (int64_t i = 0; i < n; i++)
        deco_adam_update(x + i, m + i, v + i, g[i], a->factors);
    return DECO_OK;
}

deco_status cpu_adam_rows(deco_device *dev, deco_array x, deco_array g, deco_array row, deco_array m, deco_array v, deco_array hyper)
{
    const deco_adam_step *h = hyper.data;
    int64_t N = x.shape[0], W = x.shape[1], rows = W < ELEMENTS ? ELEMENTS / (W > 0 ? W : 1) : 1;
    adam_table a = {.x = x.data, .m = m.data, .v = v.data, .g = g.data, .row = row.data, .B = row.shape[0], .W = W};

    a.factors = deco_adam_prepare(h->lr, h->beta1, h->beta2, h->eps, h->decay, (double)h->step);
    for (int64_t i = 0; i < a.B; i++)
        if (a.row[i] < 0 || a.row[i] >= N)
            return deco_fail(DECO_E_ARGUMENT, "row[%lld] is %lld; the table has rows 0 to %lld", (long long)i, (long long)a.row[i],
                             (long long)N - 1);
    return cpu_for(dev, N, rows, adam_table_rows, &a);
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
