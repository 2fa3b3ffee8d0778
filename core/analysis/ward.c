/* Merging by Ward's criterion (1963): always the two whose union adds least to the sum of squares. */
#include "analysis/clustering_kinds.h"
#include <math.h>
#include <stdlib.h>

typedef struct ward {
    double *centres, *count;
    int64_t M, Z;
    int64_t *nearest; /* [M] of those after it, -1: none */
    double *cost;     /* [M] of merging with that one */
} ward;

static double cost_of(const ward *w, int64_t a, int64_t b)
{
    double d2 = 0;

    for (int64_t j = 0; j < w->Z; j++) {
        double d = w->centres[a * w->Z + j] - w->centres[b * w->Z + j];
        d2 += d * d;
    }
    return d2 * w->count[a] * w->count[b] / (w->count[a] + w->count[b]);
}

static void look_round(ward *w, int64_t a)
{
    w->nearest[a] = -1;
    w->cost[a] = INFINITY;
    for (int64_t b = a + 1; b < w->M; b++) {
        double c = w->count[b] > 0 ? cost_of(w, a, b) : INFINITY;
        if (c < w->cost[a]) {
            w->cost[a] = c;
            w->nearest[a] = b;
        }
    }
}

/* b goes into a; a count of 0 marks what is gone. */
static void merge(ward *w, int64_t a, int64_t b)
{
    double both = w->count[a] + w->count[b];

    for (int64_t j = 0; j < w->Z; j++)
        w->centres[a * w->Z + j] = (w->count[a] * w->centres[a * w->Z + j] + w->count[b] * w->centres[b * w->Z + j]) / both;
    w->count[a] = both;
    w->count[b] = 0;
    for (int64_t i = 0; i < w->M; i++) {
        if (!(w->count[i] > 0))
            continue;
        if (i == a || w->nearest[i] == a || w->nearest[i] == b) {
            look_round(w, i);
        } else if (i < a) {
            double c = cost_of(w, i, a);
            if (c < w->cost[i]) {
                w->cost[i] = c;
                w->nearest[i] = a;
            }
        }
    }
}

deco_status deco_ward_merge(int32_t *group, double *centres, double *count, int64_t M, int64_t K, int64_t Z)
{
    deco_status st = DECO_OK;
    ward w = {centres, count, M, Z, NULL, NULL};
    int64_t *into = NULL;
    int32_t groups = 0;

    TRY(deco_alloc(&w.nearest, (size_t)M, sizeof *w.nearest, "groups to merge"));
    TRY(deco_alloc(&w.cost, (size_t)M, sizeof *w.cost, "groups to merge"));
    TRY(deco_alloc(&into, (size_t)M, sizeof *into, "groups to merge"));
    for (int64_t i = 0; i < M; i++) {
        count[i] = count[i] > 0 ? count[i] : 1e-9; /* nobody's: merged first */
        into[i] = i;
    }
    for (int64_t i = 0; i < M; i++)
        look_round(&w, i);
    for (int64_t n = M; n > K; n--) {
        int64_t a = -1;
        for (int64_t i = 0; i < M; i++)
            if (count[i] > 0 && w.nearest[i] >= 0 && (a < 0 || w.cost[i] < w.cost[a]))
                a = i;
        into[w.nearest[a]] = a;
        merge(&w, a, w.nearest[a]);
    }
    for (int64_t i = 0; i < M; i++) /* what went into another stands behind it */
        group[i] = into[i] == i ? groups++ : group[into[i]];
out:
    free(w.nearest);
    free(w.cost);
    free(into);
    return st;
}
