/* Attention in bf16 with an exact softmax, scores never in memory. A warp has 16 rows of queries and takes the keys 64 at a time; backward once more
 * so for the queries' gradient, and with queries and keys exchanged for that of keys and values, so that no sum is shared. METHOD.md section 4. */
#ifndef DECO_CUDA_HALF_ATTENTION_H
#define DECO_CUDA_HALF_ATTENTION_H

#include "half.h"

enum { OWN = FRAGMENT_M, WARPS_HERE = 6, OWN_ROWS = OWN * WARPS_HERE, THREADS_HERE = WARP * WARPS_HERE, STEP = 64, NT = STEP / FRAGMENT_N };

/* One image's head: rows of q, k and v lie `pitch` numbers apart, those of dout `out_pitch`. */
typedef struct head {
    const bf16 *q, *k, *v, *dout;
    int pitch, out_pitch;
} head;

__device__ static inline head head_of(const bf16 *qkv, const bf16 *dout, int64_t image, int h, int T, int heads, int width)
{
    int C = heads * width;
    head at = {qkv + image * T * 3 * C + h * width, NULL, NULL, dout ? dout + image * T * C + h * width : NULL, 3 * C, C};
    at.k = at.q + C, at.v = at.k + C;
    return at;
}

/* ---- fragments -------------------------------------------------------------------------------------------------------------------------- */

template <int W> __device__ static inline int step_place(int row, int line)
{
    constexpr int lines = W / 8; /* 4 or 8 of them; 8 are all banks */
    return row * W * 2 + (line ^ (row * lines / 8 & (lines - 1))) * LINE;
}

/* Starts copying rows first ... first + STEP of `from` to shared memory; beyond the last, zeros. */
template <int W> __device__ static inline void begin_step(unsigned char *to, const bf16 *from, int pitch, int first, int T)
{
    UNROLL
    for (int i = 0; i < (STEP * W / 8 + THREADS_HERE - 1) / THREADS_HERE; i++) {
        int at = i * THREADS_HERE + (int)threadIdx.x, row = at / (W / 8), line = at % (W / 8);
        bool is = first + row < T;
        if (at < STEP * W / 8)
            copy_line_or_zeros(to + step_place<W>(row, line), from + (int64_t)(is ? first + row : 0) * pitch + 8 * line, is);
    }
}

/* A warp's own rows as left operands, straight from memory; beyond the last, zeros. */
template <int W> __device__ static inline void take_own(uint32_t (&a)[W / FRAGMENT_K][4], const bf16 *from, int pitch, int first, int T)
{
    UNROLL
    for (int k = 0; k < W / FRAGMENT_K; k++) {
        UNROLL
        for (int r = 0; r < 4; r++) {
            int row = first + lane() / 4 + 8 * (r % 2), column = FRAGMENT_K * k + 2 * (lane() % 4) + 8 * (r / 2);
            a[k][r] = row < T ? *(const uint32_t *)(from + (int64_t)row * pitch + column) : 0;
        }
    }
}

/* s = own · stepᵀ: [16,STEP]. */
template <int W>
__device__ static inline void multiply_step(float (&s)[1][NT][4], const uint32_t (&own)[W / FRAGMENT_K][4], const unsigned char *step)
{
    UNROLL
    for (int n = 0; n < NT; n++) {
        UNROLL
        for (int e = 0; e < 4; e++)
            s[0][n][e] = 0;
    }
    UNROLL
    for (int k = 0; k < W / FRAGMENT_K; k++) {
        uint32_t a[1][4], b[NT][2];
        UNROLL
        for (int r = 0; r < 4; r++)
            a[0][r] = own[k][r];
        UNROLL
        for (int n = 0; n < NT; n += 2) {
            uint32_t r[4];
            load_matrices(r, step + step_place<W>(FRAGMENT_N * n + lane() % 8 + lane() / 16 * 8, 2 * k + lane() / 8 % 2));
            b[n][0] = r[0], b[n][1] = r[1], b[n + 1][0] = r[2], b[n + 1][1] = r[3];
        }
        warp_multiply(s, a, b);
    }
}

/* sum [16,W] += p · step, p [16,STEP] the sums of the product before, in bf16. */
template <int W>
__device__ static inline void add_step(float (&sum)[1][W / FRAGMENT_N][4], const float (&p)[1][NT][4], const unsigned char *step)
{
    UNROLL
    for (int k = 0; k < STEP / FRAGMENT_K; k++) {
        const float *left = p[0][2 * k], *right = p[0][2 * k + 1];
        uint32_t a[1][4] = {
            {pair_of(left[0], left[1]), pair_of(left[2], left[3]), pair_of(right[0], right[1]), pair_of(right[2], right[3])}};
        uint32_t b[W / FRAGMENT_N][2];
        UNROLL
        for (int n = 0; n < W / FRAGMENT_N; n += 2) {
            uint32_t r[4];
            load_turned(r, step + step_place<W>(FRAGMENT_K * k + lane() % 16, n + lane() / 16));
            b[n][0] = r[0], b[n][1] = r[1], b[n + 1][0] = r[2], b[n + 1][1] = r[3];
        }
        warp_multiply(sum, a, b);
    }
}

/* A warp's sums, times `factor` of each row, to its rows. */
template <int W>
__device__ static inline void put_own(bf16 *to, int pitch, int first, int T, const float (&sum)[1][W / FRAGMENT_N][4],
                                      const float (&factor)[2])
{
    UNROLL
    for (int half = 0; half < 2; half++) {
        int row = first + lane() / 4 + 8 * half;
        UNROLL
        for (int n = 0; n < W / FRAGMENT_N; n++)
            if (row < T)
                *(uint32_t *)(to + (int64_t)row * pitch + FRAGMENT_N * n + 2 * (lane() % 4)) =
                    pair_of(factor[half] * sum[0][n][2 * half], factor[half] * sum[0][n][2 * half + 1]);
    }
}

/* Two operands' steps in shared memory, twice: one is worked on while the next arrives. */
template <int W> struct steps {
    static constexpr int bytes = STEP * W * 2;
    unsigned char *memory;
    const bf16 *a, *b;
    int a_pitch, b_pitch, T;

    __device__ void begin(int first)
    {
        unsigned char *to = memory + first / STEP % 2 * 2 * bytes;
        begin_step<W>(to, a, a_pitch, first, T);
        begin_step<W>(to + bytes, b, b_pitch, first, T);
        copy_group();
    }
    /* The step from row `first` on, b's behind a's; begins the next. The block meets. */
    __device__ const unsigned char *take(int first)
    {
        copy_wait<0>();
        block_meet();
        if (first + STEP < T)
            begin(first + STEP);
        return memory + first / STEP % 2 * 2 * bytes;
    }
};

/* Which image and head, and which of its rows are this warp's. Blocks [B,heads,groups]. */
typedef struct place {
    int64_t image;
    int h, first;
    int64_t pair; /* image and head in one */
} place;
__device__ static inline place place_of(int heads, int groups)
{
    int64_t pair = blockIdx.x / (unsigned)groups;
    place p = {pair / heads, (int)(pair % heads), (int)(blockIdx.x % (unsigned)groups) * OWN_ROWS + (int)threadIdx.x / WARP * OWN, pair};
    return p;
}

/* Of a thread's n-th pair of columns, e-th number: the column in a step. */
__device__ static inline int step_column(int n, int e) { return FRAGMENT_N * n + 2 * (lane() % 4) + e % 2; }

/* T up to a whole step. */
__device__ __host__ static inline int rows_of_steps(int T) { return (T + STEP - 1) / STEP * STEP; }

#define LOG2_E 1.4426950408889634f
#define LN_2   0.69314718055994531f

/* ---- calls ------------------------------------------------------------------------------------------------------------------------------- */

template <int N> struct width_is {
    static constexpr int value = N;
};

template <class With> static deco_status with_width(int64_t width, With with)
{
    return width == 32 ? with(width_is<32>()) : with(width_is<64>());
}

/* How a call is laid out. */
typedef struct layout {
    int T, heads, groups;
    int64_t blocks;
    float scale;
} layout;

static layout layout_of(int64_t B, int64_t T, int64_t heads, int64_t width)
{
    int64_t groups = cuda_tiles(T, OWN_ROWS);
    layout l = {(int)T, (int)heads, (int)groups, B * heads * groups, (float)(LOG2_E / sqrt((double)width))};
    return l;
}

/* Starts a kernel of these: arguments first, then the layout. */
template <int W, class... K, class... A> static deco_status start(deco_device *dev, void (*kernel)(K...), const layout &l, A... arguments)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)(4 * steps<W>::bytes) + 2 * (size_t)rows_of_steps(l.T) * sizeof(float);
    TRY(may_share(dev, kernel, bytes));
    TRY(LAUNCH_SHARED(dev, kernel, l.blocks, THREADS_HERE, bytes, arguments..., l.T, l.heads, l.groups, l.scale));
out:
    return st;
}

#endif
