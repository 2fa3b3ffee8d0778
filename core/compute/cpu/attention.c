/* Attention with an exact softmax, a tile of query rows at a time; backward works the probabilities out again. METHOD.md section 4. */
#include "compute/cpu/attention.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/product.h"
#include "compute/cpu/vit_rows.h"

#include <math.h>

/* Query rows a tile, at most: two tiles of 129 and 128 for the encoder's 257 tokens, 140 kB of scores. */
enum { MOST_ROWS = 144 };

/* One head on its way. Scores are [rows,wide], `wide` T in whole lines: what stands past T is never read. */
typedef struct head {
    const cpu_products *products;
    const cpu_vit_rows *k;
    int64_t T, width, step, wide; /* rows of q, k, v are `step` apart */
    const float *Q, *K, *V;
    float factor;
} head;

static int64_t rows_of(const cpu_attention *a)
{
    int64_t tiles = cpu_tiles(a->T, MOST_ROWS);
    return tiles ? cpu_tiles(a->T, tiles) : 1;
}

/* What is packed: k and v [T,width] both ways, a tile's q and do. */
static int64_t whole_of(const cpu_attention *a)
{
    const cpu_products *k = cpu_products_best();
    int64_t width = a->C / a->heads, along = cpu_product_packed(k, a->T, width), across = cpu_product_packed(k, width, a->T);
    return cpu_product_line(along > across ? along : across);
}
static int64_t tile_of(const cpu_attention *a)
{
    return cpu_product_line(cpu_product_packed(cpu_products_best(), rows_of(a), a->C / a->heads));
}
static int64_t scores_of(const cpu_attention *a) { return rows_of(a) * cpu_product_line(a->T); }

int64_t cpu_attention_scratch(const cpu_attention *a)
{
    return 2 * scores_of(a) + 3 * cpu_product_line(rows_of(a)) + 3 * whole_of(a) + tile_of(a);
}

static head head_of(const cpu_attention *a, const float *qkv, int64_t i)
{
    int64_t width = a->C / a->heads;
    head h = {.products = cpu_products_best(), .k = cpu_vit_rows_best(), .T = a->T, .width = width, .step = 3 * a->C};
    h.wide = cpu_product_line(a->T), h.factor = (float)(1 / sqrt((double)width));
    h.Q = qkv + i * width, h.K = h.Q + a->C, h.V = h.K + a->C;
    return h;
}

/* x [rows,width], rows `step` apart, for products with it and, across, with its transpose. */
static void pack(float *packed, const head *h, const float *x, int64_t step, int64_t rows, bool across)
{
    cpu_product_side along = {x, step, 1, rows, h->width}, turned = {x, 1, step, h->width, rows};
    h->products->pack(packed, across ? &turned : &along, 0, INT64_MAX);
}

/* scores [n,wide] = x [n,width] yᵀ. */
static void scores_with(float *scores, const head *h, const float *x, int64_t step, int64_t n, const float *packed)
{
    h->products->multiply(
        &(cpu_product){.M = n, .N = h->wide, .K = h->width, .c = scores, .ldc = h->wide, .a = x, .row = step, .step = 1, .b = packed});
}

void cpu_attention_head(const cpu_attention *a, float *o, float *log_sum, const float *qkv, int64_t i, float *scratch)
{
    head h = head_of(a, qkv, i);
    int64_t T = h.T, C = a->C, most = rows_of(a);
    float *scores = scratch, *K = scores + scores_of(a), *V = K + whole_of(a), *scale = V + whole_of(a);
    float *sums = scale + cpu_product_line(most);

    pack(K, &h, h.K, h.step, T, true);
    pack(V, &h, h.V, h.step, T, false);
    for (int64_t t = 0; t < T; t += most) {
        int64_t n = T - t < most ? T - t : most;
        float *to = o + t * C + i * h.width;
        scores_with(scores, &h, h.Q + t * h.step, h.step, n, K);
        h.k->softmax(scores, log_sum ? log_sum + t : sums, scale, h.factor, h.wide, n, T);
        h.products->multiply(
            &(cpu_product){.M = n, .N = h.width, .K = T, .c = to, .ldc = C, .a = scores, .row = h.wide, .step = 1, .b = V});
        h.k->scale_rows(to, scale, C, n, h.width);
    }
}

/* dx [T,width] = sᵀ y, s [n,wide] and y [n,width] of one tile; += from the second tile on. */
static void add_keys(float *dx, const head *h, const float *s, const float *y, int64_t step, int64_t n, bool add, float *packed)
{
    pack(packed, h, y, step, n, false);
    cpu_product p = {.M = h->T, .N = h->width, .K = n, .c = dx, .ldc = h->step, .a = s, .row = 1, .step = h->wide, .b = packed};
    p.onto = add ? dx : NULL;
    h->products->multiply(&p);
}

void cpu_attention_head_backward(const cpu_attention *a, float *dqkv, const float *dout, const float *qkv, const float *o,
                                 const float *log_sum, int64_t i, float *scratch)
{
    head h = head_of(a, qkv, i);
    int64_t T = h.T, C = a->C, most = rows_of(a);
    float *dQ = dqkv + i * h.width, *dK = dQ + C, *dV = dK + C;
    float *p = scratch, *dp = p + scores_of(a), *turned_K = dp + scores_of(a), *turned_V = turned_K + whole_of(a);
    float *K = turned_V + whole_of(a), *tile = K + whole_of(a), *delta = tile + tile_of(a);

    pack(turned_K, &h, h.K, h.step, T, true);
    pack(turned_V, &h, h.V, h.step, T, true);
    pack(K, &h, h.K, h.step, T, false);
    for (int64_t t = 0; t < T; t += most) {
        int64_t n = T - t < most ? T - t : most;
        const float *q = h.Q + t * h.step, *g = dout + t * C + i * h.width;
        scores_with(p, &h, q, h.step, n, turned_K);
        scores_with(dp, &h, g, C, n, turned_V);
        h.k->dots(delta, g, o + t * C + i * h.width, C, n, h.width);
        h.k->softmax_backward(p, dp, log_sum + t, delta, h.factor, h.wide, n, T);
        add_keys(dV, &h, p, g, C, n, t, tile);
        add_keys(dK, &h, dp, q, h.step, n, t, tile);
        h.products->multiply(
            &(cpu_product){.M = n, .N = h.width, .K = T, .c = dQ + t * h.step, .ldc = h.step, .a = dp, .row = h.wide, .step = 1, .b = K});
    }
}

/* ---- the primitive: a head of an image a task ------------------------------------------------------------------------ */

typedef struct attention {
    cpu_attention a;
    float *o, *log_sum, *dqkv;
    const float *qkv, *dout, *kept_o, *kept_log_sum;
} attention;

static deco_status heads(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const attention *x = context;
    int64_t T = x->a.T, C = x->a.C, H = x->a.heads;
    size_t bytes = (size_t)cpu_attention_scratch(&x->a) * sizeof(float);
    float *scratch = cpu_scratch(dev, worker, bytes);

    if (!scratch)
        return deco_fail_memory(bytes, "attention");
    for (int64_t i = begin; i < end; i++) {
        const float *qkv = x->qkv + i / H * T * 3 * C;
        if (x->dqkv)
            cpu_attention_head_backward(&x->a, x->dqkv + i / H * T * 3 * C, x->dout + i / H * T * C, qkv, x->kept_o + i / H * T * C,
                                        x->kept_log_sum + i * T, i % H, scratch);
        else
            cpu_attention_head(&x->a, x->o + i / H * T * C, x->log_sum ? x->log_sum + i * T : NULL, qkv, i % H, scratch);
    }
    return DECO_OK;
}

deco_status cpu_attention_forward(deco_device *dev, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads_)
{
    attention x = {.a = {qkv.shape[1], qkv.shape[2] / 3, heads_}, .o = o.data, .log_sum = log_sum.data, .qkv = qkv.data};
    return cpu_for(dev, qkv.shape[0] * heads_, 1, heads, &x);
}

deco_status cpu_attention_backward(deco_device *dev, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                   int64_t heads_)
{
    attention x = {.a = {qkv.shape[1], qkv.shape[2] / 3, heads_}, .dqkv = dqkv.data, .dout = dout.data, .qkv = qkv.data};
    x.kept_o = o.data, x.kept_log_sum = log_sum.data;
    return cpu_for(dev, qkv.shape[0] * heads_, 1, heads, &x);
}
