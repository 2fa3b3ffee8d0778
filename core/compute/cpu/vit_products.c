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
    int64_t floats = 0;

    for (int i = 0; i < n; i++) {
        cpu_product_side side = side_of(&weights[i]);
        floats += cpu_product_line(cpu_product_packed(side.K, side.N));
    }
    TRY(deco_scratch_take(dev, block, (size_t)floats * sizeof(float), "packed weights"));
    float *next = *block;
    for (int i = 0; i < n; i++) {
        cpu_product_side side = side_of(&weights[i]);
        weights[i].packed = cpu_vit_piece(&next, cpu_product_packed(side.K, side.N));
        TRY(cpu_for(dev, side.N, PANELS * cpu_products_best()->columns, pack_columns, &weights[i]));
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

int64_t cpu_vit_panels(int64_t T, int64_t n) { return cpu_product_packed(T, n) + cpu_product_packed(T, cpu_products_best()->columns); }

/* Columns of one side: all packed at once, or panel by panel. */
typedef struct side {
    const float *x;
    int64_t n, first; /* [T,n]; the first column of the panel */
    float *packed;
    bool whole;
} side;

static int64_t panel_width(const side *s, const cpu_products *k) { return s->n - s->first < k->columns ? s->n - s->first : k->columns; }

/* Both sides are packed: dy as it lies would be read down its columns, a cache line a number. */
static const float *panel_of(const side *s, const cpu_products *k, int64_t T)
{
    if (s->whole)
        return s->packed + s->first * T;
    k->pack(s->packed, &(cpu_product_side){s->x + s->first, s->n, 1, T, panel_width(s, k)}, 0, INT64_MAX);
    return s->packed;
}

static void block_of_gradient(float *part, const cpu_products *k, const side *dy, const float *a, const side *x, const float *b, int64_t T,
                              bool add)
{
    int64_t columns = dy->n - dy->first < k->columns ? cpu_product_line(panel_width(dy, k)) : k->columns;
    cpu_product p = {.M = panel_width(dy, k), .N = panel_width(x, k), .K = T, .ldc = x->n, .a = a, .row = 1, .step = columns, .b = b};
    p.c = part + dy->first * x->n + x->first;
    p.onto = add ? p.c : NULL;
    k->multiply(&p);
}

/* Of at most k->rows tokens. */
static void gradient_of_tokens(float *part, const cpu_products *k, side *dy, side *x, int64_t T, bool add)
{
    side *inner = dy->whole ? dy : x, *outer = dy->whole ? x : dy;
    k->pack(inner->packed, &(cpu_product_side){inner->x, inner->n, 1, T, inner->n}, 0, INT64_MAX);
    for (outer->first = 0; outer->first < outer->n; outer->first += k->columns) {
        const float *of_outer = panel_of(outer, k, T);
        for (inner->first = 0; inner->first < inner->n; inner->first += k->columns) {
            const float *of_inner = panel_of(inner, k, T);
            block_of_gradient(part, k, dy, dy->whole ? of_inner : of_outer, x, dy->whole ? of_outer : of_inner, T, add);
        }
    }
}

void cpu_vit_weight_gradient(float *part, const float *dy, int64_t O, const float *x, int64_t I, int64_t T, bool add, float *panels)
{
    const cpu_products *k = cpu_products_best();
    float *panel = panels + cpu_product_packed(T, O < I ? O : I);
    for (int64_t t = 0; t < T; t += k->rows) {
        side of_dy = {dy + t * O, O, 0, O < I ? panels : panel, O < I}, of_x = {x + t * I, I, 0, O < I ? panel : panels, O >= I};
        gradient_of_tokens(part, k, &of_dy, &of_x, T - t < k->rows ? T - t : k->rows, add || t);
    }
}

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
