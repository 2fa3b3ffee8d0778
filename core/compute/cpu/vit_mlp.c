/* The MLP half of an encoder's block, cut like the attention half. Its norm couples all images: what is left of its gradient is worked out
 * when all groups are through. Going forward the hidden numbers of an image are made and used by parts of so many as fc2's product adds at
 * a time: a part of 257 tokens stays in the second-level cache, all of them do not. */
#include "compute/cpu/vit_products.h"
#include "compute/cpu/vit_rows.h"
#include "compute/vit_parts.h"

#include <string.h>

typedef struct half {
    const cpu_vit_rows *k;
    int64_t T, C, B;
    vit_mlp_parts p;
    cpu_vit_packed fc1, fc2; /* of the weights going back */
    const cpu_vit_packed *w; /* going forward: fc1 by parts, then fc2 */
    int64_t hidden, parts;   /* hidden numbers of a part, but the last */
    float *y, *dx;
    const float *x, *dy, *stats;
    float *saved; /* or NULL */
    /* backward: gradients of each run's weights [runs,4C,C] and [runs,C,4C]; [B,7C]: Σ over each image's tokens for β, γ, the biases */
    float *dfc1, *dfc2, *part;
    const float *mean; /* [2,C]: of the norm's gradient over all tokens */
} half;

/* ---- forward --------------------------------------------------------------------------------------------------------- */

/* The first hidden number of a part. */
static int64_t part_begin(const half *h, int64_t i) { return i < h->parts ? i * h->hidden : 4 * h->C; }

static deco_status forward_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    const half *h = context;
    const cpu_products *products = cpu_products_best();
    int64_t T = h->T, C = h->C;
    const float *x = h->x + b * T * C;
    float *y = h->y + b * T * C, *next;

    TRY(cpu_vit_scratch(&next, dev, worker, T * C + T * h->hidden + 2 * CPU_PRODUCT_LINE));
    float *normal = cpu_vit_piece(&next, T * C), *g = next;
    h->k->batch_norm(normal, x, h->stats, h->p.gamma, h->p.beta, T, C);
    for (int64_t i = 0; i < h->parts; i++) {
        int64_t first = part_begin(h, i), n = part_begin(h, i + 1) - first, ld = h->saved ? 4 * C : n;
        float *wide = h->saved ? h->saved + b * T * 4 * C + first : g;
        cpu_product up = {.M = T, .N = n, .K = C, .c = wide, .ldc = ld, .a = normal, .row = C, .step = 1, .b = h->w[i].packed};
        cpu_product down = {.M = T, .N = C, .K = n, .c = y, .ldc = C, .a = g, .row = n, .step = 1};
        up.bias = h->p.fc1_bias + first;
        products->multiply(&up);
        if (!h->y)
            continue;
        for (int64_t row = 0; row < T; row++)
            h->k->gelu(g + row * n, wide + row * ld, n);
        down.b = h->w[h->parts].packed + cpu_product_packed(products, first, C);
        down.bias = i ? NULL : h->p.fc2_bias;
        down.onto = i ? y : x;
        products->multiply(&down);
    }
out:
    return st;
}

deco_status cpu_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    half h = {.k = cpu_vit_rows_best(), .T = T, .C = C, .B = B, .p = vit_mlp_at(params.data, C), .y = y.data, .x = x.data};
    cpu_vit_packed *w = NULL;
    void *block = NULL;

    if (!B)
        return DECO_OK;
    h.saved = saved.data, h.stats = stats.data;
    h.hidden = cpu_product_part(cpu_products_best(), 4 * C), h.parts = cpu_tiles(4 * C, h.hidden);
    TRY(deco_scratch_take(dev, &w, ((size_t)h.parts + 1) * sizeof *w, "weights to pack"));
    for (int64_t i = 0; i < h.parts; i++)
        w[i] = (cpu_vit_packed){h.p.fc1 + part_begin(&h, i) * C, part_begin(&h, i + 1) - part_begin(&h, i), C, false, NULL};
    w[h.parts] = (cpu_vit_packed){h.p.fc2, C, 4 * C, false, NULL};
    TRY(cpu_vit_pack(dev, w, (int)h.parts + (y.data != NULL), &block));
    h.w = w;
    TRY(cpu_for(dev, B, 1, forward_image, &h));
out:
    deco_scratch_give(dev, block);
    deco_scratch_give(dev, w);
    return st;
}

/* ---- backward -------------------------------------------------------------------------------------------------------- */

static deco_status backward_image(deco_device *dev, const half *h, int64_t run, bool first, int64_t b, int worker)
{
    deco_status st = DECO_OK;
    int64_t T = h->T, C = h->C;
    const float *x = h->x + b * T * C, *dy = h->dy + b * T * C;
    float *grad = h->dx + b * T * C, *part = h->part + b * 7 * C, *next;

    TRY(cpu_vit_scratch(&next, dev, worker, 9 * T * C + cpu_product_panels(cpu_products_best(), T, C) + 4 * CPU_PRODUCT_LINE));
    float *dh = cpu_vit_piece(&next, 4 * T * C), *g = cpu_vit_piece(&next, 4 * T * C), *normal = cpu_vit_piece(&next, T * C);
    float *panels = cpu_vit_piece(&next, cpu_product_panels(cpu_products_best(), T, C));
    memset(part, 0, (size_t)(7 * C) * sizeof *part);
    cpu_vit_multiply(&h->fc2, dh, dy, T, NULL, NULL);
    h->k->gelu_backward(dh, g, part + 2 * C, dh, h->saved + b * T * 4 * C, T, 4 * C);
    cpu_product_weights(cpu_products_best(), &(cpu_product_gradient){T, C, 4 * C, 4 * C, h->dfc2 + run * 4 * C * C, dy, g, !first}, panels);
    h->k->column_sums(part + 6 * C, dy, NULL, T, C);
    cpu_vit_multiply(&h->fc1, grad, dh, T, NULL, NULL);
    h->k->batch_norm(normal, x, h->stats, h->p.gamma, h->p.beta, T, C);
    cpu_product_weights(cpu_products_best(), &(cpu_product_gradient){T, 4 * C, C, C, h->dfc1 + run * 4 * C * C, dh, normal, !first},
                        panels);
    h->k->batch_norm_sums(part, grad, x, h->stats, T, C);
out:
    return st;
}

static deco_status backward_run(deco_device *dev, const void *context, int64_t run, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    for (int64_t b = begin; !st && b < end; b++)
        st = backward_image(dev, context, run, b == begin, b, worker);
    return st;
}

static deco_status norm_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    const half *h = context;
    int64_t at = b * h->T * h->C;
    h->k->batch_norm_gradient(h->dx + at, h->dx + at, h->dy + at, h->x + at, h->stats, h->p.gamma, h->mean, h->T, h->C);
    return DECO_OK;
}

/* What the runs left, and the norm's gradient of all tokens together. */
static deco_status add_up(deco_device *dev, half *h, vit_mlp_parts d, int64_t runs, float *mean)
{
    deco_status st = DECO_OK;
    int64_t C = h->C, rows = h->B * h->T;

    TRY(cpu_vit_add_runs(dev, d.fc1, h->dfc1, runs, 4 * C * C));
    TRY(cpu_vit_add_runs(dev, d.fc2, h->dfc2, runs, 4 * C * C));
    cpu_vit_add_images(d.beta, h->part, h->B, 7 * C, 0, C);
    cpu_vit_add_images(d.gamma, h->part, h->B, 7 * C, C, C);
    cpu_vit_add_images(d.fc1_bias, h->part, h->B, 7 * C, 2 * C, 4 * C);
    cpu_vit_add_images(d.fc2_bias, h->part, h->B, 7 * C, 6 * C, C);
    for (int64_t c = 0; c < C; c++) {
        mean[c] = d.beta[c] / (float)rows;
        mean[C + c] = d.gamma[c] / (float)rows;
    }
    h->mean = mean;
    TRY(cpu_for(dev, h->B, 1, norm_image, h));
out:
    return st;
}

deco_status cpu_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved, deco_array x,
                                 deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], each = cpu_vit_run_images(B), runs = cpu_tiles(B, each);
    half h = {.k = cpu_vit_rows_best(), .T = T, .C = C, .B = B, .p = vit_mlp_at(params.data, C), .dx = dx.data, .x = x.data};
    void *block = NULL;
    float *mean = NULL;

    h.dy = dy.data, h.saved = saved.data, h.stats = stats.data;
    cpu_vit_packed w[] = {{h.p.fc1, 4 * C, C, true, NULL}, {h.p.fc2, C, 4 * C, true, NULL}};
    TRY(cpu_vit_pack(dev, w, 2, &block));
    h.fc1 = w[0], h.fc2 = w[1];
    TRY(deco_scratch_take(dev, &h.dfc1, (size_t)(runs * 4 * C * C) * sizeof *h.dfc1, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.dfc2, (size_t)(runs * 4 * C * C) * sizeof *h.dfc2, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.part, (size_t)(B * 7 * C) * sizeof *h.part, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &mean, (size_t)(2 * C) * sizeof *mean, "an encoder's gradients"));
    TRY(cpu_for(dev, B, each, backward_run, &h));
    TRY(add_up(dev, &h, vit_mlp_at(dparams.data, C), runs, mean));
out:
    deco_scratch_give(dev, block);
    deco_scratch_give(dev, h.dfc1);
    deco_scratch_give(dev, h.dfc2);
    deco_scratch_give(dev, h.part);
    deco_scratch_give(dev, mean);
    return st;
}
