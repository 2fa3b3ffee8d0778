/* Where a layout starts: every connected part of the graph along the slowest vibrations of its edges, parts beside one another.
 *
 * The leading eigenvectors of D^-1/2 W D^-1/2 of a part are found by Chebyshev-filtered subspace iteration (Zhou, Saad, Tiago and Chelikowsky, J. Comput.
 * Phys. 219 (2006)), begun at the principal components: a start, so that few digits do. */
#include "analysis/block.h"
#include "analysis/umap_parts.h"
#include "base/philox.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Vectors beyond those asked for at least, which make the others settle faster, in whole sets that are worked on together; degree of the filter; the
 * most rounds for few rows and for many, none where there are more dimensions than WIDE. */
enum {
    WIDE = 32,
    GUARD = 4,
    LANES = 8,
    DEGREE = 16,
    ROUNDS = 12,
    ROUNDS_MANY = 3,
    FEW = 20000,
    TILE = 1024,
    MOST_PARTS = 2000 /* whose distances are looked at */
};
static const double extent = 10, jitter = 1e-4, lowest_cut = 0.3, enough = 1e-3;

typedef struct vibrations {
    const deco_umap_graph *g;
    deco_pool *pool;
    int64_t N, m;
    float *root;            /* [N] 1/sqrt of the degree */
    double *rest;           /* [N] the vector that is not wanted: sqrt of the degree, of length 1 */
    float *v, *next, *last; /* [N,m] */
    double *change;         /* [m,m] what columns are replaced by */
    double *value;          /* [m] eigenvalues */
    double scale, centre, minus;
} vibrations;

static int64_t tiles_of(int64_t N) { return (N + TILE - 1) / TILE; }

/* Few rows are not worth waking the pool for. */
static deco_status run_tiles(const vibrations *s, deco_task task)
{
    if (s->N > 2 * TILE)
        return deco_pool_run(s->pool, task, (void *)s, tiles_of(s->N));
    for (int64_t i = 0; i < tiles_of(s->N); i++)
        task((void *)s, i, 0);
    return DECO_OK;
}

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));

/* next = scale·(A v - centre·v) - minus·last of a tile, all three divided by the roots of the degrees: an edge then needs its own weight alone. */
static deco_status step_tile(void *context, int64_t index, int worker)
{
    const vibrations *s = context;
    const int32_t *row = s->g->row;
    int64_t m = s->m;
    float scale = (float)s->scale, centre = (float)(s->scale * s->centre), minus = (float)s->minus;

    for (int64_t i = index * TILE; i < (index + 1) * TILE && i < s->N; i++)
        for (int64_t k = 0; k < m; k += LANES) {
            lanes sum = {0};
            for (int64_t e = s->g->start[i]; e < s->g->start[i + 1]; e++)
                sum += s->g->weight[e] * *(const lanes *)(s->v + row[e] * m + k);
            sum = scale * s->root[i] * s->root[i] * sum - centre * *(const lanes *)(s->v + i * m + k);
            if (minus > 0)
                sum -= minus * *(const lanes *)(s->last + i * m + k);
            *(lanes *)(s->next + i * m + k) = sum;
        }
    return DECO_OK;
}

static deco_status step(vibrations *s, double scale, double centre, double minus)
{
    s->scale = scale;
    s->centre = centre;
    s->minus = minus;
    return run_tiles(s, step_tile);
}

/* Columns x [N,m] divided by the roots of the degrees, or multiplied again. */
static void divide(const vibrations *s, float *x, bool back)
{
    for (int64_t i = 0; i < s->N; i++)
        for (int64_t k = 0; k < s->m && s->root[i] > 0; k++)
            x[i * s->m + k] = back ? x[i * s->m + k] / s->root[i] : x[i * s->m + k] * s->root[i];
}

static void turn(vibrations *s)
{
    float *spare = s->last;
    s->last = s->v;
    s->v = s->next;
    s->next = spare;
}

/* A polynomial that is at most 1 on [-1, cut] and grows steeply above. */
static deco_status filter(vibrations *s, double cut)
{
    deco_status st = DECO_OK;
    double half = (cut + 1) / 2, centre = (cut - 1) / 2;

    divide(s, s->v, false);
    TRY(step(s, 1 / half, centre, 0));
    turn(s);
    for (int k = 1; k < DEGREE; k++) {
        TRY(step(s, 2 / half, centre, 1));
        turn(s);
    }
    divide(s, s->v, true);
out:
    return st;
}

/* ---- dot products ------------------------------------------------------------------------------------------------ */

typedef struct dots {
    const vibrations *s;
    const float *a, *b; /* [N,m] */
} dots;

static deco_status sum_dots(void *context, const deco_slab *slab)
{
    const dots *d = context;
    int64_t m = d->s->m;

    for (int64_t i = slab->first; i < slab->end; i++)
        for (int64_t j = 0; j < m; j++)
            for (int64_t k = 0; k < m; k++)
                slab->sums[j * m + k] += (double)d->a[i * m + j] * d->b[i * m + k];
    return DECO_OK;
}

static deco_status sum_rest(void *context, const deco_slab *slab)
{
    const dots *d = context;
    int64_t m = d->s->m;

    for (int64_t i = slab->first; i < slab->end; i++)
        for (int64_t k = 0; k < m; k++)
            slab->sums[k] += d->s->rest[i] * d->a[i * m + k];
    return DECO_OK;
}

static deco_status change_tile(void *context, int64_t index, int worker)
{
    const vibrations *s = context;
    int64_t m = s->m;

    for (int64_t i = index * TILE; i < (index + 1) * TILE && i < s->N; i++)
        for (int64_t k = 0; k < m; k++) {
            double sum = 0;
            for (int64_t j = 0; j < m; j++)
                sum += s->v[i * m + j] * s->change[j * m + k];
            s->next[i * m + k] = (float)sum;
        }
    return DECO_OK;
}

/* Columns times change [m,m]. */
static deco_status change(vibrations *s)
{
    deco_status st = run_tiles(s, change_tile);
    float *spare = s->v;

    s->v = s->next;
    s->next = spare;
    return st;
}

/* Columns at right angles to `rest` and to one another, of length 1; those that are nothing become 0. */
static deco_status straighten(vibrations *s, double *dot)
{
    deco_status st = DECO_OK;
    int64_t m = s->m;
    double *value = s->value;
    dots d = {s, s->v, s->v};

    TRY(deco_slabs_sum(dot, m, s->N, sum_rest, &d, s->pool));
    for (int64_t i = 0; i < s->N; i++)
        for (int64_t k = 0; k < m; k++)
            s->v[i * m + k] -= (float)(dot[k] * s->rest[i]);
    TRY(deco_slabs_sum(dot, m * m, s->N, sum_dots, &d, s->pool));
    if (LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', (lapack_int)m, dot, (lapack_int)m, value))
        TRY(deco_fail(DECO_E_ARGUMENT, "the start of a layout cannot be computed (dsyevd)"));
    for (int64_t j = 0; j < m; j++)
        for (int64_t k = 0; k < m; k++)
            s->change[j * m + k] = value[k] > 1e-10 * value[m - 1] && value[k] > 0 ? dot[j * m + k] / sqrt(value[k]) : 0;
    TRY(change(s));
out:
    return st;
}

/* The columns become the best eigenvectors that they span, largest first; *least: the last one's eigenvalue. */
static deco_status rotate(vibrations *s, double *dot, double *least)
{
    deco_status st = DECO_OK;
    int64_t m = s->m;
    double *value = s->value;
    dots d;

    divide(s, s->v, false);
    TRY(step(s, 1, 0, 0));
    divide(s, s->v, true);
    divide(s, s->next, true);
    d = (dots){s, s->v, s->next};
    TRY(deco_slabs_sum(dot, m * m, s->N, sum_dots, &d, s->pool));
    if (LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', (lapack_int)m, dot, (lapack_int)m, value))
        TRY(deco_fail(DECO_E_ARGUMENT, "the start of a layout cannot be computed (dsyevd)"));
    for (int64_t j = 0; j < m; j++)
        for (int64_t k = 0; k < m; k++)
            s->change[j * m + k] = dot[j * m + m - 1 - k];
    *least = value[0];
    TRY(change(s));
out:
    return st;
}

/* ---- a part ------------------------------------------------------------------------------------------------------ */

static void measure_degrees(vibrations *s)
{
    double all = 0;

    for (int64_t i = 0; i < s->N; i++) {
        double sum = 0;
        for (int64_t e = s->g->start[i]; e < s->g->start[i + 1]; e++)
            sum += s->g->weight[e];
        s->root[i] = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
        s->rest[i] = sqrt(sum);
        all += sum;
    }
    for (int64_t i = 0; i < s->N && all > 0; i++)
        s->rest[i] /= sqrt(all);
}

/* The principal components, and numbers drawn where there are too few. */
static void begin(vibrations *s, const int32_t *row, const float *scores, int64_t Z, uint64_t seed)
{
    deco_random random = deco_random_at(seed, DECO_STREAM_LAYOUT, UINT64_MAX - 1);
    double length = 0;

    for (int64_t i = 0; i < s->N; i++)
        length += fabs((double)scores[row[i] * Z]);
    length = length > 0 ? length / (double)s->N : 1;
    for (int64_t i = 0; i < s->N; i++)
        for (int64_t k = 0; k < s->m; k++) {
            double drawn = length * deco_random_normal(&random);
            s->v[i * s->m + k] = (float)(k < Z ? scores[row[i] * Z + k] + 1e-2 * drawn : drawn);
        }
}

/* Are these eigenvalues those of the round before, as far as they are from the largest there can be? They take that round's place. */
static bool are_settled(double *before, const double *value, int64_t dim)
{
    bool settled = true;

    for (int64_t k = 0; k < dim; k++) {
        settled &= fabs(value[k] - before[k]) <= enough * (1 - value[k]);
        before[k] = value[k];
    }
    return settled;
}

/* y [N,dim]: the eigenvectors behind the first, each largest entry positive. `row` [N]: whose scores count. */
static deco_status vibrate(float *y, int64_t dim, const deco_umap_graph *g, const int32_t *row, const float *scores, int64_t Z,
                           uint64_t seed, deco_pool *pool)
{
    deco_status st = DECO_OK;
    vibrations s = {.g = g, .pool = pool, .N = g->N, .m = (dim + GUARD + LANES - 1) / LANES * LANES};
    int rounds = dim > WIDE ? 0 : g->N <= FEW ? ROUNDS : ROUNDS_MANY;
    double *dot = NULL, *before = NULL, cut;

    TRY(deco_alloc(&s.root, (size_t)s.N, sizeof *s.root, "the start of a layout"));
    TRY(deco_alloc(&s.rest, (size_t)s.N, sizeof *s.rest, "the start of a layout"));
    TRY(deco_alloc(&s.v, (size_t)(s.N * s.m), sizeof *s.v, "the start of a layout"));
    TRY(deco_alloc(&s.next, (size_t)(s.N * s.m), sizeof *s.next, "the start of a layout"));
    TRY(deco_alloc(&s.last, (size_t)(s.N * s.m), sizeof *s.last, "the start of a layout"));
    TRY(deco_alloc(&s.change, (size_t)(s.m * s.m), sizeof *s.change, "the start of a layout"));
    TRY(deco_alloc(&s.value, (size_t)s.m, sizeof *s.value, "the start of a layout"));
    TRY(deco_alloc(&dot, (size_t)(s.m * s.m), sizeof *dot, "the start of a layout"));
    TRY(deco_alloc(&before, (size_t)dim, sizeof *before, "the start of a layout"));
    measure_degrees(&s);
    begin(&s, row, scores, Z, seed);
    for (int i = 0; i <= rounds; i++) {
        TRY(straighten(&s, dot));
        TRY(rotate(&s, dot, &cut));
        if (i == rounds || are_settled(before, s.value + s.m - dim, dim))
            break;
        TRY(filter(&s, cut > lowest_cut ? fmin(cut, 1 - 1e-6) : lowest_cut));
    }
    for (int64_t k = 0; k < dim; k++) {
        float most = 0;
        for (int64_t i = 0; i < s.N; i++)
            most = fabsf(s.v[i * s.m + k]) > fabsf(most) ? s.v[i * s.m + k] : most;
        for (int64_t i = 0; i < s.N; i++)
            y[i * dim + k] = most < 0 ? -s.v[i * s.m + k] : s.v[i * s.m + k];
    }
out:
    free(s.root);
    free(s.rest);
    free(s.v);
    free(s.next);
    free(s.last);
    free(s.change);
    free(s.value);
    free(dot);
    free(before);
    return st;
}

/* ---- all parts --------------------------------------------------------------------------------------------------- */

static double distance(const double *a, const double *b, int64_t dim)
{
    double s = 0;

    for (int64_t k = 0; k < dim; k++)
        s += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrt(s);
}

/* Half the way from part p to the nearest other. */
static double room_of(const double *at, int64_t p, int64_t parts, int64_t dim)
{
    double least = INFINITY;

    for (int64_t q = 0; q < parts; q++)
        if (q != p)
            least = fmin(least, distance(at + p * dim, at + q * dim, dim));
    return isfinite(least) ? least / 2 : 1;
}

/* at [parts,dim]: few parts on the ends of the axes, many at their mean on the principal components. */
static void place_parts(double *at, const deco_umap_parts *parts, const int32_t *row, const float *scores, int64_t Z, int64_t dim)
{
    int64_t half = (parts->count + 1) / 2;
    double most = 0;

    if (parts->count <= 2 * dim) {
        for (int64_t p = 0; p < parts->count; p++)
            at[p * dim + p % half] = p < half ? 1 : -1;
        return;
    }
    for (int64_t p = 0; p < parts->count; p++)
        for (int64_t k = 0; k < dim && k < Z; k++) {
            double sum = 0;
            for (int64_t i = parts->begin[p]; i < parts->begin[p + 1]; i++)
                sum += scores[row[parts->place[i]] * Z + k];
            at[p * dim + k] = sum / (double)(parts->begin[p + 1] - parts->begin[p]);
            most = fmax(most, fabs(at[p * dim + k]));
        }
    for (int64_t i = 0; i < parts->count * dim && most > 0; i++)
        at[i] /= most;
}

/* Part p into its places of y: `size` wide about `at`. One that has too few rows is drawn. */
static deco_status start_part(float *y, const deco_umap_plan *plan, const deco_umap_graph *g, const deco_umap_parts *parts, int64_t p,
                              const int32_t *order, const float *scores, int64_t Z, const double *at, double size, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_umap_graph own = {0};
    int64_t dim = plan->dim, first = parts->begin[p], n = parts->begin[p + 1] - first;
    deco_random random = deco_random_at(plan->seed, DECO_STREAM_LAYOUT, (uint64_t)(UINT64_MAX - 2) - (uint64_t)p);
    int32_t *row = NULL;
    float *x = NULL;
    double most = 0;

    TRY(deco_alloc(&x, (size_t)(n * dim), sizeof *x, "the start of a layout"));
    TRY(deco_alloc(&row, (size_t)n, sizeof *row, "the start of a layout"));
    for (int64_t i = 0; i < n; i++)
        row[i] = order[parts->place[first + i]];
    if (n <= 2 * (dim + GUARD + LANES))
        for (int64_t i = 0; i < n * dim; i++)
            x[i] = (float)(2 * deco_random_uniform(&random) - 1);
    else if (parts->count == 1)
        TRY(vibrate(x, dim, g, row, scores, Z, plan->seed, pool));
    else {
        TRY(deco_umap_part(&own, g, parts, p));
        TRY(vibrate(x, dim, &own, row, scores, Z, plan->seed, pool));
    }
    for (int64_t i = 0; i < n * dim; i++)
        most = fmax(most, fabsf(x[i]));
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < dim; k++)
            y[parts->place[first + i] * dim + k] = (float)(at[k] + (most > 0 ? size * x[i * dim + k] / most : 0));
out:
    deco_umap_graph_free(&own);
    free(row);
    free(x);
    return st;
}

/* Every axis from 0 to `extent`, with a little noise, so that rows that are alike can part. */
static void spread(float *y, int64_t N, int64_t dim, uint64_t seed)
{
    deco_random random = deco_random_at(seed, DECO_STREAM_LAYOUT, UINT64_MAX);

    for (int64_t k = 0; k < dim; k++) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t i = 0; i < N; i++) {
            low = fmin(low, y[i * dim + k]);
            high = fmax(high, y[i * dim + k]);
        }
        for (int64_t i = 0; i < N; i++)
            y[i * dim + k] = (float)(high > low ? extent * (y[i * dim + k] - low) / (high - low) : 0);
    }
    for (int64_t i = 0; i < N * dim; i++)
        y[i] += (float)(jitter * deco_random_normal(&random));
}

deco_status deco_umap_start(float *y, const deco_umap_plan *plan, const deco_umap_graph *g, const int32_t *order, const float *scores,
                            int64_t Z, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_umap_parts parts = {0};
    double *at = NULL;
    int64_t dim = plan->dim;

    TRY(deco_umap_parts_find(&parts, g));
    TRY(deco_alloc(&at, (size_t)(parts.count * dim), sizeof *at, "the start of a layout"));
    if (parts.count > 1)
        place_parts(at, &parts, order, scores, Z, dim);
    for (int64_t p = 0; p < parts.count; p++) {
        double size = parts.count <= MOST_PARTS ? room_of(at, p, parts.count, dim) : 1 / sqrt((double)parts.count);
        TRY(start_part(y, plan, g, &parts, p, order, scores, Z, at + p * dim, fmax(size, 0.1 / sqrt((double)parts.count)), pool));
    }
    spread(y, g->N, dim, plan->seed);
out:
    deco_umap_parts_free(&parts);
    free(at);
    return st;
}
