/* Attention in bf16, forward. METHOD.md section 4. */
#include "half_attention.h"

__device__ static inline float row_max(float x)
{
    for (int mask = 1; mask < 4; mask *= 2)
        x = fmaxf(x, warp_from(x, lane() ^ mask));
    return x;
}

/* `scale`: of scores, times log2 e. */
template <int W>
__global__ void __launch_bounds__(THREADS_HERE, W == 32 ? 3 : 2)
    forward_kernel(bf16 *o, float *log_sum, const bf16 *qkv, int T, int heads, int groups, float scale)
{
    SHARED_BYTES(memory);
    place p = place_of(heads, groups);
    head at = head_of(qkv, NULL, p.image, p.h, T, heads, W);
    steps<W> keys = {memory, at.k, at.v, at.pitch, at.pitch, T};
    uint32_t own[W / FRAGMENT_K][4];
    float sum[1][W / FRAGMENT_N][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};

    keys.begin(0);
    take_own<W>(own, at.q, at.pitch, p.first, T);
    for (int key = 0; key < T; key += STEP) {
        const unsigned char *step = keys.take(key);
        float s[1][NT][4];
        multiply_step<W>(s, own, step);
        if (key + STEP > T) {
            UNROLL
            for (int n = 0; n < NT; n++) {
                UNROLL
                for (int e = 0; e < 4; e++)
                    s[0][n][e] = key + step_column(n, e) < T ? s[0][n][e] : -INFINITY;
            }
        }
        UNROLL
        for (int half = 0; half < 2; half++) {
            float now = most[half], added = 0;
            UNROLL
            for (int n = 0; n < NT; n++)
                now = fmaxf(now, fmaxf(s[0][n][2 * half], s[0][n][2 * half + 1]));
            now = row_max(now);
            float off = now * scale, fade = two_to(most[half] * scale - off);
            UNROLL
            for (int n = 0; n < NT; n++) {
                UNROLL
                for (int e = 2 * half; e < 2 * half + 2; e++) {
                    s[0][n][e] = two_to(s[0][n][e] * scale - off);
                    added += s[0][n][e];
                }
            }
            total[half] = total[half] * fade + added; /* of this lane's columns: the row's at the end */
            most[half] = now;
            UNROLL
            for (int n = 0; n < W / FRAGMENT_N; n++)
                sum[0][n][2 * half] *= fade, sum[0][n][2 * half + 1] *= fade;
        }
        add_step<W>(sum, s, step + steps<W>::bytes);
    }
    float factor[2];
    UNROLL
    for (int half = 0; half < 2; half++) {
        int row = p.first + lane() / 4 + 8 * half;
        float all = row_sum(total[half]);
        factor[half] = 1 / all;
        if (log_sum && row < T && lane() % 4 == 0)
            log_sum[p.pair * T + row] = (most[half] * scale + log2f(all)) * LN_2;
    }
    put_own<W>(o + p.image * T * heads * W + p.h * W, heads * W, p.first, T, sum, factor);
}

bool half_attention_serves(int64_t width) { return width == 32 || width == 64; }

deco_status half_attention(deco_device *dev, bf16 *o, float *log_sum, const bf16 *qkv, int64_t B, int64_t T, int64_t heads, int64_t width)
{
    return with_width(width, [&](auto w) {
        constexpr int W = decltype(w)::value;
        return start<W>(dev, forward_kernel<W>, layout_of(B, T, heads, W), o, log_sum, qkv);
    });
}
