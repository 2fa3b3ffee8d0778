/* Single linkage: the minimal spanning tree by Prim's algorithm, cut at its longest edges. */
#include "analysis/clustering_kinds.h"
#include "analysis/neighbours.h"
#include "analysis/sample.h"
#include <math.h>
#include <stdlib.h>

typedef struct edge {
    double d2;
    int64_t a, b;
} edge;

static int longest_first(const void *p, const void *q)
{
    const edge *a = p, *b = q;
    if (a->d2 != b->d2)
        return a->d2 > b->d2 ? -1 : 1;
    return a->b < b->b ? -1 : a->b > b->b;
}

/* Rows by column, so that one row's distance to all others is a loop over them. */
typedef struct prim {
    double *x, *d2, *here; /* [Z,N], [N] to the tree, [N] to the row that came last */
    int64_t *from, N, Z;   /* [N] the tree's row that is nearest */
} prim;

/* Distances from row `last`, which has joined the tree, and the next to join. */
static int64_t grow(prim *p, int64_t last)
{
    int64_t next = -1;

    for (int64_t i = 0; i < p->N; i++)
        p->here[i] = 0;
    for (int64_t j = 0; j < p->Z; j++) {
        const double *x = p->x + j * p->N, at = x[last];
        for (int64_t i = 0; i < p->N; i++)
            p->here[i] += (x[i] - at) * (x[i] - at);
    }
    for (int64_t i = 0; i < p->N; i++) {
        if (p->d2[i] < 0) /* in the tree */
            continue;
        if (p->here[i] < p->d2[i]) {
            p->d2[i] = p->here[i];
            p->from[i] = last;
        }
        if (next < 0 || p->d2[i] < p->d2[next])
            next = i;
    }
    return next;
}

static deco_status span(edge *tree, const float *x, int64_t N, int64_t Z)
{
    deco_status st = DECO_OK;
    prim p = {.N = N, .Z = Z};

    TRY(deco_alloc(&p.x, (size_t)(N * Z), sizeof *p.x, "latents to cluster"));
    TRY(deco_alloc(&p.d2, (size_t)N, sizeof *p.d2, "distances"));
    TRY(deco_alloc(&p.here, (size_t)N, sizeof *p.here, "distances"));
    TRY(deco_alloc(&p.from, (size_t)N, sizeof *p.from, "a spanning tree"));
    for (int64_t i = 0; i < N; i++) {
        p.d2[i] = INFINITY;
        for (int64_t j = 0; j < Z; j++)
            p.x[j * N + i] = x[i * Z + j];
    }
    p.d2[0] = -1;
    for (int64_t n = 0, last = 0; n + 1 < N; n++) {
        last = grow(&p, last);
        tree[n] = (edge){p.d2[last], p.from[last], last};
        p.d2[last] = -1;
    }
out:
    free(p.x);
    free(p.d2);
    free(p.here);
    free(p.from);
    return st;
}

static int64_t root_of(int64_t *into, int64_t i)
{
    while (into[i] != i)
        i = into[i] = into[into[i]];
    return i;
}

/* Labels of rows joined by all edges but the K - 1 longest, numbered as they are met. */
static deco_status cut(int32_t *label, edge *tree, int64_t N, int64_t K)
{
    deco_status st = DECO_OK;
    int64_t *into = NULL;
    int32_t groups = 0;

    TRY(deco_alloc(&into, (size_t)N, sizeof *into, "groups"));
    for (int64_t i = 0; i < N; i++) {
        into[i] = i;
        label[i] = -1;
    }
    qsort(tree, (size_t)(N - 1), sizeof *tree, longest_first);
    for (int64_t e = K - 1; e < N - 1; e++)
        into[root_of(into, tree[e].a)] = root_of(into, tree[e].b);
    for (int64_t i = 0; i < N; i++) {
        int64_t root = root_of(into, i);
        if (label[root] < 0)
            label[root] = groups++;
        label[i] = label[root]; /* a root's own label is set before it is taken: by the first of its members */
    }
out:
    free(into);
    return st;
}

/* label of all rows, from that of the n rows of `sample` nearest to each. */
static deco_status spread_labels(int32_t *label, const int32_t *of_sample, const float *sample, int64_t n, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    double *place = NULL;

    TRY(deco_alloc(&place, (size_t)(n * t->Z), sizeof *place, "a sample of the latents"));
    for (int64_t i = 0; i < n * t->Z; i++)
        place[i] = sample[i];
    TRY(deco_nearest_places(label, place, n, t));
    for (int64_t i = 0; i < t->N; i++)
        label[i] = of_sample[label[i]];
out:
    free(place);
    return st;
}

deco_status deco_single_linkage_find(deco_clusters *out, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    deco_random random = deco_random_at(t->seed, DECO_STREAM_CLUSTER, UINT64_MAX);
    int64_t least = t->K > DECO_EXACT_ROWS ? t->K : DECO_EXACT_ROWS, n = t->N < least ? t->N : least;
    const float *x = NULL;
    float *own = NULL;
    edge *tree = NULL;
    int32_t *found = NULL, *label = NULL;

    TRY(deco_rows_sample(&x, &own, t->x, t->N, t->Z, n, &random));
    TRY(deco_alloc(&tree, (size_t)n, sizeof *tree, "a spanning tree"));
    TRY(deco_alloc(&found, (size_t)n, sizeof *found, "cluster labels"));
    TRY(span(tree, x, n, t->Z));
    TRY(cut(found, tree, n, t->K));
    if (own) {
        deco_warn(t->m, "single linkage of %lld of the %lld particles; the others go with the nearest of these", (long long)n,
                  (long long)t->N);
        TRY(deco_alloc(&label, (size_t)t->N, sizeof *label, "cluster labels"));
        TRY(spread_labels(label, found, x, n, t));
    }
    TRY(deco_clusters_soften(out, own ? label : found, t, t->K));
out:
    free(own);
    free(tree);
    free(found);
    free(label);
    return st;
}
