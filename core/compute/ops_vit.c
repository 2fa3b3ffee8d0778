/* The wrappers of the encoder's operations. */
#include "compute/ops_check.h"
#include "compute/vit.h"

static inline deco_array bytes_3(int64_t a, int64_t b, int64_t c) { return deco_array_of(NULL, DECO_U8, 3, a, b, c, 1); }

deco_status deco_patches(deco_device *dev, deco_array rows, deco_array pixels, int64_t patch)
{
    int64_t B = pixels.shape[0], side = pixels.shape[1], grid = patch > 0 ? side / patch : 0;
    NEED(pixels, bytes_3(B, side, side));
    if (patch < 1 || side % patch)
        return deco_fail(DECO_E_ARGUMENT, "%s: patches of %lld do not divide images of %lld", __func__, (long long)patch, (long long)side);
    NEED(rows, f32_2(B * grid * grid, patch * patch));
    RUN(patches, rows, pixels, patch);
}

deco_status deco_tokens(deco_device *dev, deco_array x, deco_array patch, deco_array cls, deco_array pos)
{
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    NEED(x, f32_3(B, T, C));
    NEED(patch, f32_2(B * (T - 1), C));
    NEED(cls, f32_1(C));
    NEED(pos, f32_2(T, C));
    RUN(tokens, x, patch, cls, pos);
}

deco_status deco_tokens_backward(deco_device *dev, deco_array dcls, deco_array dx)
{
    int64_t C = dx.shape[2];
    NEED(dx, f32_3(dx.shape[0], dx.shape[1], C));
    NEED(dcls, f32_1(C));
    RUN(tokens_backward, dcls, dx);
}

deco_status deco_class_token(deco_device *dev, deco_array y, deco_array x)
{
    NEED(x, f32_3(x.shape[0], x.shape[1], x.shape[2]));
    NEED(y, f32_2(x.shape[0], x.shape[2]));
    RUN(class_token, y, x);
}

deco_status deco_class_token_backward(deco_device *dev, deco_array dx, deco_array dy)
{
    NEED(dx, f32_3(dx.shape[0], dx.shape[1], dx.shape[2]));
    NEED(dy, f32_2(dx.shape[0], dx.shape[2]));
    RUN(class_token_backward, dx, dy);
}

deco_status deco_gelu(deco_device *dev, deco_array y, deco_array x)
{
    NEED(x, like_f32(x));
    NEED(y, like_f32(x));
    RUN(gelu, y, x);
}

deco_status deco_gelu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array x)
{
    NEED(x, like_f32(x));
    NEED(dy, like_f32(x));
    NEED(dx, like_f32(x));
    RUN(gelu_backward, dx, dy, x);
}

deco_status deco_batch_statistics(deco_device *dev, deco_array stats, deco_array running, deco_array x, float eps, float momentum)
{
    int64_t M = x.shape[0], C = x.shape[1];
    NEED(x, f32_2(M, C));
    NEED(stats, f32_2(2, C));
    MAY(running, f32_2(2, C));
    if (M < 1)
        return deco_fail(DECO_E_ARGUMENT, "%s: x is empty; statistics need a row", __func__);
    RUN(batch_statistics, stats, running, x, eps, momentum);
}

deco_status deco_running_statistics(deco_device *dev, deco_array stats, deco_array running, float eps)
{
    NEED(running, f32_2(2, running.shape[1]));
    NEED(stats, f32_2(2, running.shape[1]));
    RUN(running_statistics, stats, running, eps);
}

deco_status deco_batch_norm(deco_device *dev, deco_array y, deco_array x, deco_array stats, deco_array gamma, deco_array beta)
{
    int64_t M = x.shape[0], C = x.shape[1];
    NEED(x, f32_2(M, C));
    NEED(y, f32_2(M, C));
    NEED(stats, f32_2(2, C));
    NEED(gamma, f32_1(C));
    NEED(beta, f32_1(C));
    RUN(batch_norm, y, x, stats, gamma, beta);
}

deco_status deco_batch_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                     deco_array stats, deco_array gamma)
{
    int64_t M = x.shape[0], C = x.shape[1];
    NEED(x, f32_2(M, C));
    NEED(dy, f32_2(M, C));
    NEED(stats, f32_2(2, C));
    NEED(gamma, f32_1(C));
    MAY(dx, f32_2(M, C));
    MAY(dgamma, f32_1(C));
    MAY(dbeta, f32_1(C));
    if (M < 1)
        return deco_fail(DECO_E_ARGUMENT, "%s: x is empty; statistics need a row", __func__);
    RUN(batch_norm_backward, dx, dgamma, dbeta, dy, x, stats, gamma);
}

/* Heads of whole width. */
static deco_status check_heads(const char *op, int64_t C, int64_t heads)
{
    if (heads < 1 || C % heads)
        return deco_fail(DECO_E_ARGUMENT, "%s: %lld heads do not divide a width of %lld", op, (long long)heads, (long long)C);
    return DECO_OK;
}

deco_status deco_attention(deco_device *dev, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads)
{
    int64_t B = qkv.shape[0], T = qkv.shape[1], C = qkv.shape[2] / 3;
    NEED(qkv, f32_3(B, T, 3 * C));
    NEED(o, f32_3(B, T, C));
    MAY(log_sum, f32_3(B, heads, T));
    deco_status bad = check_heads(__func__, C, heads);
    if (bad)
        return bad;
    RUN(attention, o, log_sum, qkv, heads);
}

deco_status deco_attention_backward(deco_device *dev, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                    int64_t heads)
{
    int64_t B = qkv.shape[0], T = qkv.shape[1], C = qkv.shape[2] / 3;
    NEED(qkv, f32_3(B, T, 3 * C));
    NEED(dqkv, f32_3(B, T, 3 * C));
    NEED(dout, f32_3(B, T, C));
    NEED(o, f32_3(B, T, C));
    NEED(log_sum, f32_3(B, heads, T));
    deco_status bad = check_heads(__func__, C, heads);
    if (bad)
        return bad;
    RUN(attention_backward, dqkv, dout, qkv, o, log_sum, heads);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

deco_status deco_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params)
{
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    NEED(x, f32_3(B, T, C));
    NEED(y, f32_3(B, T, C));
    NEED(params, f32_1(deco_vit_attention_parameters(C)));
    MAY(saved, f32_1(deco_vit_attention_saved(C, heads, B * T)));
    deco_status bad = check_heads(__func__, C, heads);
    if (bad)
        return bad;
    RUN(vit_attention, heads, y, saved, x, params);
}

/* A gradient is added up behind what it is made of. */
static deco_status check_apart(const char *op, deco_array dx, deco_array dy)
{
    return dx.data && dx.data == dy.data ? deco_fail(DECO_E_ARGUMENT, "%s: dx is dy; give it memory of its own", op) : DECO_OK;
}

deco_status deco_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                        deco_array x, deco_array params)
{
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    NEED(x, f32_3(B, T, C));
    NEED(dy, f32_3(B, T, C));
    NEED(dx, f32_3(B, T, C));
    NEED(params, f32_1(deco_vit_attention_parameters(C)));
    NEED(dparams, f32_1(deco_vit_attention_parameters(C)));
    NEED(saved, f32_1(deco_vit_attention_saved(C, heads, B * T)));
    deco_status bad = check_heads(__func__, C, heads);
    if (!bad)
        bad = check_apart(__func__, dx, dy);
    if (bad)
        return bad;
    RUN(vit_attention_backward, heads, dx, dparams, dy, saved, x, params);
}

deco_status deco_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params)
{
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    NEED(x, f32_3(B, T, C));
    NEED(y, f32_2(B, C));
    NEED(params, f32_1(deco_vit_attention_parameters(C)));
    deco_status bad = check_heads(__func__, C, heads);
    if (bad)
        return bad;
    RUN(vit_class_attention, heads, y, x, params);
}

deco_status deco_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params)
{
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    NEED(x, f32_3(B, T, C));
    MAY(y, f32_3(B, T, C));
    NEED(stats, f32_2(2, C));
    NEED(params, f32_1(deco_vit_mlp_parameters(C)));
    MAY(saved, f32_1(deco_vit_mlp_saved(C, B * T)));
    RUN(vit_mlp, y, saved, x, stats, params);
}

deco_status deco_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved, deco_array x,
                                  deco_array stats, deco_array params)
{
    int64_t B = x.shape[0], T = x.shape[1], C = x.shape[2];
    NEED(x, f32_3(B, T, C));
    NEED(dy, f32_3(B, T, C));
    NEED(dx, f32_3(B, T, C));
    NEED(stats, f32_2(2, C));
    NEED(params, f32_1(deco_vit_mlp_parameters(C)));
    NEED(dparams, f32_1(deco_vit_mlp_parameters(C)));
    NEED(saved, f32_1(deco_vit_mlp_saved(C, B * T)));
    deco_status bad = check_apart(__func__, dx, dy);
    if (!bad && B * T < 1)
        bad = deco_fail(DECO_E_ARGUMENT, "%s: x is empty; statistics need a row", __func__);
    if (bad)
        return bad;
    RUN(vit_mlp_backward, dx, dparams, dy, saved, x, stats, params);
}
