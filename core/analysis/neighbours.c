/* The exact search: products of whole tiles in float32 pick candidates, double decides among them. And which search it is. */
#include "analysis/neighbours.h"
#include "analysis/nearest_graph.h"
#include "analysis/order.h"
#include "compute/cpu/dnnl.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a tile; candidates beyond k that make up for the products' rounding. */
enum { TILE = 128, SPARE = 17 };

typedef struct exact_search {
    const float *x; /* [N,Z] */
    float *centred; /* [N,Z] about the mean: what the products' rounding goes with */
    float *half;    /* [N] |centred|²/2 */
    int64_t N, Z;
    deco_neighbours *out;
} exact_search;

typedef struct candidate {
    double d2;
    int32_t row;
} candidate;

static int by_distance(const void *a, const void *b)
{
    const candidate *p = a, *q = b;
    if (p->d2 != q->d2)
        return p->d2 < q->d2 ? -1 : 1;
    return p->row < q->row ? -1 : p->row > q->row;
}

static double squared_distance(const float *a, const float *b, int64_t Z)
{
    double s = 0;

    for (int64_t j = 0; j < Z; j++) {
        double d = (double)a[j] - b[j];
        s += d * d;
    }
    return s;
}

/* The `count` least of score[0 … N-1], `self` left out: kept by rising score, so most rows cost one comparison. */
static void least_scores(int32_t *row, float *kept, int count, const float *score, int64_t N, int64_t self)
{
    int n = 0;
    float most = FLT_MAX;

    for (int64_t i = 0; i < N; i++) {
        int at;
        if (!(score[i] < most) && n == count)
            continue;
        if (i == self)
            continue;
        for (at = n < count ? n++ : n - 1; at && kept[at - 1] > score[i]; at--) {
            kept[at] = kept[at - 1];
            row[at] = row[at - 1];
        }
        kept[at] = score[i];
        row[at] = (int32_t)i;
        most = kept[n - 1];
    }
}

/* Row `self`: the candidates' true distances, the best of them into `out`. */
static void settle_row(const exact_search *s, int64_t self, const int32_t *row, int count, candidate *c)
{
    deco_neighbours *out = s->out;
    int32_t *to = out->row + self * out->k;
    float *distance = out->distance + self * out->k;

    for (int i = 0; i < count; i++)
        c[i] = (candidate){squared_distance(s->x + self * s->Z, s->x + row[i] * s->Z, s->Z), row[i]};
    qsort(c, (size_t)count, sizeof *c, by_distance);
    to[0] = (int32_t)self;
    distance[0] = 0;
    for (int i = 1; i < out->k; i++) {
        to[i] = c[i - 1].row;
        distance[i] = (float)sqrt(c[i - 1].d2);
    }
}

static deco_status search_tile(void *context, int64_t index, int worker)
{
    const exact_search *s = context;
    deco_status st = DECO_OK;
    int64_t first = index * TILE, rows = s->N - first < TILE ? s->N - first : TILE;
    int count = s->out->k - 1 + SPARE < s->N - 1 ? s->out->k - 1 + SPARE : (int)(s->N - 1);
    float *score = NULL, *kept = NULL;
    int32_t *row = NULL;
    candidate *c = NULL;

    TRY(deco_alloc(&score, (size_t)(rows * s->N), sizeof *score, "distances of latents"));
    TRY(deco_alloc(&kept, (size_t)count + 1, sizeof *kept, "candidates"));
    TRY(deco_alloc(&row, (size_t)count + 1, sizeof *row, "candidates"));
    TRY(deco_alloc(&c, (size_t)count + 1, sizeof *c, "candidates"));
    for (int64_t i = 0; i < rows; i++)
        memcpy(score + i * s->N, s->half, (size_t)s->N * sizeof *score);
    TRY(deco_cpu_sgemm(false, true, rows, s->N, s->Z, -1, s->centred + first * s->Z, s->Z, s->centred, s->Z, 1, score, s->N));
    for (int64_t i = 0; i < rows; i++) {
        least_scores(row, kept, count, score + i * s->N, s->N, first + i);
        settle_row(s, first + i, row, count, c);
    }
out:
    free(score);
    free(kept);
    free(row);
    free(c);
    return st;
}

static void centre_rows(exact_search *s, double *mean)
{
    for (int64_t i = 0; i < s->N; i++)
        for (int64_t j = 0; j < s->Z; j++)
            mean[j] += s->x[i * s->Z + j] / (double)s->N;
    for (int64_t i = 0; i < s->N; i++) {
        double n = 0;
        for (int64_t j = 0; j < s->Z; j++) {
            double v = s->x[i * s->Z + j] - mean[j];
            s->centred[i * s->Z + j] = (float)v;
            n += v * v;
        }
        s->half[i] = (float)(0.5 * n);
    }
}

static deco_status search_exactly(deco_neighbours *out, const float *x, int64_t N, int64_t Z, deco_pool *pool)
{
    deco_status st = DECO_OK;
    exact_search s = {.x = x, .N = N, .Z = Z, .out = out};
    double *mean = NULL;

    TRY(deco_alloc(&s.centred, (size_t)(N * Z), sizeof *s.centred, "latents about their mean"));
    TRY(deco_alloc(&s.half, (size_t)N, sizeof *s.half, "lengths of latents"));
    TRY(deco_alloc(&mean, (size_t)Z, sizeof *mean, "the mean latent"));
    centre_rows(&s, mean);
    TRY(deco_pool_run(pool, search_tile, &s, (N + TILE - 1) / TILE));
out:
    free(s.centred);
    free(s.half);
    free(mean);
    return st;
}

deco_status deco_neighbours_find(deco_neighbours *out, const float *x, int64_t N, int64_t Z, int k, uint64_t seed, deco_pool *pool,
                                 deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_neighbours n = {.N = N, .k = k < N ? k : (int)N};

    *out = (deco_neighbours){0};
    if (N < 1 || Z < 1 || k < 1 || N > INT32_MAX)
        return deco_fail(DECO_E_ARGUMENT,
                         "%d neighbours of %lld latents of %lld dimensions; all must be at least 1, and the latents at most 2147483647", k,
                         (long long)N, (long long)Z);
    TRY(deco_alloc(&n.row, (size_t)(N * n.k), sizeof *n.row, "neighbours"));
    TRY(deco_alloc(&n.distance, (size_t)(N * n.k), sizeof *n.distance, "neighbours"));
    TRY(deco_alloc(&n.order, (size_t)N, sizeof *n.order, "an order of the latents"));
    TRY(deco_rows_order(n.order, x, N, Z, seed, pool));
    if (N <= DECO_EXACT_ROWS)
        TRY(search_exactly(&n, x, N, Z, pool));
    else
        TRY(deco_nearest_graph_search(&n, x, Z, seed, pool, m));
    *out = n;
    n = (deco_neighbours){0};
out:
    deco_neighbours_free(&n);
    return st;
}

void deco_neighbours_free(deco_neighbours *n)
{
    free(n->row);
    free(n->distance);
    free(n->order);
    *n = (deco_neighbours){0};
}
