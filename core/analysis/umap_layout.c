/* The layout: neighbours pull, rows drawn at random push, step by step weaker.
 *
 * Rows are worked on tile by tile. An edge within a tile moves both its ends, as in umap-learn; of one that leads to another tile each tile moves its own end
 * alone, twice as far, and sees the other where it was when the pass began. So tiles do not depend on one another, and the bits not on the number of
 * threads. Tiles are as many as N says, and near rows stand together, so most neighbours are of the same tile. */
#include "analysis/umap.h"
#include "base/philox.h"
#include "base/processor.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Rows of a tile; pushes a pull; lanes of an edge, and of two, which are worked on at once; the lane that pulls; the longest move along an axis. */
enum { TILE = 1024, PUSHES = 5, LANES = 8, WIDE = 2 * LANES, PULL = 3 };
static const float longest = 4;
static const int lane_of[PUSHES + 1] = {0, 1, 4,
                                        5, 2, PULL}; /* of an edge's pushes and of its neighbour: where AVX-512 has them cheapest */

/* Sixteen numbers at a time, whatever the processor: the same bits on all of them. */
typedef float f16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16 __attribute__((vector_size(64), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* a where the mask is set, else b. By address: vectors by value would change the calling convention with the processor. */
INLINE void pick(f16 *out, i16 mask, const f16 *a, const f16 *b) { *out = (f16)((mask & (i16)*a) | (~mask & (i16)*b)); }

INLINE void limit(f16 *x)
{
    f16 high = longest - (f16){0}, low = -longest - (f16){0};
    pick(x, *x > high, &high, x);
    pick(x, *x < low, &low, x);
}

/* x^b of x > 0 where |b| <= 0.98, 4e-6 relative: polynomials stand for the logarithm and for the power of two. */
INLINE void power(f16 *out, const f16 *x, float b)
{
    i16 bits = (i16)*x, e = (bits >> 23) - 127, whole;
    f16 m = (f16)((bits & 0x7fffff) | 0x3f800000), m2 = m * m, y, f, f2;

    y = (-3.0346028502f + m * 6.0898957626f) + m2 * (-5.3017091086f + m * 3.2494665613f) +
        (m2 * m2) * ((-1.2479624954f + m * 0.27003745742f) - m2 * 0.025123203286f);
    y = b * (__builtin_convertvector(e, f16) + y);
    whole = __builtin_convertvector(y + 512.f, i16) - 512; /* rounds down */
    f = y - __builtin_convertvector(whole, f16);
    f2 = f * f;
    f = (1 + f * 0.69314757747f) + f2 * (0.24020687405f + f * 0.055658664224f) + (f2 * f2) * (0.0091968020486f + f * 0.0017896650405f);
    *out = f * (f16)((whole + 127) << 23);
}

/* Numbers in [0, n): SplitMix64 (Steele, Lea and Flood, 2014), started by Philox for each tile and pass. Its bias is n/2^32. */
INLINE void draw(int64_t out[2], uint64_t *state, uint64_t n)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    out[0] = (int64_t)((z >> 32) * n >> 32);
    out[1] = (int64_t)((z & 0xffffffffu) * n >> 32);
}

typedef struct layout {
    const deco_umap_graph *g;
    const float *old; /* [N,width] as the pass began */
    float *now;       /* [N,width] */
    int64_t dim, width, epoch;
    float step;
    uint64_t seed;
    struct pull *list; /* [workers,room] */
    uint8_t *acts;     /* likewise */
    int64_t room;
} layout;

/* An edge that pulls in this pass. */
typedef struct pull {
    int32_t row, neighbour;
} pull;

/* A tile at work. */
typedef struct tile {
    const layout *l;
    int64_t first, end;
    pull *list;    /* room for all its edges, */
    uint8_t *acts; /* and to say which of them pull now */
    uint64_t random;
} tile;

INLINE bool within(const tile *t, int64_t row) { return row >= t->first && row < t->end; }

INLINE const float *position(const tile *t, int64_t row) { return (within(t, row) ? t->l->now : t->l->old) + row * t->l->width; }

/* How strongly lanes act along their difference: PULL pulls, the others push. */
INLINE void strengths(f16 *out, const f16 *d2)
{
    static const float a = (float)DECO_UMAP_A, b = (float)DECO_UMAP_B;
    const f16 least = 1e-30f - (f16){0}, none = {0}, push = 2 * b - (f16){0};
    const i16 pulls = {0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, -1}; /* PULL of either edge */
    f16 p, safe, draws, softened = 0.001f + *d2, above, below;

    pick(&safe, *d2 > least, d2, &least);
    power(&p, &safe, b);
    draws = -2 * a * b * p;
    pick(&above, pulls, &draws, &push);
    pick(&below, pulls, &safe, &softened);
    above /= below * (1 + a * p);
    pick(out, *d2 > none, &above, &none);
}

INLINE void draw_others(int64_t other[PUSHES + 1], tile *t)
{
    for (int i = 0; i < PUSHES + 1; i += 2)
        draw(other + i, &t->random, (uint64_t)t->l->g->N);
}

/* ---- in the plane ------------------------------------------------------------------------------------------------ */

/* Moves both ends of an edge, or its own alone where the other is another tile's: `push` is the sum of all lanes. */
INLINE void move_plane(const tile *t, const pull *e, const float push[2], const float toward[2])
{
    float *self = t->l->now + (int64_t)e->row * 2, *near = t->l->now + (int64_t)e->neighbour * 2, step = t->l->step;
    bool both = within(t, e->neighbour);

    for (int j = 0; j < 2; j++) {
        if (both)
            near[j] -= step * toward[j];
        self[j] += step * (both ? push[j] : push[j] + toward[j]);
    }
}

/* One or two edges, the second seeing the rows as they stood before the first: the arithmetic of one need not wait for the other's. Of the lanes of an
 * edge the fourth is its neighbour's, and the last two stay 0. */
INLINE void act_plane(tile *t, const pull *e, int edges)
{
    float x[WIDE] = {0}, y[WIDE] = {0};
    f16 dx, dy, d2, s;

    for (int k = 0; k < edges; k++) {
        const float *self = t->l->now + (int64_t)e[k].row * 2;
        int64_t other[PUSHES + 1];
        draw_others(other, t);
        other[PUSHES] = e[k].neighbour;
        for (int i = 0; i < PUSHES + 1; i++) {
            const float *p = position(t, other[i]);
            x[k * LANES + lane_of[i]] = self[0] - p[0];
            y[k * LANES + lane_of[i]] = self[1] - p[1];
        }
    }
    dx = *(const f16 *)x, dy = *(const f16 *)y;
    d2 = dx * dx + dy * dy;
    strengths(&s, &d2);
    dx *= s, dy *= s;
    limit(&dx), limit(&dy);
    *(f16 *)x = dx, *(f16 *)y = dy;
    for (int k = 0; k < edges; k++) {
        const float *u = x + k * LANES, *v = y + k * LANES;
        float push[2] = {((u[0] + u[2]) + (u[4] + u[6])) + ((u[1] + u[3]) + (u[5] + u[7])),
                         ((v[0] + v[2]) + (v[4] + v[6])) + ((v[1] + v[3]) + (v[5] + v[7]))};
        move_plane(t, e + k, push, (float[]){u[PULL], v[PULL]});
    }
}

/* ---- in more dimensions ------------------------------------------------------------------------------------------ */

INLINE float sum_of(const f16 *v)
{
    float part[WIDE];

    memcpy(part, v, sizeof part);
    for (int half = WIDE / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}

INLINE void act_space(tile *t, const pull *e, int edges)
{
    int64_t width = t->l->width, other[2][PUSHES + 1];
    float length[WIDE] = {0};
    f16 s;

    for (int k = 0; k < edges; k++) {
        const float *self = t->l->now + e[k].row * width;
        draw_others(other[k], t);
        other[k][PUSHES] = e[k].neighbour;
        for (int i = 0; i < PUSHES + 1; i++) {
            const float *p = position(t, other[k][i]);
            f16 sum = {0};
            for (int64_t j = 0; j < width; j += WIDE) {
                f16 d = *(const f16 *)(self + j) - *(const f16 *)(p + j);
                sum += d * d;
            }
            length[k * LANES + lane_of[i]] = sum_of(&sum);
        }
    }
    strengths(&s, (const f16 *)length);
    memcpy(length, &s, sizeof length);
    for (int k = 0; k < edges; k++) {
        float *self = t->l->now + e[k].row * width, *near = within(t, e[k].neighbour) ? t->l->now + e[k].neighbour * width : NULL;
        for (int64_t j = 0; j < width; j += WIDE) {
            f16 here = *(const f16 *)(self + j), move = {0}, toward = {0};
            for (int i = 0; i < PUSHES + 1; i++) {
                toward = length[k * LANES + lane_of[i]] * (here - *(const f16 *)(position(t, other[k][i]) + j));
                limit(&toward);
                move += toward;
            }
            if (near)
                *(f16 *)(near + j) -= t->l->step * toward;
            else
                move += toward;
            *(f16 *)(self + j) = here + t->l->step * move;
        }
    }
}

/* ---- a tile ------------------------------------------------------------------------------------------------------ */

/* The edges that pull in this pass: as often as their weights (of the largest) say, evenly spread. Without branches, which nothing could foretell. */
INLINE int64_t list_pulls(tile *t)
{
    const deco_umap_graph *g = t->l->g;
    const float *restrict weight = g->weight + g->start[t->first], pass = (float)t->l->epoch;
    const int32_t *restrict row = g->row + g->start[t->first];
    const int64_t *restrict start = g->start;
    uint8_t *restrict acts = t->acts;
    pull *restrict list = t->list;
    int64_t edges = start[t->end] - start[t->first], n = 0, at = 0;

    for (int64_t e = 0; e < edges; e++)
        acts[e] = (int32_t)((pass + 1) * weight[e]) > (int32_t)(pass * weight[e]);
    for (int64_t i = t->first; i < t->end; i++)
        for (int64_t end = at + start[i + 1] - start[i]; at < end; at++) {
            list[n] = (pull){(int32_t)i, row[at]};
            n += acts[at];
        }
    return n;
}

/* Edges that are worked on together stand half a tile from one another, and so seldom share a row. */
INLINE void two_of(pull e[2], const tile *t, int64_t k, int64_t n)
{
    e[0] = t->list[k];
    e[1] = t->list[n / 2 + k];
}

INLINE void act(tile *t, const pull *e, int edges)
{
    if (t->l->width == 2)
        act_plane(t, e, edges);
    else
        act_space(t, e, edges);
}

INLINE void work_on(tile *t)
{
    int64_t n = list_pulls(t);
    pull e[2];

    for (int64_t k = 0; k < n / 2; k++) {
        two_of(e, t, k, n);
        act(t, e, 2);
    }
    if (n % 2)
        act(t, t->list + n - 1, 1);
}

static void work_plain(tile *t) { work_on(t); }

#ifdef __x86_64__

/* A row's place as one number, and back. */
INLINE double pair_at(const float *p)
{
    double v;
    memcpy(&v, p, sizeof v);
    return v;
}

#define AVX512 __attribute__((target("avx512f,avx512dq"))) static

/* act_plane of two edges, with the same bits: places are loaded two coordinates at a time, and the sums of both edges made together. */
AVX512 inline void act_plane_twice(tile *t, const pull *e)
{
    __m512d first, second, self;
    double own[2], place[2][PUSHES + 1];
    f16 dx, dy, d2, s;

    for (int k = 0; k < 2; k++) {
        int64_t other[PUSHES + 1];
        draw_others(other, t);
        other[PUSHES] = e[k].neighbour;
        own[k] = pair_at(t->l->now + (int64_t)e[k].row * 2);
        for (int i = 0; i < PUSHES + 1; i++)
            place[k][i] = pair_at(position(t, other[i]));
    }
    first = _mm512_set_pd(place[1][3], place[1][2], place[1][1], place[1][0], place[0][3], place[0][2], place[0][1], place[0][0]);
    second = _mm512_set_pd(own[1], own[1], place[1][5], place[1][4], own[0], own[0], place[0][5], place[0][4]);
    self = _mm512_insertf64x4(_mm512_set1_pd(own[0]), _mm256_set1_pd(own[1]), 1);
    dx = (f16)(_mm512_moveldup_ps((__m512)self) - _mm512_shuffle_ps((__m512)first, (__m512)second, 0x88)); /* 0 1 4 5, 2 3 and itself */
    dy = (f16)(_mm512_movehdup_ps((__m512)self) - _mm512_shuffle_ps((__m512)first, (__m512)second, 0xdd));
    d2 = dx * dx + dy * dy;
    strengths(&s, &d2);
    dx *= s, dy *= s;
    limit(&dx), limit(&dy);
    __m512 sum =
        _mm512_shuffle_ps((__m512)dx, (__m512)dy, 0x44) + _mm512_shuffle_ps((__m512)dx, (__m512)dy, 0xee); /* x0+x2 x1+x3 y0+y2 y1+y3 */
    sum += _mm512_shuffle_f32x4(sum, sum, 0xb1);
    sum += _mm512_permute_ps(sum, 0xb1);
    float push[WIDE], toward[WIDE];
    _mm512_storeu_ps(push, _mm512_permute_ps(sum, 0x88));
    _mm512_storeu_ps(toward, _mm512_unpackhi_ps((__m512)dx, (__m512)dy));
    for (int k = 0; k < 2; k++)
        move_plane(t, e + k, push + k * LANES, toward + k * LANES + 2);
}

AVX512 void work_avx512(tile *t)
{
    int64_t n;
    pull e[2];

    if (t->l->width > 2) {
        work_on(t);
        return;
    }
    n = list_pulls(t);
    for (int64_t k = 0; k < n / 2; k++) {
        two_of(e, t, k, n);
        act_plane_twice(t, e);
    }
    if (n % 2)
        act_plane(t, t->list + n - 1, 1);
}

__attribute__((target("avx2"))) static void work_avx2(tile *t) { work_on(t); }
#endif

static deco_status run_tile(void *context, int64_t index, int worker)
{
    const layout *l = context;
    deco_random start = deco_random_at(l->seed, DECO_STREAM_LAYOUT, (uint64_t)l->epoch << 32 | (uint64_t)index);
    tile t = {l,
              index * TILE,
              (index + 1) * TILE < l->g->N ? (index + 1) * TILE : l->g->N,
              l->list + worker * l->room,
              l->acts + worker * l->room,
              0};

    t.random = (uint64_t)deco_random_u32(&start) << 32;
    t.random |= deco_random_u32(&start);
    memcpy(l->now + t.first * l->width, l->old + t.first * l->width, (size_t)((t.end - t.first) * l->width) * sizeof *l->now);
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX2) {
        (deco_processor_kind() >= DECO_AVX512 ? work_avx512 : work_avx2)(&t);
        return DECO_OK;
    }
#endif
    work_plain(&t);
    return DECO_OK;
}

/* Weights in units of the largest; edges that would not pull even once are left to be passed over. */
static deco_status scale_weights(deco_umap_graph *scaled, const deco_umap_graph *g)
{
    float most = 0;

    *scaled = *g;
    scaled->weight = NULL;
    for (int64_t e = 0; e < g->start[g->N]; e++)
        most = g->weight[e] > most ? g->weight[e] : most;
    deco_status st = deco_alloc(&scaled->weight, (size_t)g->start[g->N] + 1, sizeof *scaled->weight, "a graph of neighbours");
    for (int64_t e = 0; !st && e < g->start[g->N]; e++)
        scaled->weight[e] = g->weight[e] / most;
    return st;
}

/* The most edges of a tile. */
static int64_t edges_of_tile(const deco_umap_graph *g)
{
    int64_t most = 0;

    for (int64_t i = 0; i < g->N; i += TILE) {
        int64_t n = g->start[i + TILE < g->N ? i + TILE : g->N] - g->start[i];
        most = n > most ? n : most;
    }
    return most;
}

/* Rows of `dim` numbers to rows of `width`, and back. */
static void copy_rows(float *to, int64_t to_width, const float *from, int64_t from_width, int64_t N, int64_t dim)
{
    for (int64_t i = 0; i < N; i++)
        memcpy(to + i * to_width, from + i * from_width, (size_t)dim * sizeof *to);
}

deco_status deco_umap_layout(float *y, const deco_umap_plan *plan, const deco_umap_graph *g, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    int64_t N = g->N, dim = plan->dim, width = dim <= 2 ? 2 : (dim + WIDE - 1) / WIDE * WIDE;
    int64_t epochs = plan->epochs ? plan->epochs : N <= 10000 ? 500 : 200;
    deco_umap_graph scaled = {0};
    float *position[2] = {NULL, NULL};
    pull *list = NULL;
    uint8_t *acts = NULL;
    int64_t room = edges_of_tile(g) + 1; /* the last is written, too, and then not counted */

    TRY(scale_weights(&scaled, g));
    TRY(deco_alloc(&list, (size_t)(room * deco_pool_threads(pool)), sizeof *list, "a layout of the latents"));
    TRY(deco_alloc(&acts, (size_t)(room * deco_pool_threads(pool)), sizeof *acts, "a layout of the latents"));
    for (int i = 0; i < 2; i++)
        TRY(deco_alloc(&position[i], (size_t)(N * width), sizeof *y, "a layout of the latents"));
    copy_rows(position[0], width, y, dim, N, dim);
    deco_progress_begin(m, "layout", epochs, "passes");
    for (int64_t e = 0; e < epochs; e++) {
        layout l = {&scaled, position[e % 2], position[(e + 1) % 2], dim, width, e, 1 - (float)e / (float)epochs, plan->seed, list, acts,
                    room};
        st = deco_monitor_stopped(m) ? deco_fail(DECO_E_STOPPED, "stopped while a layout of the latents was made")
                                     : deco_pool_run(pool, run_tile, &l, (N + TILE - 1) / TILE);
        if (st)
            break;
        deco_progress_add(m, 1);
    }
    deco_progress_end(m);
    if (!st)
        copy_rows(y, dim, position[epochs % 2], width, N, dim);
out:
    free(scaled.weight);
    free(list);
    free(acts);
    free(position[0]);
    free(position[1]);
    return st;
}
