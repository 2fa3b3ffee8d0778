/* The kernels of compute/snapshot.h, for vectors of VN floats. The including file gives `vec` and `ivec` (floats and as many int32),
 * KERNEL (the target, static), fma_ (a·b + c), sum_ (of all lanes), keep_greater_ (the greater of two and its number), the table's name,
 * and of groups of four lanes:
 *   LANE_SPLAT(a, g)       every lane of a group holds the group's lane g
 *   INTERLEAVE_LOW, _HIGH  a b of the lower, the upper two lanes
 *   JOIN_LOW, _HIGH        the lower, the upper two lanes of a, then those of b
 *   quad_pairs_(a, b, p, at)  group i of a and b holds the first and the last four of the eight numbers from p + at[4 i] */
#include <math.h>
#include <string.h>

KERNEL inline vec splat(float a) { return a - (vec){0}; }

KERNEL inline vec load(const float *p)
{
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}

KERNEL inline void store(float *p, vec a) { memcpy(p, &a, sizeof a); }

/* ---- slices ------------------------------------------------------------------------------------------------------ */

/* A slice's plane in the snapshot: a step along x and along y, in records. */
typedef struct plane {
    vec x[3], y[3], centre;
    const float *quad;
    int32_t row, layer; /* records */
} plane;

KERNEL inline plane plane_of(const deco_snapshot *s, const float R[9])
{
    plane p = {.centre = splat(s->centre), .quad = s->quad, .row = (int32_t)s->n, .layer = (int32_t)(s->n * s->n)};
    for (int i = 0; i < 3; i++) {
        p.x[i] = splat(R[i] * s->scale);
        p.y[i] = splat(R[3 + i] * s->scale);
    }
    return p;
}

/* A tile of a slice's points: where the records of their cells begin, how far into the cell they lie, and which of them were turned to the
 * opposite point because the snapshot holds z >= 0 only (all bits or none). A tile of them at a time, because the way from a point to its
 * address and from there to its value is long, and the processor sees too few points ahead to hide it. */
typedef struct cells {
    uint32_t at[DECO_SCORE_TILE];
    float f[3][DECO_SCORE_TILE];
    int32_t opposite[DECO_SCORE_TILE];
} cells;

KERNEL inline void find_cells(cells *c, const plane *p, const float *kx, const float *ky, int64_t n)
{
    for (int64_t j = 0; j < n; j += VN) {
        vec v[3], x = load(kx + j), y = load(ky + j);
        ivec whole[3];
        for (int i = 0; i < 3; i++)
            v[i] = fma_(y, p->y[i], x * p->x[i]);
        ivec sign = (ivec)v[2] & INT32_MIN, opposite = sign >> 31;
        memcpy(c->opposite + j, &opposite, sizeof opposite);
        for (int i = 0; i < 3; i++) {
            vec middle = i < 2 ? p->centre : splat(0);
            v[i] = (vec)((ivec)v[i] ^ sign);
            whole[i] = __builtin_convertvector(v[i] + middle, ivec);
            store(c->f[i] + j, v[i] - (__builtin_convertvector(whole[i], vec) - middle)); /* from the unmoved one: no digit is lost */
        }
        ivec at = 4 * (whole[2] * p->layer + whole[1] * p->row + whole[0]);
        memcpy(c->at + j, &at, sizeof at);
    }
}

/* Four vectors of quads to four vectors, one a member of the quads. */
KERNEL inline void transpose(vec r[4])
{
    vec a = INTERLEAVE_LOW(r[0], r[1]), b = INTERLEAVE_LOW(r[2], r[3]), c = INTERLEAVE_HIGH(r[0], r[1]), d = INTERLEAVE_HIGH(r[2], r[3]);
    r[0] = JOIN_LOW(a, b), r[1] = JOIN_HIGH(a, b), r[2] = JOIN_LOW(c, d), r[3] = JOIN_HIGH(c, d);
}

/* The edges along y of the cells of points g, 4 + g ... : each a record. */
typedef struct edges {
    vec low, low_x, high, high_x; /* in z, each at x and x + 1 */
} edges;

KERNEL inline edges load_edges(const plane *p, const uint32_t *at)
{
    edges e;
    quad_pairs_(&e.low, &e.low_x, p->quad, at);
    quad_pairs_(&e.high, &e.high_x, p->quad + 4 * (int64_t)p->layer, at);
    return e;
}

KERNEL inline vec between(vec a, vec b, vec f) { return fma_(f, b - a, a); }

KERNEL inline void exchange(vec *a, vec *b, ivec where)
{
    ivec both = ((ivec)*a ^ (ivec)*b) & where;
    *a = (vec)((ivec)*a ^ both);
    *b = (vec)((ivec)*b ^ both);
}

/* The slice at VN points from j of the tile, and at those opposite. */
KERNEL inline __attribute__((always_inline)) void sample(vec *at, vec *opposite, const plane *p, const cells *c, int64_t j)
{
    const vec fx = load(c->f[0] + j), fy = load(c->f[1] + j), fz = load(c->f[2] + j);
    ivec turned;
    edges e;
    vec r[4];
#define MIX(g) \
    e = load_edges(p, c->at + j + (g)); \
    r[g] = between(between(e.low, e.low_x, LANE_SPLAT(fx, g)), between(e.high, e.high_x, LANE_SPLAT(fx, g)), LANE_SPLAT(fz, g));
    MIX(0)
    MIX(1)
    MIX(2)
    MIX(3)
#undef MIX
    transpose(r);
    *at = between(r[0], r[2], fy);
    *opposite = between(r[1], r[3], fy);
    memcpy(&turned, c->opposite + j, sizeof turned);
    exchange(at, opposite, turned);
}

KERNEL inline int64_t tile_end(const deco_half_plane *half, int64_t first)
{
    int64_t left = half->padded - first;
    return left < DECO_SCORE_TILE ? left : DECO_SCORE_TILE;
}

KERNEL void slice(float *at, float *opposite, const deco_snapshot *s, const float R[9], const deco_half_plane *half)
{
    plane p = plane_of(s, R);
    cells c;
    for (int64_t first = 0; first < half->padded; first += DECO_SCORE_TILE) {
        int64_t n = tile_end(half, first);
        find_cells(&c, &p, half->kx + first, half->ky + first, n);
        for (int64_t j = 0; j < n; j += VN) {
            vec a, b;
            sample(&a, &b, &p, &c, j);
            store(at + first + j, a);
            store(opposite + first + j, b);
        }
    }
}

/* One slice to its lane. */
KERNEL void block_lane(float *slices, const deco_snapshot *s, const float R[9], const deco_half_plane *half)
{
    float *opposites = slices + half->points * VN;
    plane p = plane_of(s, R);
    cells c;
    for (int64_t first = 0; first < half->padded; first += DECO_SCORE_TILE) {
        int64_t n = tile_end(half, first);
        find_cells(&c, &p, half->kx + first, half->ky + first, n);
        for (int64_t j = 0; j < n; j += VN) {
            vec a, b;
            sample(&a, &b, &p, &c, j);
            for (int64_t i = 0; i < VN && first + j + i < half->points; i++) {
                slices[(first + j + i) * VN] = a[i];
                opposites[(first + j + i) * VN] = b[i];
            }
        }
    }
}

KERNEL void block(float *slices, float *power, const deco_snapshot *s, const float (*R)[9], const deco_half_plane *half)
{
    for (int lane = 0; lane < VN; lane++)
        block_lane(slices + lane, s, R[lane], half);
    for (int64_t j = 0; j < half->points; j++) {
        vec a = load(slices + j * VN), b = load(slices + (half->points + j) * VN);
        store(power + j * VN, fma_(a, a, b * b));
    }
}

#include "compute/cpu/snapshot_orbits.h"

/* ---- later levels ------------------------------------------------------------------------------------------------ */

/* cos and sin of i·step, i = first ... first + n - 1, by turning from one to the next in double. */
static void turns(float *cosine, float *sine, double step, int64_t first, int64_t n)
{
    double c = cos(step), s = sin(step), u = cos(step * (double)first), v = sin(step * (double)first);
    for (int64_t i = 0; i < n; i++) {
        double next = u * c - v * s;
        cosine[i] = (float)u, sine[i] = (float)v;
        v = u * s + v * c;
        u = next;
    }
}

/* A row's last vector runs over its end: the next row's first writes over that. */
KERNEL void shift(deco_half_image out, deco_half_image image, const deco_half_plane *half, const double phase[2], float *scratch)
{
    int64_t radius = half->radius, width = 2 * radius + 1;
    float *cosine = scratch, *sine = scratch + width + DECO_HALF_STEP, cy, sy;
    turns(cosine, sine, phase[0], -radius, width + DECO_HALF_STEP);
    for (int64_t y = 0; y <= radius; y++) {
        int64_t first = y ? -half->reach[y] : 1, end = half->reach[y];
        turns(&cy, &sy, phase[1] * (double)y, 1, 1);
        for (int64_t x = first; x <= end; x += VN) {
            int64_t j = half->row[y] + x - first;
            vec cx = load(cosine + radius + x), sx = load(sine + radius + x), u = load(image.at + j), v = load(image.opposite + j);
            vec c = fma_(splat(cy), cx, -(splat(sy) * sx)), s = fma_(splat(sy), cx, splat(cy) * sx);
            store(out.at + j, fma_(c, u, s * v));
            store(out.opposite + j, fma_(c, v, -(s * u)));
        }
    }
    memset(out.at + half->points, 0, (size_t)(half->padded - half->points) * sizeof *out.at);
    memset(out.opposite + half->points, 0, (size_t)(half->padded - half->points) * sizeof *out.opposite);
}

/* Products of image and slice, and Σ ½ CTF² S², over n points from `first`. */
KERNEL inline vec multiply_tile(float *a, float *b, const plane *p, const deco_half_plane *half, const deco_score_window *w, int64_t first,
                                int64_t n)
{
    vec norm = {0};
    cells c;
    find_cells(&c, p, half->kx + first, half->ky + first, n);
    for (int64_t j = 0; j < n; j += VN) {
        vec s, m, u = load(w->image.at + first + j), v = load(w->image.opposite + first + j);
        sample(&s, &m, p, &c, j);
        norm = fma_(load(w->half_ctf2 + first + j), fma_(s, s, m * m), norm);
        store(a + j, fma_(u, s, v * m));
        store(b + j, fma_(v, s, -(u * m)));
    }
    return norm;
}

/* Adds to `count` pairs' sums of a·cos and b·sin over a tile. */
KERNEL inline __attribute__((always_inline)) void sum_tile(float *sums, const float *a, const float *b, const float *table, int64_t n,
                                                           const int count)
{
    vec even[4], odd[4];
    for (int i = 0; i < count; i++)
        even[i] = load(sums + 2 * i * VN), odd[i] = load(sums + (2 * i + 1) * VN);
    for (int64_t j = 0; j < n; j += VN) {
        vec u = load(a + j), v = load(b + j);
        for (int i = 0; i < count; i++) {
            even[i] = fma_(load(table + 2 * i * DECO_SCORE_TILE + j), u, even[i]);
            odd[i] = fma_(load(table + (2 * i + 1) * DECO_SCORE_TILE + j), v, odd[i]);
        }
    }
    for (int i = 0; i < count; i++)
        store(sums + 2 * i * VN, even[i]), store(sums + (2 * i + 1) * VN, odd[i]);
}

/* The greatest dot product over both shifts of all pairs; of equals the lower number. */
KERNEL float best_of_pairs(int32_t *shift, const float *sums, int pairs, int shifts)
{
    float best = -INFINITY;
    for (int i = 0; i < pairs; i++) {
        float even = sum_(load(sums + 2 * i * VN)), odd = sum_(load(sums + (2 * i + 1) * VN));
        if (even + odd > best)
            best = even + odd, *shift = i;
        if (even - odd > best)
            best = even - odd, *shift = shifts - 1 - i;
    }
    return best;
}

KERNEL void candidates(float *score, int32_t *shift, const deco_snapshot *s, const float (*R)[9], int count, const deco_half_plane *half,
                       const deco_score_window *w, int shifts)
{
    float sums[DECO_SCORE_CANDIDATES][2 * DECO_SCORE_PAIRS * VN], norm[DECO_SCORE_CANDIDATES][VN];
    float a[DECO_SCORE_TILE], b[DECO_SCORE_TILE];
    plane p[DECO_SCORE_CANDIDATES];
    for (int c = 0; c < count; c++)
        p[c] = plane_of(s, R[c]);
    memset(sums, 0, sizeof sums);
    memset(norm, 0, sizeof norm);
    for (int64_t first = 0; first < half->padded; first += DECO_SCORE_TILE) {
        int64_t n = tile_end(half, first);
        const float *table = w->table + 2 * w->pairs * first;
        for (int c = 0; c < count; c++) {
            store(norm[c], load(norm[c]) + multiply_tile(a, b, &p[c], half, w, first, n));
            for (int i = 0; i < w->pairs; i += 4) {
                const float *part = table + 2 * i * DECO_SCORE_TILE;
                float *sum = sums[c] + 2 * i * VN;
                switch (w->pairs - i) {
                case 1: sum_tile(sum, a, b, part, n, 1); break;
                case 2: sum_tile(sum, a, b, part, n, 2); break;
                case 3: sum_tile(sum, a, b, part, n, 3); break;
                default: sum_tile(sum, a, b, part, n, 4);
                }
            }
        }
    }
    for (int c = 0; c < count; c++) {
        shift[c] = 0;
        score[c] = sum_(load(norm[c])) - best_of_pairs(&shift[c], sums[c], w->pairs, shifts);
    }
}

/* ---- Gauss–Newton ------------------------------------------------------------------------------------------------ */

/* Value and gradient, in records, of the snapshot at VN points, or at those opposite, as functions of the point. */
typedef struct slope {
    vec value, x, y, z;
} slope;

KERNEL inline __attribute__((always_inline)) void sample_slopes(slope *at, slope *opposite, const plane *p, const cells *c, int64_t j)
{
    const vec fx = load(c->f[0] + j), fy = load(c->f[1] + j), fz = load(c->f[2] + j);
    edges e;
    ivec turned, sign;
    vec value[4], along_x[4], along_z[4];
#define MIX(g) \
    { \
        e = load_edges(p, c->at + j + (g)); \
        vec low = between(e.low, e.low_x, LANE_SPLAT(fx, g)), high = between(e.high, e.high_x, LANE_SPLAT(fx, g)); \
        value[g] = between(low, high, LANE_SPLAT(fz, g)); \
        along_x[g] = between(e.low_x - e.low, e.high_x - e.high, LANE_SPLAT(fz, g)); \
        along_z[g] = high - low; \
    }
    MIX(0)
    MIX(1)
    MIX(2)
    MIX(3)
#undef MIX
    transpose(value);
    transpose(along_x);
    transpose(along_z);
    *at = (slope){between(value[0], value[2], fy), between(along_x[0], along_x[2], fy), value[2] - value[0],
                  between(along_z[0], along_z[2], fy)};
    *opposite = (slope){between(value[1], value[3], fy), between(along_x[1], along_x[3], fy), value[3] - value[1],
                        between(along_z[1], along_z[3], fy)};
    /* A point that was turned to its opposite moves the other way. */
    memcpy(&turned, c->opposite + j, sizeof turned);
    sign = turned & INT32_MIN;
    vec *of_at[] = {&at->x, &at->y, &at->z}, *of_opposite[] = {&opposite->x, &opposite->y, &opposite->z};
    exchange(&at->value, &opposite->value, turned);
    for (int i = 0; i < 3; i++) {
        exchange(of_at[i], of_opposite[i], turned);
        *of_at[i] = (vec)((ivec)*of_at[i] ^ sign);
        *of_opposite[i] = (vec)((ivec)*of_opposite[i] ^ sign);
    }
}

/* Adds one half's points: J of the pose, the residual, the score. `R` is splat and scaled to records. */
KERNEL inline void add_normal(vec sum[DECO_NORMAL_SUMS], const slope *s, const vec R[9], vec kx, vec ky, vec image, vec moved, vec ctf)
{
    vec g[3], J[5], model = ctf * s->value, residual = image - model;
    for (int i = 0; i < 3; i++)
        g[i] = ctf * fma_(R[3 * i], s->x, fma_(R[3 * i + 1], s->y, R[3 * i + 2] * s->z));
    J[0] = ky * g[2], J[1] = kx * g[2], J[2] = kx * g[1] - ky * g[0], J[3] = -(kx * moved), J[4] = -(ky * moved);
    int at = 0;
    for (int i = 0; i < 5; i++)
        for (int j = i; j < 5; j++, at++)
            sum[at] = fma_(J[i], J[j], sum[at]);
    for (int i = 0; i < 5; i++)
        sum[15 + i] = fma_(J[i], residual, sum[15 + i]);
    sum[20] = fma_(model, fma_(splat(0.5f), model, -image), sum[20]);
}

KERNEL void normal(float sums[DECO_NORMAL_SUMS], const deco_snapshot *s, const float R[9], const deco_half_plane *half,
                   deco_half_image image, const float *ctf)
{
    plane p = plane_of(s, R);
    vec sum[DECO_NORMAL_SUMS] = {{0}}, axes[9];
    cells c;
    for (int i = 0; i < 9; i++)
        axes[i] = splat(R[i] * s->scale);
    for (int64_t first = 0; first < half->padded; first += DECO_SCORE_TILE) {
        int64_t n = tile_end(half, first);
        find_cells(&c, &p, half->kx + first, half->ky + first, n);
        for (int64_t j = 0; j < n; j += VN) {
            slope at, opposite;
            vec kx = load(half->kx + first + j), ky = load(half->ky + first + j), of_ctf = load(ctf + first + j);
            vec u = load(image.at + first + j), v = load(image.opposite + first + j);
            sample_slopes(&at, &opposite, &p, &c, j);
            add_normal(sum, &at, axes, kx, ky, u, v, of_ctf);
            add_normal(sum, &opposite, axes, kx, ky, v, -u, of_ctf);
        }
    }
    for (int i = 0; i < DECO_NORMAL_SUMS; i++)
        sums[i] = sum_(sum[i]);
}

const deco_snapshot_kernels KERNELS = {KERNELS_NAME, VN, slice, block, orbits, shift, candidates, normal};
