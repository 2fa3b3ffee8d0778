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

/* Rows of a tile; pushes a pull; the longest move along an axis. */
enum { TILE = 1024, PUSHES = 5, LANES = 8 };
static const float longest = 4;

/* Eight numbers at a time, whatever the processor: the same bits on all of them. */
typedef float f8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* a where the mask is set, else b. By address: vectors by value would change the calling convention with the processor. */
INLINE void pick(f8 *out, i8 mask, const f8 *a, const f8 *b) { *out = (f8)((mask & (i8)*a) | (~mask & (i8)*b)); }

INLINE void limit(f8 *x, float most)
{
    f8 high = most - (f8){0}, low = -most - (f8){0};
    pick(x, *x > high, &high, x);
    pick(x, *x < low, &low, x);
}

/* x^b of x > 0, 4e-6 relative: polynomials stand for the logarithm and for the power of two. */
INLINE void power(f8 *out, const f8 *x, float b)
{
    i8 bits = (i8)*x, e = (bits >> 23) - 127, whole;
    f8 m = (f8)((bits & 0x7fffff) | 0x3f800000), log2m, y, f;

    log2m = -3.0346028502f +
            m * (6.0898957626f +
                 m * (-5.3017091086f + m * (3.2494665613f + m * (-1.2479624954f + m * (0.27003745742f - m * 0.025123203286f)))));
    y = b * (__builtin_convertvector(e, f8) + log2m);
    limit(&y, 126);
    whole = __builtin_convertvector(y + 512.f, i8) - 512; /* rounds down */
    f = y - __builtin_convertvector(whole, f8);
    f = 1 + f * (0.69314757747f + f * (0.24020687405f + f * (0.055658664224f + f * (0.0091968020486f + f * 0.0017896650405f))));
    *out = f * (f8)((whole + 127) << 23);
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
} layout;

/* A tile at work. */
typedef struct tile {
    const layout *l;
    int64_t first, end;
    uint64_t random;
} tile;

INLINE bool within(const tile *t, int64_t row) { return row >= t->first && row < t->end; }

INLINE const float *position(const tile *t, int64_t row) { return (within(t, row) ? t->l->now : t->l->old) + row * t->l->width; }

/* Does an edge of weight w (of the largest) pull in this pass? As often as its weight says, evenly spread. */
INLINE bool pulls(float w, float epoch) { return floorf((epoch + 1) * w) > floorf(epoch * w); }

/* How strongly lanes act along their difference: the last pulls, the others push. */
INLINE void strengths(f8 *out, const f8 *d2)
{
    static const float a = (float)DECO_UMAP_A, b = (float)DECO_UMAP_B;
    const f8 least = 1e-30f - (f8){0}, none = {0}, push = 2 * b - (f8){0};
    const i8 last = {0, 0, 0, 0, 0, -1}; /* PUSHES */
    f8 p, safe, pull, softened = 0.001f + *d2, above, below;

    pick(&safe, *d2 > least, d2, &least);
    power(&p, &safe, b);
    pull = -2 * a * b * p;
    pick(&above, last, &pull, &push);
    pick(&below, last, &safe, &softened);
    above /= below * (1 + a * p);
    pick(out, *d2 > none, &above, &none);
}

INLINE void act_plane(tile *t, int64_t row, int64_t neighbour)
{
    float *self = t->l->now + row * 2, move_x, move_y;
    f8 dx = {0}, dy = {0}, d2, s;
    int64_t other[PUSHES + 1];

    for (int i = 0; i < PUSHES + 1; i += 2)
        draw(other + i, &t->random, (uint64_t)t->l->g->N);
    other[PUSHES] = neighbour;
    for (int i = 0; i < PUSHES + 1; i++) {
        const float *p = position(t, other[i]);
        dx[i] = self[0] - p[0];
        dy[i] = self[1] - p[1];
    }
    d2 = dx * dx + dy * dy;
    strengths(&s, &d2);
    dx *= s;
    dy *= s;
    limit(&dx, longest);
    limit(&dy, longest);
    move_x = ((dx[0] + dx[4]) + dx[1]) + (dx[2] + dx[3]);
    move_y = ((dy[0] + dy[4]) + dy[1]) + (dy[2] + dy[3]);
    if (within(t, neighbour)) {
        float *near = t->l->now + neighbour * 2;
        near[0] -= t->l->step * dx[PUSHES];
        near[1] -= t->l->step * dy[PUSHES];
    } else {
        move_x += dx[PUSHES];
        move_y += dy[PUSHES];
    }
    self[0] += t->l->step * (move_x + dx[PUSHES]);
    self[1] += t->l->step * (move_y + dy[PUSHES]);
}

INLINE void act_space(tile *t, int64_t row, int64_t neighbour)
{
    int64_t width = t->l->width, other[PUSHES + 1];
    float *self = t->l->now + row * width, *near;
    f8 d2 = {0}, s;

    for (int i = 0; i < PUSHES + 1; i += 2)
        draw(other + i, &t->random, (uint64_t)t->l->g->N);
    other[PUSHES] = neighbour;
    for (int i = 0; i < PUSHES + 1; i++) {
        const float *p = position(t, other[i]);
        f8 sum = {0};
        for (int64_t j = 0; j < width; j += LANES) {
            f8 d = *(const f8 *)(self + j) - *(const f8 *)(p + j);
            sum += d * d;
        }
        d2[i] = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
    }
    strengths(&s, &d2);
    near = within(t, neighbour) ? t->l->now + neighbour * width : NULL;
    for (int64_t j = 0; j < width; j += LANES) {
        f8 here = *(const f8 *)(self + j), move = {0}, pull;
        for (int i = 0; i < PUSHES; i++) {
            f8 d = s[i] * (here - *(const f8 *)(position(t, other[i]) + j));
            limit(&d, longest);
            move += d;
        }
        pull = s[PUSHES] * (here - *(const f8 *)(position(t, neighbour) + j));
        limit(&pull, longest);
        if (near)
            *(f8 *)(near + j) -= t->l->step * pull;
        else
            move += pull;
        *(f8 *)(self + j) = here + t->l->step * (move + pull);
    }
}

INLINE void work_on(tile *t)
{
    const deco_umap_graph *g = t->l->g;
    float epoch = (float)t->l->epoch;

    for (int64_t i = t->first; i < t->end; i++)
        for (int64_t e = g->start[i]; e < g->start[i + 1]; e++) {
            if (!pulls(g->weight[e], epoch))
                continue;
            if (t->l->width == 2)
                act_plane(t, i, g->row[e]);
            else
                act_space(t, i, g->row[e]);
        }
}

static void work_plain(tile *t) { work_on(t); }

#ifdef __x86_64__
__attribute__((target("avx2"))) static void work_avx2(tile *t) { work_on(t); }
#endif

static deco_status run_tile(void *context, int64_t index, int worker)
{
    const layout *l = context;
    deco_random start = deco_random_at(l->seed, DECO_STREAM_LAYOUT, (uint64_t)l->epoch << 32 | (uint64_t)index);
    tile t = {l, index * TILE, (index + 1) * TILE < l->g->N ? (index + 1) * TILE : l->g->N, 0};

    t.random = (uint64_t)deco_random_u32(&start) << 32;
    t.random |= deco_random_u32(&start);
    memcpy(l->now + t.first * l->width, l->old + t.first * l->width, (size_t)((t.end - t.first) * l->width) * sizeof *l->now);
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX2) {
        work_avx2(&t);
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

/* Rows of `dim` numbers to rows of `width`, and back. */
static void copy_rows(float *to, int64_t to_width, const float *from, int64_t from_width, int64_t N, int64_t dim)
{
    for (int64_t i = 0; i < N; i++)
        memcpy(to + i * to_width, from + i * from_width, (size_t)dim * sizeof *to);
}

deco_status deco_umap_layout(float *y, const deco_umap_plan *plan, const deco_umap_graph *g, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    int64_t N = g->N, dim = plan->dim, width = dim <= 2 ? 2 : (dim + LANES - 1) / LANES * LANES;
    int64_t epochs = plan->epochs ? plan->epochs : N <= 10000 ? 500 : 200;
    deco_umap_graph scaled = {0};
    float *position[2] = {NULL, NULL};

    TRY(scale_weights(&scaled, g));
    for (int i = 0; i < 2; i++)
        TRY(deco_alloc(&position[i], (size_t)(N * width), sizeof *y, "a layout of the latents"));
    copy_rows(position[0], width, y, dim, N, dim);
    deco_progress_begin(m, "layout", epochs, "passes");
    for (int64_t e = 0; e < epochs; e++) {
        layout l = {&scaled, position[e % 2], position[(e + 1) % 2], dim, width, e, 1 - (float)e / (float)epochs, plan->seed};
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
    free(position[0]);
    free(position[1]);
    return st;
}
