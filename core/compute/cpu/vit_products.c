/* Weights of the encoder packed by the pool, products with them; gradients of runs of images added up. */
#include "compute/cpu/vit_products.h"
#include "compute/cpu/vit_rows.h"

enum { ELEMENTS = 4096, PANELS = 2 };

/* ---- weights ------------------------------------------------------------------------------------------------------- */

static cpu_product_side side_of(const cpu_vit_packed *w)
{
    cpu_product_side forward = {w->w, 1, w->I, w->I, w->O}, back = {w->w, w->I, 1, w->O, w->I};
    return w->back ? back : forward;
}

static deco_status pack_columns(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const cpu_vit_packed *w = context;
    cpu_product_side side = side_of(w);
    cpu_products_best()->pack(w->packed, &side, begin, end);
    return DECO_OK;
}

deco_status cpu_vit_pack(deco_device *dev, cpu_vit_packed *weights, int n, void **block)
{
    deco_status st = DECO_OK;
    const cpu_products *k = cpu_products_best();
    int64_t floats = 0;

    for (int i = 0; i < n; i++) {
        cpu_product_side side = side_of(&weights[i]);
        floats += cpu_product_line(cpu_product_packed(k, side.K, side.N));
    }
    TRY(deco_scratch_take(dev, block, (size_t)floats * sizeof(float), "packed weights"));
    float *next = *block;
    for (int i = 0; i < n; i++) {
        cpu_product_side side = side_of(&weights[i]);
        weights[i].packed = cpu_vit_piece(&next, cpu_product_packed(k, side.K, side.N));
        TRY(cpu_for(dev, side.N, PANELS * k->columns, pack_columns, &weights[i]));
    }
out:
    return st;
}

void cpu_vit_multiply(const cpu_vit_packed *w, float *y, const float *x, int64_t T, const float *bias, const float *onto)
{
    cpu_product_side side = side_of(w);
    cpu_product p = {.M = T, .N = side.N, .K = side.K, .c = y, .onto = onto, .ldc = side.N, .a = x, .row = side.K, .step = 1};
    p.b = w->packed, p.bias = bias;
    cpu_products_best()->multiply(&p);
}

/* ---- gradients of weights ------------------------------------------------------------------------------------------- */

typedef struct runs_sum {
    float *dw;
    const float *part;
    int64_t runs, n;
} runs_sum;

static deco_status add_elements(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const runs_sum *s = context;
    cpu_vit_rows_best()->add_runs(s->dw + begin, s->part + begin, s->runs, s->n, end - begin);
    return DECO_OK;
}

deco_status cpu_vit_add_runs(deco_device *dev, float *dw, const float *part, int64_t runs, int64_t n)
{
    runs_sum s = {dw, part, runs, n};
    return cpu_for(dev, n, ELEMENTS, add_elements, &s);
}

void cpu_vit_add_images(float *out, const float *part, int64_t B, int64_t columns, int64_t first, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        double sum = 0;
        for (int64_t b = 0; b < B; b++)
            sum += part[b * columns + first + c];
        out[c] = (float)sum;
    }
}
