/* The MLP half of an encoder's block, cut like the attention half. Its norm couples all images: what is left of its gradient is worked out
 * when all groups are through. */
#include "compute/cpu/vit_plan.h"
#include "compute/cpu/vit_rows.h"
#include "compute/vit_parts.h"

#include <string.h>

typedef struct half {
    const cpu_vit_plan *plan;
    const cpu_vit_rows *k;
    int64_t T, C, B;
    vit_mlp_parts p;
    cpu_vit_packed fc1, fc2; /* of the weights going forward, or back */
    float *y, *dx;
    const float *x, *dy, *stats;
    float *saved; /* or NULL */
    /* backward, of a group of images */
    int64_t first;
    float *dh, *g, *normal; /* [rows of the group,4C], so too, [rows of the group,C] */
    float *part;            /* [B,7C]: Σ over each image's tokens for β, γ, the biases of fc1 and fc2 */
    const float *mean;      /* [2,C]: of the norm's gradient over all tokens */
} half;

static deco_status worker_floats(float **out, deco_device *dev, const half *h, int worker, int64_t n)
{
    size_t bytes = (size_t)n * sizeof **out + h->plan->scratch;
    *out = cpu_scratch(dev, worker, bytes);
    return *out ? DECO_OK : deco_fail_memory(bytes, "an encoder's block");
}

/* ---- forward --------------------------------------------------------------------------------------------------------- */

static deco_status forward_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    const half *h = context;
    int64_t T = h->T, C = h->C;
    const float *x = h->x + b * T * C;
    float *next;

    TRY(worker_floats(&next, dev, h, worker, 5 * T * C + 64));
    float *normal = cpu_vit_piece(&next, T * C), *g = cpu_vit_piece(&next, 4 * T * C), *wide = h->saved ? h->saved + b * T * 4 * C : g;
    h->k->batch_norm(normal, x, h->stats, h->p.gamma, h->p.beta, T, C);
    TRY(cpu_vit_multiply(h->plan, &h->fc1, wide, normal, next));
    h->k->gelu(h->y ? g : NULL, wide, h->p.fc1_bias, T, 4 * C);
    if (!h->y)
        goto out;
    h->k->add_bias(h->y + b * T * C, x, h->p.fc2_bias, T, C);
    TRY(cpu_vit_multiply(h->plan, &h->fc2, h->y + b * T * C, g, next));
out:
    return st;
}

deco_status cpu_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    half h = {.k = cpu_vit_rows_best(), .T = T, .C = C, .B = B, .p = vit_mlp_at(params.data, C), .y = y.data, .x = x.data};
    void *block = NULL;

    h.saved = saved.data, h.stats = stats.data;
    cpu_vit_packed w[] = {{CPU_VIT_C_4C, h.p.fc1, 4 * C, C, false, NULL}, {CPU_VIT_4C_C_ADD, h.p.fc2, C, 4 * C, false, NULL}};
    if (!B)
        return DECO_OK;
    TRY(cpu_vit_plan_get(dev, &h.plan, T, C));
    TRY(cpu_vit_pack(dev, h.plan, w, y.data ? 2 : 1, &block));
    h.fc1 = w[0], h.fc2 = w[1];
    TRY(cpu_for(dev, B, 1, forward_image, &h));
out:
    deco_scratch_give(dev, block);
    return st;
}

/* ---- backward -------------------------------------------------------------------------------------------------------- */

static deco_status backward_image(deco_device *dev, const void *context, int64_t i, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    const half *h = context;
    int64_t T = h->T, C = h->C, b = h->first + i;
    const float *x = h->x + b * T * C, *dy = h->dy + b * T * C;
    float *dh = h->dh + i * T * 4 * C, *grad = h->dx + b * T * C, *part = h->part + b * 7 * C, *next;

    TRY(worker_floats(&next, dev, h, worker, 16));
    memset(part, 0, (size_t)(7 * C) * sizeof *part);
    TRY(cpu_vit_multiply(h->plan, &h->fc2, dh, dy, next));
    h->k->gelu_backward(dh, h->g + i * T * 4 * C, part + 2 * C, dh, h->saved + b * T * 4 * C, T, 4 * C);
    TRY(cpu_vit_multiply(h->plan, &h->fc1, grad, dh, next));
    h->k->batch_norm_sums(part, grad, x, h->stats, T, C);
    h->k->column_sums(part + 6 * C, dy, NULL, T, C);
    h->k->batch_norm(h->normal + i * T * C, x, h->stats, h->p.gamma, h->p.beta, T, C);
out:
    return st;
}

static deco_status norm_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    const half *h = context;
    int64_t at = b * h->T * h->C;
    h->k->batch_norm_gradient(h->dx + at, h->dx + at, h->dy + at, h->x + at, h->stats, h->p.gamma, h->mean, h->T, h->C);
    return DECO_OK;
}

static deco_status backward_groups(deco_device *dev, half *h, vit_mlp_parts d, float *mean)
{
    deco_status st = DECO_OK;
    int64_t T = h->T, C = h->C, group = cpu_vit_group(T);

    for (h->first = 0; h->first < h->B; h->first += group) {
        int64_t n = h->B - h->first < group ? h->B - h->first : group;
        TRY(cpu_for(dev, n, 1, backward_image, h));
        const cpu_weight_gradient g[] = {{d.fc1, h->dh, h->normal, 4 * C, C}, {d.fc2, h->dy + h->first * T * C, h->g, C, 4 * C}};
        TRY(cpu_weight_gradients(dev, g, 2, n * T, h->first > 0));
    }
    cpu_vit_add_images(d.beta, h->part, h->B, 7 * C, 0, C);
    cpu_vit_add_images(d.gamma, h->part, h->B, 7 * C, C, C);
    cpu_vit_add_images(d.fc1_bias, h->part, h->B, 7 * C, 2 * C, 4 * C);
    cpu_vit_add_images(d.fc2_bias, h->part, h->B, 7 * C, 6 * C, C);
    for (int64_t c = 0; c < C; c++) {
        mean[c] = d.beta[c] / (float)(h->B * T);
        mean[C + c] = d.gamma[c] / (float)(h->B * T);
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
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], most = B < cpu_vit_group(T) ? B : cpu_vit_group(T);
    half h = {.k = cpu_vit_rows_best(), .T = T, .C = C, .B = B, .p = vit_mlp_at(params.data, C), .dx = dx.data, .x = x.data};
    void *block = NULL;
    float *mean = NULL;

    h.dy = dy.data, h.saved = saved.data, h.stats = stats.data;
    cpu_vit_packed w[] = {{CPU_VIT_4C_C, h.p.fc1, 4 * C, C, true, NULL}, {CPU_VIT_C_4C, h.p.fc2, C, 4 * C, true, NULL}};
    TRY(cpu_vit_plan_get(dev, &h.plan, T, C));
    TRY(cpu_vit_pack(dev, h.plan, w, 2, &block));
    h.fc1 = w[0], h.fc2 = w[1];
    TRY(deco_scratch_take(dev, &h.dh, (size_t)(most * T * 4 * C) * sizeof *h.dh, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.g, (size_t)(most * T * 4 * C) * sizeof *h.g, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.normal, (size_t)(most * T * C) * sizeof *h.normal, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &h.part, (size_t)(B * 7 * C) * sizeof *h.part, "an encoder's gradients"));
    TRY(deco_scratch_take(dev, &mean, (size_t)(2 * C) * sizeof *mean, "an encoder's gradients"));
    TRY(backward_groups(dev, &h, vit_mlp_at(dparams.data, C), mean));
out:
    deco_scratch_give(dev, block);
    deco_scratch_give(dev, h.dh);
    deco_scratch_give(dev, h.g);
    deco_scratch_give(dev, h.normal);
    deco_scratch_give(dev, h.part);
    deco_scratch_give(dev, mean);
    return st;
}
