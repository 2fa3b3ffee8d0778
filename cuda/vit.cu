/* The encoder's half blocks with products in bf16; in float32 they are the composed ones. METHOD.md section 4. */
#include "half.h"

#include "compute/vit_parts.h"

static const double layer_norm_eps = 1e-6;

/* Whether the halves of width C are in bf16 here: lines of 16 bytes in every row. */
static bool serves(deco_device *dev, int64_t C) { return cuda_bf16(dev) && C % 8 == 0; }
static bool attention_serves(deco_device *dev, int64_t C, int64_t heads) { return serves(dev, C) && half_attention_serves(C / heads); }

/* What an attention keeps, in the room of vit.h, which is for numbers twice as long; rows begin at whole lines wherever `p` lies. */
typedef struct attention_kept {
    bf16 *qkv, *o, *normal; /* [rows,3C], [rows,C], [rows,C] */
    float *stats, *log_sum; /* [rows,2], [B,heads,T] */
} attention_kept;

static attention_kept attention_kept_at(void *p, int64_t C, int64_t rows)
{
    attention_kept k;
    k.qkv = (bf16 *)(((uintptr_t)p + LINE - 1) / LINE * LINE);
    k.o = k.qkv + 3 * C * rows, k.normal = k.o + C * rows;
    k.stats = (float *)(k.normal + C * rows), k.log_sum = k.stats + 2 * rows;
    return k;
}

/* y [M,O] = x [M,I] wᵀ + bias in bf16. */
static deco_status to_half(deco_device *dev, bf16 *y, const bf16 *x, const bf16 *w, const bf16 *bias, int64_t M, int64_t I, int64_t O)
{
    cuda_product p = {};
    p.bf16 = p.bf16_out = true, p.tb = true, p.m = M, p.n = O, p.k = I, p.lda = I, p.ldb = I, p.ldc = O;
    p.a = x, p.b = w, p.c = y, p.bias = bias;
    return cuda_multiply_matrices(dev, &p);
}

/* y [M,O] = x [M,I] wᵀ + bias + plus in float32; y may be plus, of which the product then sees a copy: in place the library gives other bits. */
static deco_status add_to(deco_device *dev, float *y, const float *plus, const bf16 *x, const bf16 *w, const float *bias, int64_t M,
                          int64_t I, int64_t O)
{
    deco_status st = DECO_OK;
    float *copy = NULL;
    cuda_product p = {};
    p.bf16 = true, p.tb = true, p.m = M, p.n = O, p.k = I, p.lda = I, p.ldb = I, p.ldc = O;
    p.a = x, p.b = w, p.c = y, p.bias = bias, p.plus = plus;
    if (y == plus) {
        TRY(deco_scratch_take(dev, &copy, (size_t)(M * O) * sizeof *copy, "an encoder's block"));
        CUDA(cudaMemcpyAsync(copy, plus, (size_t)(M * O) * sizeof *copy, cudaMemcpyDeviceToDevice, cuda_stream(dev)));
        p.plus = copy;
    }
    TRY(cuda_multiply_matrices(dev, &p));
out:
    deco_scratch_give(dev, copy);
    return st;
}

/* dx [M,I] = dy [M,O] w in bf16. */
static deco_status back_half(deco_device *dev, bf16 *dx, const bf16 *dy, const bf16 *w, int64_t M, int64_t I, int64_t O)
{
    cuda_product p = {};
    p.bf16 = p.bf16_out = true, p.m = M, p.n = I, p.k = O, p.lda = O, p.ldb = I, p.ldc = I;
    p.a = dy, p.b = w, p.c = dx;
    return cuda_multiply_matrices(dev, &p);
}

/* Scratch of a call, given back together. */
enum { MOST_TAKEN = 8 };
typedef struct taken {
    deco_device *dev;
    void *p[MOST_TAKEN];
    int count;
} taken;

static deco_status take(taken *t, bf16 **out, int64_t n)
{
    deco_status st = deco_scratch_take(t->dev, out, (size_t)n * sizeof **out, "an encoder's block");
    if (!st)
        t->p[t->count++] = *out;
    return st;
}

static void give(taken *t)
{
    while (t->count)
        deco_scratch_give(t->dev, t->p[--t->count]);
}

/* ---- attention ------------------------------------------------------------------------------------------------------------------------------ */

deco_status cuda_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], M = B * T, count = deco_vit_attention_parameters(C);
    vit_attention_parts p = vit_attention_at((float *)params.data, C);
    taken t = {dev, {}, 0};
    bf16 *w = NULL, *block = NULL;
    attention_kept k;

    if (!attention_serves(dev, C, heads))
        return cuda_composed_vit_attention(dev, heads, y, saved, x, params);
    TRY(take(&t, &w, count));
    if (!saved.data)
        TRY(take(&t, &block, 2 * deco_vit_attention_saved(C, heads, M)));
    k = attention_kept_at(saved.data ? saved.data : block, C, M);
    TRY(half_of(dev, w, (const float *)params.data, count));
    TRY(half_layer_norm(dev, k.normal, k.stats, (const float *)x.data, p.gamma, p.beta, M, C, layer_norm_eps));
    TRY(to_half(dev, k.qkv, k.normal, w + (p.qkv - p.gamma), w + (p.qkv_bias - p.gamma), M, C, 3 * C));
    TRY(half_attention(dev, k.o, k.log_sum, k.qkv, B, T, heads, C / heads));
    TRY(add_to(dev, (float *)y.data, (const float *)x.data, k.o, w + (p.proj - p.gamma), p.proj_bias, M, C, C));
out:
    give(&t);
    return st;
}

deco_status cuda_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                        deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2], M = B * T, count = deco_vit_attention_parameters(C);
    vit_attention_parts p = vit_attention_at((float *)params.data, C), d = vit_attention_at((float *)dparams.data, C);
    taken t = {dev, {}, 0};
    bf16 *w = NULL, *out = NULL, *dout = NULL, *dqkv = NULL;

    if (!attention_serves(dev, C, heads))
        return cuda_composed_vit_attention_backward(dev, heads, dx, dparams, dy, saved, x, params);
    attention_kept k = attention_kept_at(saved.data, C, M);
    TRY(take(&t, &w, count));
    TRY(take(&t, &out, M * C));
    TRY(take(&t, &dout, M * C));
    TRY(take(&t, &dqkv, 3 * M * C));
    TRY(half_of(dev, w, (const float *)params.data, count));
    TRY(half_with_sums(dev, out, d.proj_bias, (const float *)dy.data, M, C));
    TRY(half_weight_gradient(dev, d.proj, out, k.o, M, C, C));
    TRY(back_half(dev, dout, out, w + (p.proj - p.gamma), M, C, C));
    TRY(half_attention_backward(dev, dqkv, dout, k.qkv, k.o, k.log_sum, B, T, heads, C / heads));
    TRY(half_sums(dev, d.qkv_bias, dqkv, M, 3 * C));
    TRY(half_weight_gradient(dev, d.qkv, dqkv, k.normal, M, 3 * C, C));
    TRY(back_half(dev, dout, dqkv, w + (p.qkv - p.gamma), M, C, 3 * C));
    TRY(half_layer_norm_backward(dev, (float *)dx.data, d.gamma, d.beta, dout, (const float *)x.data, k.stats, p.gamma,
                                 (const float *)dy.data, M, C));
out:
    give(&t);
    return st;
}

deco_status cuda_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params)
{
    deco_status st = DECO_OK;
    deco_array all = x;
    float *values = NULL;
    TRY(deco_scratch_take(dev, &values, (size_t)deco_array_count(x) * sizeof *values, "an encoder's block"));
    all.data = values;
    TRY(cuda_vit_attention(dev, heads, all, deco_none(), x, params));
    TRY(cuda_class_token(dev, y, all));
out:
    deco_scratch_give(dev, values);
    return st;
}

/* ---- MLP -------------------------------------------------------------------------------------------------------------------------------------- */

deco_status cuda_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t C = x.shape[2], M = x.shape[0] * x.shape[1], count = deco_vit_mlp_parameters(C);
    vit_mlp_parts p = vit_mlp_at((float *)params.data, C);
    taken t = {dev, {}, 0};
    bf16 *w = NULL, *normal = NULL, *h = (bf16 *)saved.data, *gelu;

    if (!serves(dev, C))
        return cuda_composed_vit_mlp(dev, y, saved, x, stats, params);
    TRY(take(&t, &w, count));
    TRY(take(&t, &normal, M * C));
    if (!h)
        TRY(take(&t, &h, 8 * M * C));
    gelu = h + 4 * M * C;
    TRY(half_of(dev, w, (const float *)params.data, count));
    TRY(half_batch_norm(dev, normal, (const float *)x.data, (const float *)stats.data, p.gamma, p.beta, M, C));
    TRY(to_half(dev, h, normal, w + (p.fc1 - p.gamma), w + (p.fc1_bias - p.gamma), M, C, 4 * C));
    TRY(half_gelu(dev, gelu, h, 4 * M * C));
    if (y.data)
        TRY(add_to(dev, (float *)y.data, (const float *)x.data, gelu, w + (p.fc2 - p.gamma), p.fc2_bias, M, 4 * C, C));
out:
    give(&t);
    return st;
}

deco_status cuda_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved, deco_array x,
                                  deco_array stats, deco_array params)
{
    deco_status st = DECO_OK;
    int64_t C = x.shape[2], M = x.shape[0] * x.shape[1], count = deco_vit_mlp_parameters(C);
    vit_mlp_parts p = vit_mlp_at((float *)params.data, C), d = vit_mlp_at((float *)dparams.data, C);
    taken t = {dev, {}, 0};
    bf16 *w = NULL, *out = NULL, *normal = NULL, *dh = NULL, *h = (bf16 *)saved.data, *gelu = h + 4 * M * C;

    if (!serves(dev, C))
        return cuda_composed_vit_mlp_backward(dev, dx, dparams, dy, saved, x, stats, params);
    TRY(take(&t, &w, count));
    TRY(take(&t, &out, M * C));
    TRY(take(&t, &normal, M * C));
    TRY(take(&t, &dh, 4 * M * C));
    TRY(half_of(dev, w, (const float *)params.data, count));
    TRY(half_with_sums(dev, out, d.fc2_bias, (const float *)dy.data, M, C));
    TRY(half_weight_gradient(dev, d.fc2, out, gelu, M, C, 4 * C));
    TRY(back_half(dev, dh, out, w + (p.fc2 - p.gamma), M, 4 * C, C));
    TRY(half_gelu_backward(dev, dh, h, 4 * M * C));
    TRY(half_sums(dev, d.fc1_bias, dh, M, 4 * C));
    TRY(half_batch_norm(dev, normal, (const float *)x.data, (const float *)stats.data, p.gamma, p.beta, M, C));
    TRY(half_weight_gradient(dev, d.fc1, dh, normal, M, 4 * C, C));
    TRY(back_half(dev, out, dh, w + (p.fc1 - p.gamma), M, C, 4 * C));
    TRY(half_batch_norm_backward(dev, (float *)dx.data, d.gamma, d.beta, out, (const float *)x.data, (const float *)stats.data, p.gamma,
                                 (const float *)dy.data, M, C));
out:
    give(&t);
    return st;
}
