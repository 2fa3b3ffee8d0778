/* Attention with an exact softmax, a tile of query rows at a time; backward works the probabilities out again. METHOD.md section 4. */
#include "compute/cpu/attention.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/dnnl.h"
#include "compute/cpu/vit_rows.h"

#include <math.h>

/* Query rows a tile, at most: two tiles of 129 and 128 for the encoder's 257 tokens, 130 kB of scores. */
enum { MOST_ROWS = 144, LINE = 16 };

static int64_t rows_of(const cpu_attention *a)
{
    int64_t tiles = cpu_tiles(a->T, MOST_ROWS);
    return tiles ? cpu_tiles(a->T, tiles) : 1;
}

static int64_t scores_of(const cpu_attention *a) { return cpu_tiles(rows_of(a) * a->T, LINE) * LINE; }

int64_t cpu_attention_scratch(const cpu_attention *a) { return 2 * scores_of(a) + 3 * cpu_tiles(rows_of(a), LINE) * LINE; }

deco_status cpu_attention_head(const cpu_attention *a, float *o, float *log_sum, const float *qkv, int64_t h, float *scratch)
{
    deco_status st = DECO_OK;
    const cpu_vit_rows *k = cpu_vit_rows_best();
    int64_t T = a->T, C = a->C, width = C / a->heads, step = rows_of(a);
    const float *Q = qkv + h * width, *K = Q + C, *V = K + C;
    float *scores = scratch, *scale = scores + scores_of(a), *sums = scale + cpu_tiles(step, LINE) * LINE;
    float factor = (float)(1 / sqrt((double)width));

    for (int64_t t = 0; t < T; t += step) {
        int64_t n = T - t < step ? T - t : step;
        float *to = o + t * C + h * width;
        TRY(deco_cpu_sgemm(false, true, n, T, width, factor, Q + t * 3 * C, 3 * C, K, 3 * C, 0, scores, T));
        k->softmax(scores, log_sum ? log_sum + t : sums, scale, n, T);
        TRY(deco_cpu_sgemm(false, false, n, width, T, 1, scores, T, V, 3 * C, 0, to, C));
        k->scale_rows(to, scale, C, n, width);
    }
out:
    return st;
}

deco_status cpu_attention_head_backward(const cpu_attention *a, float *dqkv, const float *dout, const float *qkv, const float *o,
                                        const float *log_sum, int64_t h, float *scratch)
{
    deco_status st = DECO_OK;
    const cpu_vit_rows *k = cpu_vit_rows_best();
    int64_t T = a->T, C = a->C, width = C / a->heads, at = h * width, step = rows_of(a);
    const float *Q = qkv + at, *K = Q + C, *V = K + C;
    float *dQ = dqkv + at, *dK = dQ + C, *dV = dK + C;
    float *p = scratch, *dp = p + scores_of(a), *delta = dp + scores_of(a), factor = (float)(1 / sqrt((double)width));

    for (int64_t t = 0; t < T; t += step) {
        int64_t n = T - t < step ? T - t : step;
        const float *q = Q + t * 3 * C, *g = dout + t * C + at;
        float more = t ? 1 : 0; /* keys and values: a sum over the tiles */
        TRY(deco_cpu_sgemm(false, true, n, T, width, factor, q, 3 * C, K, 3 * C, 0, p, T));
        TRY(deco_cpu_sgemm(false, true, n, T, width, 1, g, C, V, 3 * C, 0, dp, T));
        k->dots(delta, g, o + t * C + at, C, n, width);
        k->softmax_backward(p, dp, log_sum + t, delta, factor, n, T);
        TRY(deco_cpu_sgemm(true, false, T, width, n, 1, p, T, g, C, more, dV, 3 * C));
        TRY(deco_cpu_sgemm(true, false, T, width, n, 1, dp, T, q, 3 * C, more, dK, 3 * C));
        TRY(deco_cpu_sgemm(false, false, n, width, T, 1, dp, T, K, 3 * C, 0, dQ + t * 3 * C, 3 * C));
    }
out:
    return st;
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
    deco_status st = scratch ? DECO_OK : deco_fail_memory(bytes, "attention");

    for (int64_t i = begin; !st && i < end; i++) {
        const float *qkv = x->qkv + i / H * T * 3 * C;
        if (x->dqkv)
            st = cpu_attention_head_backward(&x->a, x->dqkv + i / H * T * 3 * C, x->dout + i / H * T * C, qkv, x->kept_o + i / H * T * C,
                                             x->kept_log_sum + i * T, i % H, scratch);
        else
            st = cpu_attention_head(&x->a, x->o + i / H * T * C, x->log_sum ? x->log_sum + i * T : NULL, qkv, i % H, scratch);
    }
    return st;
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
