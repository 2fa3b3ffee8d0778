/* From neighbours to the fuzzy graph. */
#include "analysis/umap.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 1024, HALVINGS = 64 };
static const double tolerance = 1e-5, least_share = 1e-3; /* of log2 k; of the mean distance */

typedef struct smoothing {
    const deco_neighbours *n;
    float *rho, *sigma, *weight; /* [N], [N], [N,k] */
    double mean_distance;        /* over all */
} smoothing;

/* The bandwidth with which the k - 1 neighbours' weights add up to log2 k, by halving. */
static double bandwidth(const float *d, int k, double rho)
{
    double low = 0, high = DBL_MAX, at = 1, target = log2(k);

    for (int t = 0; t < HALVINGS; t++) {
        double sum = 0;
        for (int j = 1; j < k; j++)
            sum += d[j] > rho ? exp(-(d[j] - rho) / at) : 1;
        if (fabs(sum - target) < tolerance)
            break;
        if (sum > target)
            high = at;
        else
            low = at;
        at = high == DBL_MAX ? 2 * at : (low + high) / 2;
    }
    return at;
}

static deco_status smooth_tile(void *context, int64_t index, int worker)
{
    const smoothing *s = context;
    int k = s->n->k;

    for (int64_t i = index * TILE; i < (index + 1) * TILE && i < s->n->N; i++) {
        const float *d = s->n->distance + i * k;
        double rho = 0, sigma, mean = 0;
        for (int j = k - 1; j > 0; j--) {
            rho = d[j] > 0 ? d[j] : rho;
            mean += d[j] / (double)k;
        }
        sigma = fmax(bandwidth(d, k, rho), least_share * (rho > 0 ? mean : s->mean_distance));
        s->rho[i] = (float)rho;
        s->sigma[i] = (float)sigma;
        s->weight[i * k] = 0; /* itself */
        for (int j = 1; j < k; j++)
            s->weight[i * k + j] = d[j] > rho && sigma > 0 ? (float)exp(-(d[j] - rho) / sigma) : 1;
    }
    return DECO_OK;
}

static double mean_of(const float *x, int64_t n)
{
    double s = 0;

    for (int64_t i = 0; i < n; i++)
        s += x[i];
    return s / (double)n;
}

/* Edges to a row from those that count it among their neighbours, rising. */
typedef struct incoming {
    int64_t *start; /* [N+1] */
    int32_t *row;
    float *weight;
} incoming;

static void incoming_free(incoming *in)
{
    free(in->start);
    free(in->row);
    free(in->weight);
}

static deco_status turn_round(incoming *in, const deco_neighbours *n, const float *weight)
{
    deco_status st = DECO_OK;
    int64_t edges = n->N * n->k, *next = NULL;

    TRY(deco_alloc(&in->start, (size_t)n->N + 1, sizeof *in->start, "a graph of neighbours"));
    TRY(deco_alloc(&in->row, (size_t)edges, sizeof *in->row, "a graph of neighbours"));
    TRY(deco_alloc(&in->weight, (size_t)edges, sizeof *in->weight, "a graph of neighbours"));
    TRY(deco_alloc(&next, (size_t)n->N, sizeof *next, "a graph of neighbours"));
    for (int64_t e = 0; e < edges; e++)
        in->start[n->row[e] + 1] += weight[e] > 0;
    for (int64_t i = 0; i < n->N; i++)
        in->start[i + 1] += in->start[i];
    memcpy(next, in->start, (size_t)n->N * sizeof *next);
    for (int64_t e = 0; e < edges; e++) {
        if (!(weight[e] > 0))
            continue;
        int64_t to = next[n->row[e]]++;
        in->row[to] = (int32_t)(e / n->k);
        in->weight[to] = weight[e];
    }
out:
    free(next);
    return st;
}

typedef struct edge {
    int32_t row;
    float weight;
} edge;

static int by_row(const void *a, const void *b)
{
    const edge *p = a, *q = b;
    return p->row < q->row ? -1 : p->row > q->row;
}

typedef struct joining {
    const deco_neighbours *n;
    const float *weight;
    const incoming *in;
    deco_umap_graph *g; /* start: the number of edges, until they are placed */
    bool count;
} joining;

/* p + q - pq of the edges out of row i and into it; to NULL: only their number. */
static int64_t join_row(const joining *j, int64_t i, edge *own, int32_t *row, float *weight)
{
    int k = j->n->k, out = 0, n = 0;
    int64_t in = j->in->start[i], end = j->in->start[i + 1], to = 0;

    for (int e = 0; e < k; e++)
        if (j->weight[i * k + e] > 0)
            own[n++] = (edge){j->n->row[i * k + e], j->weight[i * k + e]};
    qsort(own, (size_t)n, sizeof *own, by_row);
    while (out < n || in < end) {
        int32_t a = out < n ? own[out].row : INT32_MAX, b = in < end ? j->in->row[in] : INT32_MAX;
        float p = a <= b ? own[out++].weight : 0, q = b <= a ? j->in->weight[in++] : 0;
        if (row) {
            row[to] = a < b ? a : b;
            weight[to] = p + q - p * q;
        }
        to++;
    }
    return to;
}

static deco_status join_tile(void *context, int64_t index, int worker)
{
    const joining *j = context;
    deco_status st = DECO_OK;
    deco_umap_graph *g = j->g;
    edge *own = NULL;

    TRY(deco_alloc(&own, (size_t)j->n->k, sizeof *own, "edges"));
    for (int64_t i = index * TILE; i < (index + 1) * TILE && i < g->N; i++) {
        if (j->count)
            g->start[i + 1] = join_row(j, i, own, NULL, NULL);
        else
            join_row(j, i, own, g->row + g->start[i], g->weight + g->start[i]);
    }
out:
    free(own);
    return st;
}

/* Room for the edges, once each row's number stands in start[i + 1]. */
static deco_status place_edges(deco_umap_graph *g)
{
    deco_status st = DECO_OK;

    for (int64_t i = 0; i < g->N; i++)
        g->start[i + 1] += g->start[i];
    TRY(deco_alloc(&g->row, (size_t)g->start[g->N] + 1, sizeof *g->row, "a graph of neighbours"));
    TRY(deco_alloc(&g->weight, (size_t)g->start[g->N] + 1, sizeof *g->weight, "a graph of neighbours"));
out:
    return st;
}

static int64_t tiles_of(int64_t N) { return (N + TILE - 1) / TILE; }

deco_status deco_umap_graph_make(deco_umap_graph *out, float *rho, float *sigma, const deco_neighbours *n, deco_pool *pool)
{
    deco_status st = DECO_OK;
    smoothing s = {.n = n, .mean_distance = mean_of(n->distance, n->N * n->k)};
    incoming in = {0};
    deco_umap_graph g = {.N = n->N};
    joining j = {n, NULL, &in, &g, true};

    *out = (deco_umap_graph){0};
    TRY(deco_alloc(&s.rho, (size_t)n->N, sizeof *s.rho, "distances to neighbours"));
    TRY(deco_alloc(&s.sigma, (size_t)n->N, sizeof *s.sigma, "bandwidths"));
    TRY(deco_alloc(&s.weight, (size_t)(n->N * n->k), sizeof *s.weight, "weights of neighbours"));
    TRY(deco_alloc(&g.start, (size_t)n->N + 1, sizeof *g.start, "a graph of neighbours"));
    TRY(deco_pool_run(pool, smooth_tile, &s, tiles_of(n->N)));
    TRY(turn_round(&in, n, s.weight));
    j.weight = s.weight;
    TRY(deco_pool_run(pool, join_tile, &j, tiles_of(n->N)));
    TRY(place_edges(&g));
    j.count = false;
    TRY(deco_pool_run(pool, join_tile, &j, tiles_of(n->N)));
    if (rho)
        memcpy(rho, s.rho, (size_t)n->N * sizeof *rho);
    if (sigma)
        memcpy(sigma, s.sigma, (size_t)n->N * sizeof *sigma);
    *out = g;
    g = (deco_umap_graph){0};
out:
    incoming_free(&in);
    deco_umap_graph_free(&g);
    free(s.rho);
    free(s.sigma);
    free(s.weight);
    return st;
}

void deco_umap_graph_free(deco_umap_graph *g)
{
    free(g->start);
    free(g->row);
    free(g->weight);
    *g = (deco_umap_graph){0};
}

typedef struct reordering {
    const deco_umap_graph *from;
    deco_umap_graph *to;
    const int32_t *order, *place;
} reordering;

static deco_status reorder_tile(void *context, int64_t index, int worker)
{
    const reordering *r = context;

    for (int64_t i = index * TILE; i < (index + 1) * TILE && i < r->to->N; i++) {
        int64_t from = r->from->start[r->order[i]], to = r->to->start[i], n = r->to->start[i + 1] - to;
        for (int64_t e = 0; e < n; e++) {
            r->to->row[to + e] = r->place[r->from->row[from + e]];
            r->to->weight[to + e] = r->from->weight[from + e];
        }
    }
    return DECO_OK;
}

deco_status deco_umap_graph_reorder(deco_umap_graph *out, const deco_umap_graph *g, const int32_t *order, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_umap_graph to = {.N = g->N};
    int32_t *place = NULL;
    reordering r = {g, &to, order, NULL};

    *out = (deco_umap_graph){0};
    TRY(deco_alloc(&place, (size_t)g->N, sizeof *place, "an order of the latents"));
    TRY(deco_alloc(&to.start, (size_t)g->N + 1, sizeof *to.start, "a graph of neighbours"));
    for (int64_t i = 0; i < g->N; i++) {
        place[order[i]] = (int32_t)i;
        to.start[i + 1] = g->start[order[i] + 1] - g->start[order[i]];
    }
    TRY(place_edges(&to));
    r.place = place;
    TRY(deco_pool_run(pool, reorder_tile, &r, tiles_of(g->N)));
    *out = to;
    to = (deco_umap_graph){0};
out:
    deco_umap_graph_free(&to);
    free(place);
    return st;
}
