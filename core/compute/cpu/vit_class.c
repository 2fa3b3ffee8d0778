/* The attention half of an encoder's last block, of the class tokens alone: keys and values of all tokens an image a task, the rest of all
 * images together. */
#include "compute/cpu/dnnl.h"
#include "compute/cpu/vit_products.h"
#include "compute/cpu/vit_rows.h"
#include "compute/vit_parts.h"

#include <math.h>

static const float layer_norm_eps = 1e-6f;

typedef struct half {
    const cpu_vit_rows *k;
    vit_attention_parts p;
    cpu_vit_packed kv;
    int64_t T, C, heads;
    float *o;           /* [B,C] */
    const float *x, *q; /* [B,T,C], [B,C] */
} half;

static deco_status attend(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    const half *h = context;
    int64_t T = h->T, C = h->C, width = C / h->heads;
    float *next, log_sum, scale;

    TRY(cpu_vit_scratch(&next, dev, worker, 3 * T * C + T + 3 * CPU_PRODUCT_LINE));
    float *normal = cpu_vit_piece(&next, T * C), *kv = cpu_vit_piece(&next, 2 * T * C), *scores = cpu_vit_piece(&next, T);
    h->k->layer_norm(normal, NULL, h->x + b * T * C, h->p.gamma, h->p.beta, T, C, layer_norm_eps);
    cpu_vit_multiply(&h->kv, kv, normal, T, h->p.qkv_bias + C, NULL);
    for (int64_t i = 0; i < h->heads; i++) {
        float *o = h->o + b * C + i * width;
        TRY(deco_cpu_sgemm(false, true, 1, T, width, 1, h->q + b * C + i * width, C, kv + i * width, 2 * C, 0, scores, T));
        h->k->softmax(scores, &log_sum, &scale, (float)(1 / sqrt((double)width)), T, 1, T);
        TRY(deco_cpu_sgemm(false, false, 1, width, T, scale, scores, T, kv + C + i * width, 2 * C, 0, o, C));
    }
out:
    return st;
}

deco_status cpu_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    half h = {.k = cpu_vit_rows_best(), .p = vit_attention_at(params.data, C), .T = T, .C = C, .heads = heads, .x = x.data};
    void *block = NULL;
    float *normal = NULL, *q = NULL;
    cpu_vit_packed kv = {h.p.qkv + C * C, 2 * C, C, false, NULL}; /* rows of qkv's weights: queries come first */

    if (!B)
        return DECO_OK;
    TRY(deco_scratch_take(dev, &normal, (size_t)(B * C) * sizeof *normal, "class tokens"));
    TRY(deco_scratch_take(dev, &q, (size_t)(B * C) * sizeof *q, "class tokens"));
    TRY(cpu_vit_pack(dev, &kv, 1, &block));
    h.kv = kv, h.q = q, h.o = normal;
    TRY(cpu_class_token(dev, y, x));
    TRY(cpu_layer_norm(dev, deco_f32_2(normal, B, C), deco_none(), y, deco_f32_1(h.p.gamma, C), deco_f32_1(h.p.beta, C), layer_norm_eps));
    TRY(cpu_linear(dev, deco_f32_2(q, B, C), deco_f32_2(normal, B, C), deco_f32_2(h.p.qkv, C, C), deco_f32_1(h.p.qkv_bias, C),
                   DECO_LINEAR));
    TRY(cpu_for(dev, B, 1, attend, &h));
    TRY(cpu_linear(dev, deco_f32_2(q, B, C), deco_f32_2(h.o, B, C), deco_f32_2(h.p.proj, C, C), deco_f32_1(h.p.proj_bias, C), DECO_LINEAR));
    TRY(cpu_add(dev, y, y, deco_f32_2(q, B, C)));
out:
    deco_scratch_give(dev, normal);
    deco_scratch_give(dev, q);
    deco_scratch_give(dev, block);
    return st;
}
