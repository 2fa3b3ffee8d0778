/* Attention with an exact softmax: heads laid apart, products of all heads of several images at once, a warp a row of scores. Backward
 * works the probabilities out again. METHOD.md section 4. */
#include "launch.h"

enum { MOST_BYTES = 256 << 20 }; /* of scores held at once */

/* One call's sizes: n images at once, `width` numbers a head. */
typedef struct sizes {
    int64_t n, T, C, heads, width;
} sizes;

static sizes sizes_of(deco_array qkv, int64_t heads)
{
    sizes s = {0, qkv.shape[1], qkv.shape[2] / 3, heads, qkv.shape[2] / 3 / heads};
    int64_t B = qkv.shape[0], most = MOST_BYTES / (8 * heads * s.T * s.T + 1);
    s.n = most < 1 ? 1 : most < B ? most : B;
    return s;
}

/* apart [parts,n·heads,T,width] and together [n,T,parts·C]: there and back. */
__global__ void heads_apart_kernel(float *apart, const float *together, int64_t n, int64_t T, int64_t heads, int64_t width, int64_t parts)
{
    int64_t i = grid_thread(), C = heads * width;
    if (i >= n * T * parts * C)
        return;
    int64_t x = i % width, h = i / width % heads, part = i / C % parts, t = i / (C * parts) % T, b = i / (C * parts * T);
    apart[(((part * n + b) * heads + h) * T + t) * width + x] = together[i];
}

__global__ void heads_together_kernel(float *together, const float *apart, int64_t n, int64_t T, int64_t heads, int64_t width,
                                      int64_t parts)
{
    int64_t i = grid_thread(), C = heads * width;
    if (i >= n * T * parts * C)
        return;
    int64_t x = i % width, h = i / width % heads, part = i / C % parts, t = i / (C * parts) % T, b = i / (C * parts * T);
    together[i] = apart[(((part * n + b) * heads + h) * T + t) * width + x];
}

static deco_status take_apart(deco_device *dev, float *apart, const float *together, const sizes *s, int64_t n, int64_t parts)
{
    return LAUNCH(dev, heads_apart_kernel, blocks_of(n * s->T * parts * s->C), THREADS, apart, together, n, s->T, s->heads, s->width,
                  parts);
}

static deco_status put_together(deco_device *dev, float *together, const float *apart, const sizes *s, int64_t n, int64_t parts)
{
    return LAUNCH(dev, heads_together_kernel, blocks_of(n * s->T * parts * s->C), THREADS, together, apart, n, s->T, s->heads, s->width,
                  parts);
}

/* c [m,n] = op(a) op(b) for each of `count` heads: operands are [T,width] or [T,T]. */
static deco_status product(deco_device *dev, float *c, const float *a, const float *b, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                           int64_t count, float factor)
{
    cuda_product p = {};
    p.m = m, p.n = n, p.k = k, p.ta = ta, p.tb = tb, p.a = a, p.b = b, p.c = c;
    p.lda = ta ? m : k, p.ldb = tb ? k : n, p.ldc = n;
    p.batch = count, p.a_step = m * k, p.b_step = k * n, p.c_step = m * n, p.factor = factor;
    return cuda_multiply_matrices(dev, &p);
}

static float scale_of(const sizes *s) { return (float)(1 / sqrt((double)s->width)); }

/* ---- forward ----------------------------------------------------------------------------------------------------------------- */

/* Rows of scores to probabilities; log_sum [rows], if wanted, is the logarithm of Σ exp. */
__global__ void softmax_kernel(float *scores, float *log_sum, int64_t rows, int64_t T)
{
    int64_t i = grid_warp(), row = i < rows ? i : rows - 1;
    float *s = scores + row * T, most = -INFINITY, sum = 0;
    for (int64_t t = lane(); t < T; t += WARP)
        most = fmaxf(most, s[t]);
    most = warp_max(most);
    for (int64_t t = lane(); t < T; t += WARP)
        sum += expf(s[t] - most);
    sum = warp_sum(sum);
    if (i >= rows)
        return;
    for (int64_t t = lane(); t < T; t += WARP)
        s[t] = expf(s[t] - most) / sum;
    if (log_sum && lane() == 0)
        log_sum[i] = most + logf(sum);
}

deco_status cuda_attention(deco_device *dev, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads)
{
    deco_status st = DECO_OK;
    int64_t B = qkv.shape[0];
    sizes s = sizes_of(qkv, heads);
    int64_t T = s.T, C = s.C, part = s.n * T * C;
    float *apart = NULL, *scores = NULL, *out = NULL;

    TRY(cuda_enter(dev));
    TRY(deco_scratch_take(dev, &apart, (size_t)(3 * part) * sizeof *apart, "attention"));
    TRY(deco_scratch_take(dev, &out, (size_t)part * sizeof *out, "attention"));
    TRY(deco_scratch_take(dev, &scores, (size_t)(s.n * heads * T * T) * sizeof *scores, "attention"));
    for (int64_t b = 0; b < B; b += s.n) {
        int64_t n = B - b < s.n ? B - b : s.n, count = n * heads;
        const float *q = apart, *k = q + n * T * C, *v = k + n * T * C;
        float *sums = log_sum.data ? (float *)log_sum.data + b * heads * T : NULL;
        TRY(take_apart(dev, apart, (const float *)qkv.data + b * T * 3 * C, &s, n, 3));
        TRY(product(dev, scores, q, k, false, true, T, T, s.width, count, scale_of(&s)));
        TRY(LAUNCH(dev, softmax_kernel, blocks_of_warps(count * T), THREADS, scores, sums, count * T, T));
        TRY(product(dev, out, scores, v, false, false, T, s.width, T, count, 1));
        TRY(put_together(dev, (float *)o.data + b * T * C, out, &s, n, 1));
    }
out:
    deco_scratch_give(dev, apart);
    deco_scratch_give(dev, out);
    deco_scratch_give(dev, scores);
    return st;
}

/* ---- backward ---------------------------------------------------------------------------------------------------------------- */

/* Row by row: p = exp(scores - log_sum), and dp becomes p·(dp - Σ dout·o)·scale, the gradient of q·k. */
__global__ void softmax_backward_kernel(float *scores, float *dp, const float *log_sum, const float *dout, const float *o, int64_t rows,
                                        int64_t T, int64_t width, float scale)
{
    int64_t i = grid_warp(), row = i < rows ? i : rows - 1;
    float delta = 0;
    for (int64_t x = lane(); x < width; x += WARP)
        delta += dout[row * width + x] * o[row * width + x];
    delta = warp_sum(delta);
    for (int64_t t = lane(); i < rows && t < T; t += WARP) {
        float p = expf(scores[i * T + t] - log_sum[i]);
        dp[i * T + t] = p * (dp[i * T + t] - delta) * scale;
        scores[i * T + t] = p;
    }
}

/* Scratch of one backward call, and the images [b, b + n) that it is on. */
typedef struct backward {
    float *apart, *dout, *o, *grad, *scores, *dp;
    const float *log_sum;
} backward;

static deco_status backward_images(deco_device *dev, const backward *w, const sizes *s, int64_t n)
{
    deco_status st = DECO_OK;
    int64_t T = s->T, C = s->C, count = n * s->heads;
    const float *q = w->apart, *k = q + n * T * C, *v = k + n * T * C;
    float *dq = w->grad, *dk = dq + n * T * C, *dv = dk + n * T * C;

    TRY(product(dev, w->scores, q, k, false, true, T, T, s->width, count, scale_of(s)));
    TRY(product(dev, w->dp, w->dout, v, false, true, T, T, s->width, count, 1));
    TRY(LAUNCH(dev, softmax_backward_kernel, blocks_of_warps(count * T), THREADS, w->scores, w->dp, w->log_sum, (const float *)w->dout,
               (const float *)w->o, count * T, T, s->width, scale_of(s)));
    TRY(product(dev, dv, w->scores, w->dout, true, false, T, s->width, T, count, 1));
    TRY(product(dev, dk, w->dp, q, true, false, T, s->width, T, count, 1));
    TRY(product(dev, dq, w->dp, k, false, false, T, s->width, T, count, 1));
out:
    return st;
}

deco_status cuda_attention_backward(deco_device *dev, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                    int64_t heads)
{
    deco_status st = DECO_OK;
    int64_t B = qkv.shape[0];
    sizes s = sizes_of(qkv, heads);
    int64_t T = s.T, C = s.C, row = T * C, part = s.n * row, square = s.n * heads * T * T;
    backward w = {};

    TRY(cuda_enter(dev));
    TRY(deco_scratch_take(dev, &w.apart, (size_t)(3 * part) * sizeof *w.apart, "attention's gradient"));
    TRY(deco_scratch_take(dev, &w.grad, (size_t)(3 * part) * sizeof *w.grad, "attention's gradient"));
    TRY(deco_scratch_take(dev, &w.dout, (size_t)part * sizeof *w.dout, "attention's gradient"));
    TRY(deco_scratch_take(dev, &w.o, (size_t)part * sizeof *w.o, "attention's gradient"));
    TRY(deco_scratch_take(dev, &w.scores, (size_t)square * sizeof *w.scores, "attention's gradient"));
    TRY(deco_scratch_take(dev, &w.dp, (size_t)square * sizeof *w.dp, "attention's gradient"));
    for (int64_t b = 0; b < B; b += s.n) {
        int64_t n = B - b < s.n ? B - b : s.n;
        w.log_sum = (const float *)log_sum.data + b * heads * T;
        TRY(take_apart(dev, w.apart, (const float *)qkv.data + 3 * b * row, &s, n, 3));
        TRY(take_apart(dev, w.dout, (const float *)dout.data + b * row, &s, n, 1));
        TRY(take_apart(dev, w.o, (const float *)o.data + b * row, &s, n, 1));
        TRY(backward_images(dev, &w, &s, n));
        TRY(put_together(dev, (float *)dqkv.data + 3 * b * row, w.grad, &s, n, 3));
    }
out:
    deco_scratch_give(dev, w.apart);
    deco_scratch_give(dev, w.grad);
    deco_scratch_give(dev, w.dout);
    deco_scratch_give(dev, w.o);
    deco_scratch_give(dev, w.scores);
    deco_scratch_give(dev, w.dp);
    return st;
}
