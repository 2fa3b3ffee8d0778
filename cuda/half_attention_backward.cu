/* Attention in bf16, backward. METHOD.md section 4. */
#include "half_attention.h"

/* share [B,heads,T] = Σ over a head of dout · o: what softmax takes off. `lanes` lanes a row of a head, two numbers a lane at once. */
__global__ void share_kernel(float *share, const bf16 *dout, const bf16 *o, int64_t rows, int T, int heads, int width, int lanes)
{
    int64_t i = grid_thread() / lanes, which = i < rows * heads ? i : rows * heads - 1, row = which / heads;
    int h = (int)(which % heads), mine = lane() % lanes;
    const uint32_t *a = (const uint32_t *)(dout + which * width), *b = (const uint32_t *)(o + which * width);
    float sum = 0;
    for (int c = mine; c < width / 2; c += lanes)
        sum += pair_first(a[c]) * pair_first(b[c]) + pair_second(a[c]) * pair_second(b[c]);
    for (int mask = 1; mask < lanes; mask *= 2)
        sum += warp_from(sum, lane() ^ mask);
    if (i < rows * heads && mine == 0)
        share[(row / T * heads + h) * T + row % T] = sum;
}

/* The gradient of queries. */
template <int W>
__global__ void __launch_bounds__(THREADS_HERE, W == 32 ? 3 : 2)
    queries_kernel(bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const float *log_sum, const float *share, int T, int heads, int groups,
                   float scale)
{
    SHARED_BYTES(memory);
    place p = place_of(heads, groups);
    head at = head_of(qkv, dout, p.image, p.h, T, heads, W);
    steps<W> keys = {memory, at.k, at.v, at.pitch, at.pitch, T};
    uint32_t own[W / FRAGMENT_K][4], own_out[W / FRAGMENT_K][4];
    float sum[1][W / FRAGMENT_N][4] = {}, total[2], off[2];

    keys.begin(0);
    take_own<W>(own, at.q, at.pitch, p.first, T);
    take_own<W>(own_out, at.dout, at.out_pitch, p.first, T);
    UNROLL
    for (int half = 0; half < 2; half++) {
        int row = p.first + lane() / 4 + 8 * half;
        int64_t i = p.pair * T + (row < T ? row : T - 1);
        total[half] = log_sum[i] * LOG2_E, off[half] = share[i];
    }
    for (int key = 0; key < T; key += STEP) { /* keys that are not there are 0, and add nothing */
        const unsigned char *step = keys.take(key);
        float s[1][NT][4], dp[1][NT][4];
        multiply_step<W>(s, own, step);
        multiply_step<W>(dp, own_out, step + steps<W>::bytes);
        UNROLL
        for (int n = 0; n < NT; n++) {
            UNROLL
            for (int e = 0; e < 4; e++)
                s[0][n][e] = two_to(s[0][n][e] * scale - total[e / 2]) * (dp[0][n][e] - off[e / 2]);
        }
        add_step<W>(sum, s, step);
    }
    float factor[2] = {scale * LN_2, scale * LN_2};
    put_own<W>(dqkv + p.image * T * 3 * heads * W + p.h * W, 3 * heads * W, p.first, T, sum, factor);
}

/* The gradients of keys and values: a warp's own rows are keys, the steps are of queries. */
template <int W>
__global__ void __launch_bounds__(THREADS_HERE, W == 32 ? 2 : 1)
    keys_kernel(bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const float *log_sum, const float *share, int T, int heads, int groups,
                float scale)
{
    SHARED_BYTES(memory);
    place p = place_of(heads, groups);
    head at = head_of(qkv, dout, p.image, p.h, T, heads, W);
    steps<W> queries = {memory, at.q, at.dout, at.pitch, at.out_pitch, T};
    float *totals = (float *)(memory + 4 * steps<W>::bytes), *offs = totals + rows_of_steps(T);
    uint32_t own[W / FRAGMENT_K][4], own_value[W / FRAGMENT_K][4];
    float dk[1][W / FRAGMENT_N][4] = {}, dv[1][W / FRAGMENT_N][4] = {};

    queries.begin(0);
    for (int i = (int)threadIdx.x; i < rows_of_steps(T); i += THREADS_HERE) { /* a query that is not there: probability 0 */
        totals[i] = i < T ? log_sum[p.pair * T + i] * LOG2_E : INFINITY;
        offs[i] = i < T ? share[p.pair * T + i] : 0;
    }
    take_own<W>(own, at.k, at.pitch, p.first, T);
    take_own<W>(own_value, at.v, at.pitch, p.first, T);
    for (int query = 0; query < T; query += STEP) {
        const unsigned char *step = queries.take(query);
        float s[1][NT][4], dp[1][NT][4];
        multiply_step<W>(s, own, step);
        multiply_step<W>(dp, own_value, step + steps<W>::bytes);
        UNROLL
        for (int n = 0; n < NT; n++) {
            const float *total = totals + query + step_column(n, 0), *off = offs + query + step_column(n, 0);
            UNROLL
            for (int e = 0; e < 4; e++) {
                s[0][n][e] = two_to(s[0][n][e] * scale - total[e % 2]);
                dp[0][n][e] = s[0][n][e] * (dp[0][n][e] - off[e % 2]);
            }
        }
        add_step<W>(dv, s, step + steps<W>::bytes);
        add_step<W>(dk, dp, step);
    }
    float factor[2] = {scale * LN_2, scale * LN_2}, one[2] = {1, 1};
    bf16 *to = dqkv + p.image * T * 3 * heads * W + p.h * W + heads * W;
    put_own<W>(to, 3 * heads * W, p.first, T, dk, factor);
    put_own<W>(to + heads * W, 3 * heads * W, p.first, T, dv, one);
}

deco_status half_attention_backward(deco_device *dev, bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const bf16 *o, const float *log_sum,
                                    int64_t B, int64_t T, int64_t heads, int64_t width)
{
    deco_status st = DECO_OK;
    float *share = NULL;
    int lanes = (int)width / 4;
    TRY(deco_scratch_take(dev, &share, (size_t)(B * heads * T) * sizeof *share, "attention's gradient"));
    TRY(LAUNCH(dev, share_kernel, blocks_of(B * T * heads * lanes), THREADS, share, dout, o, B * T, (int)T, (int)heads, (int)width, lanes));
    TRY(with_width(width, [&](auto w) {
        constexpr int W = decltype(w)::value;
        layout l = layout_of(B, T, heads, W);
        deco_status queries = start<W>(dev, queries_kernel<W>, l, dqkv, dout, qkv, log_sum, (const float *)share);
        return queries ? queries : start<W>(dev, keys_kernel<W>, l, dqkv, dout, qkv, log_sum, (const float *)share);
    }));
out:
    deco_scratch_give(dev, share);
    return st;
}
