/* The attention half of an encoder's block: an image a task, all of its work in one worker's cache; backward in runs of images. */
#include "compute/cpu/attention.h"
#include "compute/cpu/vit_products.h"
#include "compute/cpu/vit_rows.h"
#include "compute/vit_parts.h"

#include <string.h>

static const float layer_norm_eps = 1e-6f;

typedef struct half {
    const cpu_vit_rows *k;
    cpu_attention a;
    vit_attention_parts p;
    cpu_vit_packed qkv, proj; /* of the weights going forward, or back */
    float *y, *dx;
    const float *x, *dy;
    float *saved; /* or NULL */
    int64_t B, rows;
    /* backward: gradients of each run's weights [runs,3C,C] and [runs,C,C]; and [B,6C]: Σ over each image's tokens for γ, β, the biases */
    float *dqkv, *dproj, *part;
} half;

/* ---- forward --------------------------------------------------------------------------------------------------------- */

static deco_status forward_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    const half *h = context;
    int64_t T = h->a.T, C = h->a.C, H = h->a.heads;
    const float *x = h->x + b * T * C;
    float *y = h->y + b * T * C, *next;

    TRY(cpu_vit_scratch(&next, dev, worker, 5 * T * C + cpu_attention_scratch(&h->a) + 4 * CPU_PRODUCT_LINE));
    float *normal = cpu_vit_piece(&next, T * C), *qkv = cpu_vit_piece(&next, 3 * T * C), *o = cpu_vit_piece(&next, T * C);
    float *scores = cpu_vit_piece(&next, cpu_attention_scratch(&h->a)), *stats = NULL, *log_sum = NULL;
    if (h->saved) {
        vit_attention_kept k = vit_attention_kept_at(h->saved, C, h->rows);
        stats = k.stats + b * T * 2, qkv = k.qkv + b * T * 3 * C, o = k.o + b * T * C, log_sum = k.log_sum + b * H * T;
    }
    h->k->layer_norm(normal, stats, x, h->p.gamma, h->p.beta, T, C, layer_norm_eps);
    cpu_vit_multiply(&h->qkv, qkv, normal, T, h->p.qkv_bias, NULL);
    for (int64_t i = 0; i < H; i++)
        cpu_attention_head(&h->a, o, log_sum ? log_sum + i * T : NULL, qkv, i, scores);
    cpu_vit_multiply(&h->proj, y, o, T, h->p.proj_bias, x);
out:
    return st;
}

deco_status cpu_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    half h = {.k = cpu_vit_rows_best(), .a = {T, C, heads}, .p = vit_attention_at(params.data, C), .y = y.data, .x = x.data};
    void *block = NULL;

    h.saved = saved.data, h.B = B, h.rows = B * T;
    cpu_vit_packed w[] = {{h.p.qkv, 3 * C, C, false, NULL}, {h.p.proj, C, C, false, NULL}};
    if (!B)
        return DECO_OK;
    TRY(cpu_vit_pack(dev, w, 2, &block));
    h.qkv = w[0], h.proj = w[1];
    TRY(cpu_for(dev, B, 1, forward_image, &h));
out:
    deco_scratch_give(dev, block);
    return st;
}

/* ---- backward -------------------------------------------------------------------------------------------------------- */

static deco_status backward_image(deco_device *dev, const half *h, int64_t run, bool first, int64_t b, int worker)
{
    deco_status st = DECO_OK;
    int64_t T = h->a.T, C = h->a.C, H = h->a.heads;
    vit_attention_kept k = vit_attention_kept_at(h->saved, C, h->rows);
    const float *x = h->x + b * T * C, *dy = h->dy + b * T * C, *stats = k.stats + b * T * 2, *o = k.o + b * T * C;
    float *part = h->part + b * 6 * C, *next;

    TRY(cpu_vit_scratch(&next, dev, worker,
                        5 * T * C + cpu_attention_scratch(&h->a) + cpu_product_panels(cpu_products_best(), T, C) + 5 * CPU_PRODUCT_LINE));
    float *grad = cpu_vit_piece(&next, T * C), *dqkv = cpu_vit_piece(&next, 3 * T * C), *normal = cpu_vit_piece(&next, T * C);
    float *scores = cpu_vit_piece(&next, cpu_attention_scratch(&h->a)),
          *panels = cpu_vit_piece(&next, cpu_product_panels(cpu_products_best(), T, C));
    memset(part, 0, (size_t)(6 * C) * sizeof *part);
    cpu_vit_multiply(&h->proj, grad, dy, T, NULL, NULL);
    cpu_product_weights(cpu_products_best(), &(cpu_product_gradient){T, C, C, C, h->dproj + run * C * C, dy, o, !first}, panels);
    h->k->column_sums(part + 5 * C, dy, NULL, T, C);
    for (int64_t j = 0; j < H; j++)
        cpu_attention_head_backward(&h->a, dqkv, grad, k.qkv + b * T * 3 * C, o, k.log_sum + (b * H + j) * T, j, scores);
    cpu_vit_multiply(&h->qkv, grad, dqkv, T, NULL, NULL);
    h->k->column_sums(part + 2 * C, dqkv, NULL, T, 3 * C);
    h->k->layer_norm(normal, NULL, x, h->p.gamma, h->p.beta, T, C, layer_norm_eps);
    cpu_product_weights(cpu_products_best(), &(cpu_product_gradient){T, 3 * C, C, C, h->dqkv + run * 3 * C * C, dqkv, normal, !first},
                        panels);
    h->k->layer_norm_backward(h->dx + b * T * C, part, part + C, grad, dy, x, stats, h->p.gamma, T, C);
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

static deco_status add_up(deco_device *dev, const half *h, vit_attention_parts d, int64_t runs)
{
    deco_status st = DECO_OK;
    int64_t C = h->a.C;

    TRY(cpu_vit_add_runs(dev, d.qkv, h->dqkv, runs, 3 * C * C));
    TRY(cpu_vit_add_runs(dev, d.proj, h->dproj, runs, C * C));
    cpu_vit_add_images(d.gamma, h->part, h->B, 6 * C, 0, C);
    cpu_vit_add_images(d.beta, h->part, h->B, 6 * C, C, C);
    cpu_vit_add_images(d.qkv_bias, h->part, h->B, 6 * C, 2 * C, 3 * C);
    cpu_vit_add_images(d.proj_bias, h->part, h->B, 6 * C, 5 * C, C);
out:
    return st;
}

deco_status cpu_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                       deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], each = cpu_vit_run_images(B), runs = cpu_tiles(B, each);
    half h = {.k = cpu_vit_rows_best(), .a = {T, C, heads}, .p = vit_attention_at(params.data, C), .dx = dx.data, .x = x.data};
    void *block = NULL;

    h.dy = dy.data, h.saved = saved.data, h.B = B, h.rows = B * T;
    cpu_vit_packed w[] = {{h.p.qkv, 3 * C, C, true, NULL}, {h.p.proj, C, C, true, NULL}};
    TRY(cpu_vit_pack(dev, w, 2, &block));
    h.qkv = w[0], h.proj = w[1];
    TRY(deco_scratch_take(dev, &h.dqkv, (size_t)(runs * 3 * C * C) * sizeof *h.dqkv, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.dproj, (size_t)(runs * C * C) * sizeof *h.dproj, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.part, (size_t)(B * 6 * C) * sizeof *h.part, "an encoder's gradients"));
    TRY(cpu_for(dev, B, each, backward_run, &h));
    TRY(add_up(dev, &h, vit_attention_at(dparams.data, C), runs));
out:
    deco_scratch_give(dev, block);
    deco_scratch_give(dev, h.dqkv);
    deco_scratch_give(dev, h.dproj);
    deco_scratch_give(dev, h.part);
    return st;
}
