/* The decoder on tiles of 64 points: a block takes a tile through all layers, its activations in shared memory and its sums in registers, the
 * weights passing by in slabs. METHOD.md section 3.
 *
 * A warp's part is all 64 points x 64 of the H = 64 NW columns. bf16 goes into products alone; sums, norms and the last layer are float32, the
 * value that a residual layer adds to is bf16. A lane's rows have its group's number g = lane / 4 as their last three bits, which is why one
 * exclusive or serves them all. */
#ifndef DECO_CUDA_NETWORK_TILE_H
#define DECO_CUDA_NETWORK_TILE_H

#include "network.h"
#include "tensor.h"

#include <string.h>

enum { TILE_ROWS = 64, WARP_N = 64, MT = TILE_ROWS / FRAGMENT_M, NT = WARP_N / FRAGMENT_N, SLAB_LINES = NETWORK_SLAB / 8, STAGES = 3 };
enum { LANE_ROWS = 2 * MT };                  /* of a lane: 8 r + g for r = 0 ... 7 */
enum { KEPT_QUADS = NT * LANE_ROWS / 4 + 1 }; /* of a thread and layer: normalised values in pairs, and a bit each */

struct alignas(8) two {
    float a, b;
};
struct alignas(16) quad {
    uint32_t w[4];
};

template <int NW_> struct tile {
    static constexpr int NW = NW_, threads = WARP * NW, width = WARP_N * NW, pitch = 2 * width;
    static constexpr int x_bytes = TILE_ROWS * pitch, slab_bytes = width * NETWORK_SLAB * 2;
    static constexpr int blocks = 256 / threads; /* that a multiprocessor's registers suffice for, at 256 a thread */
};

/* A block's shared memory. `slope` and `rstd` are those of training. */
template <class T> struct shared_parts {
    unsigned char *x, *ring;
    two *stats;           /* [rows,NW] */
    double *sums;         /* [2,rows / WARP] */
    float *dots;          /* [rows,NW] */
    float *point, *plane; /* [rows,3], [rows,2] */
    float *slope, *rstd;  /* [rows], [layers,rows] */
    __device__ shared_parts(unsigned char *all)
    {
        x = all, all += T::x_bytes;
        ring = all, all += STAGES * T::slab_bytes;
        stats = (two *)all, all += TILE_ROWS * T::NW * (int)sizeof *stats;
        sums = (double *)all, all += 2 * TILE_ROWS / WARP * (int)sizeof *sums;
        dots = (float *)all, point = dots + TILE_ROWS * T::NW, plane = point + 3 * TILE_ROWS, slope = plane + 2 * TILE_ROWS;
        rstd = slope + TILE_ROWS;
    }
};

template <class T> constexpr size_t shared_bytes(int layers)
{
    return (size_t)(T::x_bytes + STAGES * T::slab_bytes + TILE_ROWS * (T::NW * 12 + 24 + 4 * layers) + 2 * TILE_ROWS / WARP * 8);
}

/* ---- places: lines of 16 bytes lie so that eight rows' lines of one column, and one row's, are in different banks ---------------------- */

template <class T> __device__ static inline int x_place(int row, int line) { return row * T::pitch + (line ^ (row & 7)) * LINE; }

/* Of a lane's sums [MT][NT][4]: those of its row r and n-th columns are two, from here on. */
__device__ static inline float *pair_of_row(float (&v)[MT][NT][4], int r, int n) { return v[r / 2][n] + r % 2 * 2; }
__device__ static inline int row_of(int r) { return 8 * r + lane() / 4; }
__device__ static inline int warp_number() { return (int)threadIdx.x / WARP; }
/* The first of a lane's n-th two columns. */
__device__ static inline int column_of(int n) { return warp_number() * WARP_N + FRAGMENT_N * n + 2 * (lane() % 4); }
/* Where in x the pair of (row_of(0), column_of(n)) lies; row_of(r)'s is 8 r pitches on. */
template <class T> __device__ static inline unsigned char *pairs_of(unsigned char *x, int n)
{
    int g = lane() / 4;
    return x + g * T::pitch + ((warp_number() * (WARP_N / 8) + n) ^ g) * LINE + lane() % 4 * 4;
}

/* ---- weights passing by --------------------------------------------------------------------------------------------------------- */

/* Slabs 0, 1, ... of `all`, and again: every tile takes all of them, in order. STAGES - 1 are on their way. */
template <class T> struct slab_stream {
    const unsigned char *from;
    unsigned char *ring;
    int all, ahead, ahead_stage, stage;

    __device__ slab_stream(const unsigned char *slabs, int count, unsigned char *to)
        : from(slabs), ring(to), all(count), ahead(0), ahead_stage(0), stage(0)
    {
        for (int i = 0; i < STAGES - 1; i++)
            fetch();
    }
    __device__ void fetch()
    {
        const unsigned char *slab = from + (int64_t)ahead * T::slab_bytes;
        unsigned char *to = ring + ahead_stage * T::slab_bytes;
        UNROLL
        for (int i = 0; i < T::slab_bytes / LINE / T::threads; i++) {
            int at = (i * T::threads + (int)threadIdx.x) * LINE;
            copy_line(to + at, slab + at);
        }
        copy_group();
        ahead = ahead + 1 == all ? 0 : ahead + 1;
        ahead_stage = ahead_stage + 1 == STAGES ? 0 : ahead_stage + 1;
    }
    /* The next slab. All threads meet here, so what they wrote before is seen, and the slab before is free. */
    __device__ const unsigned char *take()
    {
        copy_wait<STAGES - 2>();
        block_meet();
        fetch();
        const unsigned char *slab = ring + stage * T::slab_bytes;
        stage = stage + 1 == STAGES ? 0 : stage + 1;
        return slab;
    }
};

/* sum += x's first columns times the next `slabs` slabs. */
template <class T>
__device__ static inline void product(float (&sum)[MT][NT][4], slab_stream<T> &weights, const unsigned char *x, int slabs)
{
    int l = lane(), turn = l % 8, column = warp_number() * WARP_N + l % 8 + l / 16 * 8, swap = column >> 1 & 3;
    const unsigned char *rows = x + l % 16 * T::pitch;
    for (int s = 0; s < slabs; s++) {
        const unsigned char *slab = weights.take() + column * NETWORK_SLAB * 2;
        UNROLL
        for (int k = 0; k < NETWORK_SLAB / FRAGMENT_K; k++) {
            uint32_t a[MT][4], b[NT][2];
            const unsigned char *left = rows + ((s * SLAB_LINES + 2 * k + l / 16) ^ turn) * LINE,
                                *right = slab + ((2 * k + l / 8 % 2) ^ swap) * LINE;
            UNROLL
            for (int m = 0; m < MT; m++)
                load_matrices(a[m], left + m * FRAGMENT_M * T::pitch);
            UNROLL
            for (int n = 0; n < NT; n += 2) {
                uint32_t r[4];
                load_matrices(r, right + n * FRAGMENT_N * NETWORK_SLAB * 2);
                b[n][0] = r[0], b[n][1] = r[1], b[n + 1][0] = r[2], b[n + 1][1] = r[3];
            }
            warp_multiply(sum, a, b);
        }
    }
}

/* Every row of the sums starts as `bias` [H]. */
template <class T> __device__ static inline void start_sums(float (&sum)[MT][NT][4], const float *bias)
{
    UNROLL
    for (int n = 0; n < NT; n++) {
        two b = *(const two *)(bias + column_of(n));
        UNROLL
        for (int m = 0; m < MT; m++)
            sum[m][n][0] = sum[m][n][2] = b.a, sum[m][n][1] = sum[m][n][3] = b.b;
    }
}

/* ---- points and features --------------------------------------------------------------------------------------------------------- */

/* The tile's points; those beyond the image's last are 0. */
template <class T> __device__ static inline void place_points(const shared_parts<T> &s, const network_call &c, int64_t image, int64_t first)
{
    for (int row = (int)threadIdx.x; row < TILE_ROWS; row += T::threads) {
        int64_t p = first + row;
        float k[2] = {0, 0}, x[3] = {0, 0, 0};
        if (p < c.P && c.R) {
            k[0] = c.x[2 * p], k[1] = c.x[2 * p + 1];
            for (int a = 0; a < 3; a++)
                x[a] = k[0] * c.R[9 * image + a] + k[1] * c.R[9 * image + 3 + a];
        } else if (p < c.P) {
            for (int a = 0; a < 3; a++)
                x[a] = c.x[3 * (image * c.P + p) + a];
        }
        for (int a = 0; a < 3; a++)
            s.point[3 * row + a] = x[a];
        s.plane[2 * row] = k[0], s.plane[2 * row + 1] = k[1];
    }
}

__device__ static inline int least(int a, int b) { return a < b ? a : b; }
/* Slabs of the features from frequency `first` on that x holds at once; a frequency has a sine and beside it a cosine. */
template <class T> __device__ static inline int feature_slabs(const network_call &c, int first)
{
    return (least(c.F - first, T::width / 2) + NETWORK_SLAB / 2 - 1) / (NETWORK_SLAB / 2);
}

/* x = the features from frequency `first` on, zeros behind the last up to a slab's end. A lane has its frequencies, in turns, for all rows. */
template <class T> __device__ static inline void encode(const shared_parts<T> &s, const network_call &c, int first)
{
    constexpr int GROUPS = T::width / 2 / WARP;
    int end = feature_slabs<T>(c, first) * (NETWORK_SLAB / 2);
    float f[GROUPS][3];
    UNROLL
    for (int g = 0; g < GROUPS; g++) {
        UNROLL
        for (int a = 0; a < 3; a++)
            f[g][a] = first + g * WARP + lane() < c.F ? c.freqs[3 * (first + g * WARP + lane()) + a] * (c.half_L * ONE_TURN) : 0;
    }
    for (int row = warp_number(); row < TILE_ROWS; row += T::NW) {
        const float *x = s.point + 3 * row;
        float x0 = x[0], x1 = x[1], x2 = x[2];
        unsigned char *to = s.x + row * T::pitch + (lane() / 4 ^ (row & 7)) * LINE + lane() % 4 * 4;
        UNROLL
        for (int g = 0; g < GROUPS; g++) {
            if (g * WARP >= end)
                break;
            float sine, cosine;
            sine_and_cosine(x0 * f[g][0] + x1 * f[g][1] + x2 * f[g][2], &sine, &cosine);
            *(uint32_t *)(to + g * WARP * 4) = first + g * WARP + lane() < c.F ? pair_of(sine, cosine) : 0;
        }
    }
}

/* The first `lines` lines of each row of x to memory, rows `pitch` bytes apart. The block has met since x was written. */
template <class T> __device__ static inline void copy_out(unsigned char *to, int64_t pitch, const unsigned char *x, int lines)
{
    for (int i = (int)threadIdx.x; i < TILE_ROWS * lines; i += T::threads) {
        int row = i / lines, line = i % lines;
        *(quad *)(to + row * pitch + line * LINE) = *(const quad *)(x + x_place<T>(row, line));
    }
}

/* ---- the norm ---------------------------------------------------------------------------------------------------------------------- */

/* From v, a layer's sums, to its value relu(norm(v) + x), in v and in x; the first layer adds nothing. With `keep` what backward needs is
 * kept: normalised values, which values are above 0, and 1/deviation in `rstd` [rows]. */
template <class T>
__device__ static inline void norm_and_add(float (&v)[MT][NT][4], const shared_parts<T> &s, const float *gamma, const float *beta, bool add,
                                           quad *keep, float *rstd)
{
    float scale[LANE_ROWS], off[LANE_ROWS]; /* a normalised value is v scale + off */
    UNROLL
    for (int r = 0; r < LANE_ROWS; r++) {
        float sum = 0, square = 0;
        UNROLL
        for (int n = 0; n < NT; n++)
            sum += pair_of_row(v, r, n)[0] + pair_of_row(v, r, n)[1];
        float mean = row_sum(sum) / WARP_N;
        UNROLL
        for (int n = 0; n < NT; n++) {
            float a = pair_of_row(v, r, n)[0] - mean, b = pair_of_row(v, r, n)[1] - mean;
            square += a * a, square += b * b;
        }
        square = row_sum(square);
        if (lane() % 4 == 0)
            s.stats[row_of(r) * T::NW + warp_number()] = {mean, square};
    }
    block_meet(); /* from here on nobody reads x as the product's operand */
    UNROLL
    for (int r = 0; r < LANE_ROWS; r++) {
        two part[T::NW];
        float mean = 0, square = 0;
        UNROLL
        for (int w = 0; w < T::NW; w++)
            part[w] = s.stats[row_of(r) * T::NW + w], mean += part[w].a;
        mean /= T::NW;
        UNROLL
        for (int w = 0; w < T::NW; w++)
            square += part[w].b + WARP_N * (part[w].a - mean) * (part[w].a - mean);
        scale[r] = rsqrtf(square / T::width + NETWORK_EPS);
        off[r] = -mean * scale[r];
        if (keep && threadIdx.x < WARP && lane() % 4 == 0)
            rstd[row_of(r)] = scale[r];
    }
    uint32_t above[MT] = {};
    UNROLL
    for (int n = 0; n < NT; n++) {
        two g = *(const two *)(gamma + column_of(n)), b = *(const two *)(beta + column_of(n));
        unsigned char *at = pairs_of<T>(s.x, n);
        uint32_t word[LANE_ROWS];
        UNROLL
        for (int r = 0; r < LANE_ROWS; r++) {
            float *d = pair_of_row(v, r, n), first = d[0] * scale[r] + off[r], second = d[1] * scale[r] + off[r];
            uint32_t *x = (uint32_t *)(at + 8 * r * T::pitch), was = add ? *x : 0;
            word[r] = pair_of(first, second);
            first = positive(pair_first(was) + (first * g.a + b.a)), second = positive(pair_second(was) + (second * g.b + b.b));
            above[r / 2] |= (first > 0 ? 1U : 0) << (4 * n + r % 2 * 2) | (second > 0 ? 2U : 0) << (4 * n + r % 2 * 2);
            d[0] = first, d[1] = second;
            *x = pair_of(first, second);
        }
        for (int q = 0; keep && q < LANE_ROWS / 4; q++)
            keep[(n * (LANE_ROWS / 4) + q) * T::threads] = {{word[4 * q], word[4 * q + 1], word[4 * q + 2], word[4 * q + 3]}};
    }
    if (keep)
        keep[(KEPT_QUADS - 1) * T::threads] = {{above[0], above[1], above[2], above[3]}};
}

/* Σ over the columns of v times `weight` [H]: a warp's part of each row, to be added over NW once all have met. */
template <class T> __device__ static inline void dot_rows(float (&v)[MT][NT][4], const shared_parts<T> &s, const float *weight)
{
    float sum[LANE_ROWS] = {};
    UNROLL
    for (int n = 0; n < NT; n++) {
        two w = *(const two *)(weight + column_of(n));
        UNROLL
        for (int r = 0; r < LANE_ROWS; r++)
            sum[r] += pair_of_row(v, r, n)[0] * w.a, sum[r] += pair_of_row(v, r, n)[1] * w.b;
    }
    UNROLL
    for (int r = 0; r < LANE_ROWS; r++) {
        sum[r] = row_sum(sum[r]);
        if (lane() % 4 == 0)
            s.dots[row_of(r) * T::NW + warp_number()] = sum[r];
    }
}

/* The value of a row, after dot_rows. */
template <class T> __device__ static inline float value_of(const shared_parts<T> &s, int row, const float *bias)
{
    float value = *bias;
    for (int w = 0; w < T::NW; w++)
        value += s.dots[row * T::NW + w];
    return value;
}

#endif
