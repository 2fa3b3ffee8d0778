/* The encoder's half blocks made of primitives, all images at once. METHOD.md section 4. */
#include "compute/composed.h"
#include "compute/table.h"
#include "compute/vit_parts.h"

static const float layer_norm_eps = 1e-6f;

/* Numbers of a call that nobody keeps: so many floats, or none. */
static deco_status take(deco_device *dev, float **out, int64_t n)
{
    return deco_scratch_take(dev, out, (size_t)n * sizeof **out, "an encoder's block");
}

deco_status composed_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], M = B * T;
    vit_attention_parts p = vit_attention_at(params.data, C);
    float *normal = NULL, *block = NULL;
    deco_array rows = deco_f32_2(x.data, M, C);

    TRY(take(dev, &normal, M * C));
    if (!saved.data)
        TRY(take(dev, &block, deco_vit_attention_saved(C, heads, M)));
    vit_attention_kept k = vit_attention_kept_at(saved.data ? saved.data : block, C, M);
    TRY(deco_layer_norm(dev, deco_f32_2(normal, M, C), deco_f32_2(k.stats, M, 2), rows, deco_f32_1(p.gamma, C), deco_f32_1(p.beta, C),
                        layer_norm_eps));
    TRY(deco_linear(dev, deco_f32_2(k.qkv, M, 3 * C), deco_f32_2(normal, M, C), deco_f32_2(p.qkv, 3 * C, C), deco_f32_1(p.qkv_bias, 3 * C),
                    DECO_LINEAR));
    TRY(deco_attention(dev, deco_f32_3(k.o, B, T, C), deco_f32_3(k.log_sum, B, heads, T), deco_f32_3(k.qkv, B, T, 3 * C), heads));
    TRY(deco_linear(dev, deco_f32_2(normal, M, C), deco_f32_2(k.o, M, C), deco_f32_2(p.proj, C, C), deco_f32_1(p.proj_bias, C),
                    DECO_LINEAR));
    TRY(deco_add(dev, y, x, deco_f32_3(normal, B, T, C)));
out:
    deco_scratch_give(dev, normal);
    deco_scratch_give(dev, block);
    return st;
}

deco_status composed_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy,
                                            deco_array saved, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], M = B * T;
    vit_attention_parts p = vit_attention_at(params.data, C), d = vit_attention_at(dparams.data, C);
    vit_attention_kept k = vit_attention_kept_at(saved.data, C, M);
    float *normal = NULL, *dout = NULL, *dqkv = NULL;
    deco_array rows = deco_f32_2(x.data, M, C), grad = deco_f32_2(dy.data, M, C), gamma = deco_f32_1(p.gamma, C);

    TRY(take(dev, &normal, M * C));
    TRY(take(dev, &dout, M * C));
    TRY(take(dev, &dqkv, M * 3 * C));
    TRY(deco_linear_backward(dev, deco_f32_2(dout, M, C), deco_f32_2(d.proj, C, C), deco_f32_1(d.proj_bias, C), grad, deco_f32_2(k.o, M, C),
                             deco_f32_2(p.proj, C, C)));
    TRY(deco_attention_backward(dev, deco_f32_3(dqkv, B, T, 3 * C), deco_f32_3(dout, B, T, C), deco_f32_3(k.qkv, B, T, 3 * C),
                                deco_f32_3(k.o, B, T, C), deco_f32_3(k.log_sum, B, heads, T), heads));
    TRY(deco_layer_norm(dev, deco_f32_2(normal, M, C), deco_none(), rows, gamma, deco_f32_1(p.beta, C), layer_norm_eps));
    TRY(deco_linear_backward(dev, deco_f32_2(dout, M, C), deco_f32_2(d.qkv, 3 * C, C), deco_f32_1(d.qkv_bias, 3 * C),
                             deco_f32_2(dqkv, M, 3 * C), deco_f32_2(normal, M, C), deco_f32_2(p.qkv, 3 * C, C)));
    TRY(deco_layer_norm_backward(dev, deco_f32_2(dx.data, M, C), deco_f32_1(d.gamma, C), deco_f32_1(d.beta, C), deco_f32_2(dout, M, C),
                                 rows, deco_f32_2(k.stats, M, 2), gamma));
    TRY(deco_add(dev, dx, dx, dy));
out:
    deco_scratch_give(dev, normal);
    deco_scratch_give(dev, dout);
    deco_scratch_give(dev, dqkv);
    return st;
}

deco_status composed_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    float *all = NULL;

    TRY(take(dev, &all, B * T * C));
    TRY(composed_vit_attention(dev, heads, deco_f32_3(all, B, T, C), deco_none(), x, params));
    TRY(deco_class_token(dev, y, deco_f32_3(all, B, T, C)));
out:
    deco_scratch_give(dev, all);
    return st;
}

deco_status composed_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], M = B * T;
    vit_mlp_parts p = vit_mlp_at(params.data, C);
    float *normal = NULL, *wide = NULL, *block = NULL;

    TRY(take(dev, &normal, M * C));
    TRY(take(dev, &wide, M * 4 * C));
    if (!saved.data)
        TRY(take(dev, &block, M * 4 * C));
    deco_array h = deco_f32_2(saved.data ? saved.data : block, M, 4 * C), g = deco_f32_2(wide, M, 4 * C);
    TRY(deco_batch_norm(dev, deco_f32_2(normal, M, C), deco_f32_2(x.data, M, C), stats, deco_f32_1(p.gamma, C), deco_f32_1(p.beta, C)));
    TRY(deco_linear(dev, h, deco_f32_2(normal, M, C), deco_f32_2(p.fc1, 4 * C, C), deco_f32_1(p.fc1_bias, 4 * C), DECO_LINEAR));
    if (!y.data)
        goto out;
    TRY(deco_gelu(dev, g, h));
    TRY(deco_linear(dev, deco_f32_2(normal, M, C), g, deco_f32_2(p.fc2, C, 4 * C), deco_f32_1(p.fc2_bias, C), DECO_LINEAR));
    TRY(deco_add(dev, y, x, deco_f32_3(normal, B, T, C)));
out:
    deco_scratch_give(dev, normal);
    deco_scratch_give(dev, wide);
    deco_scratch_give(dev, block);
    return st;
}

deco_status composed_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved, deco_array x,
                                      deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], M = B * T;
    vit_mlp_parts p = vit_mlp_at(params.data, C), d = vit_mlp_at(dparams.data, C);
    float *normal = NULL, *wide = NULL, *dwide = NULL;
    deco_array rows = deco_f32_2(x.data, M, C), h = deco_f32_2(saved.data, M, 4 * C), gamma = deco_f32_1(p.gamma, C);

    TRY(take(dev, &normal, M * C));
    TRY(take(dev, &wide, M * 4 * C));
    TRY(take(dev, &dwide, M * 4 * C));
    deco_array g = deco_f32_2(wide, M, 4 * C), dh = deco_f32_2(dwide, M, 4 * C), n = deco_f32_2(normal, M, C);
    TRY(deco_gelu(dev, g, h));
    TRY(deco_linear_backward(dev, dh, deco_f32_2(d.fc2, C, 4 * C), deco_f32_1(d.fc2_bias, C), deco_f32_2(dy.data, M, C), g,
                             deco_f32_2(p.fc2, C, 4 * C)));
    TRY(deco_gelu_backward(dev, dh, dh, h));
    TRY(deco_batch_norm(dev, n, rows, stats, gamma, deco_f32_1(p.beta, C)));
    TRY(deco_linear_backward(dev, deco_f32_2(dx.data, M, C), deco_f32_2(d.fc1, 4 * C, C), deco_f32_1(d.fc1_bias, 4 * C), dh, n,
                             deco_f32_2(p.fc1, 4 * C, C)));
    TRY(deco_batch_norm_backward(dev, n, deco_f32_1(d.gamma, C), deco_f32_1(d.beta, C), deco_f32_2(dx.data, M, C), rows, stats, gamma));
    TRY(deco_add(dev, dx, deco_f32_3(normal, B, T, C), dy));
out:
    deco_scratch_give(dev, normal);
    deco_scratch_give(dev, wide);
    deco_scratch_give(dev, dwide);
    return st;
}
