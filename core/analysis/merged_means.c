/* ak-means++: many k-means clusters, then merged where they touch, so that states of any shape come out whole. METHOD.md section 7. */
#include "analysis/clustering_kinds.h"
#include "base/philox.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* METHOD.md section 7: rows that stand for a cluster, the quantile of their distances, and the size below which a cluster goes first. */
enum { SAMPLE = 400, SMALL = 300, RESTARTS = 5, ITERATIONS = 100 };
static const double quantile = 0.05;

typedef struct merging {
    const deco_to_cluster *t;
    int64_t M;
    int32_t *label;   /* [N] */
    int64_t *size;    /* [M], 0: merged away */
    float *sample;    /* [M,SAMPLE,Z] */
    int64_t *sampled; /* [M] rows of it */
    double *gap;      /* [M,M] */
    int64_t changed;  /* the cluster whose gaps are to be found; -1: all */
} merging;

/* Draws the rows that stand for cluster k: reservoir sampling (Vitter's R), in the order of the rows. */
static void draw_sample(merging *g, int64_t k, uint64_t turn)
{
    deco_random random = deco_random_at(g->t->seed, DECO_STREAM_SAMPLE, turn << 32 | (uint64_t)k);
    int64_t seen = 0, Z = g->t->Z;

    for (int64_t i = 0; i < g->t->N; i++) {
        if (g->label[i] != k)
            continue;
        int64_t at = seen < SAMPLE ? seen : (int64_t)deco_random_below(&random, (uint64_t)seen + 1);
        if (at < SAMPLE)
            memcpy(g->sample + (k * SAMPLE + at) * Z, g->t->x + i * Z, (size_t)Z * sizeof *g->sample);
        seen++;
    }
    g->sampled[k] = seen < SAMPLE ? seen : SAMPLE;
}

static int by_value(const void *a, const void *b)
{
    float p = *(const float *)a, q = *(const float *)b;
    return p < q ? -1 : p > q;
}

/* The squared distance that `quantile` of all between two samples are within. */
static double gap_of(const merging *g, int64_t a, int64_t b, float *d2)
{
    int64_t Z = g->t->Z, n = 0;

    for (int64_t i = 0; i < g->sampled[a]; i++)
        for (int64_t j = 0; j < g->sampled[b]; j++) {
            const float *p = g->sample + (a * SAMPLE + i) * Z, *q = g->sample + (b * SAMPLE + j) * Z;
            float s = 0;
            for (int64_t k = 0; k < Z; k++)
                s += (p[k] - q[k]) * (p[k] - q[k]);
            d2[n++] = s;
        }
    qsort(d2, (size_t)n, sizeof *d2, by_value);
    return n ? d2[(int64_t)(quantile * (double)(n - 1))] : INFINITY;
}

static deco_status find_gaps(void *context, int64_t index, int worker)
{
    const merging *g = context;
    deco_status st = DECO_OK;
    int64_t a = index, from = g->changed < 0 ? index + 1 : g->changed, end = g->changed < 0 ? g->M : g->changed + 1;
    float *d2 = NULL;

    if (!g->size[a])
        return DECO_OK;
    TRY(deco_alloc(&d2, SAMPLE * SAMPLE, sizeof *d2, "distances"));
    for (int64_t b = from; b < end; b++)
        if (b != a && g->size[b])
            g->gap[a * g->M + b] = g->gap[b * g->M + a] = gap_of(g, a < b ? a : b, a < b ? b : a, d2);
out:
    free(d2);
    return st;
}

/* The two to merge: the smallest cluster with what is nearest to it while that is a small one, else the closest pair. */
static void choose_pair(int64_t *a, int64_t *b, const merging *g)
{
    int64_t smallest = -1;
    double least = INFINITY;

    *a = *b = -1;
    for (int64_t i = 0; i < g->M; i++)
        if (g->size[i] && g->size[i] < SMALL && (smallest < 0 || g->size[i] < g->size[smallest]))
            smallest = i;
    for (int64_t i = 0; i < g->M; i++)
        for (int64_t j = 0; j < g->M && g->size[i] && (smallest < 0 || i == smallest); j++)
            if (j != i && g->size[j] && (*a < 0 || g->gap[i * g->M + j] < least)) {
                least = g->gap[i * g->M + j];
                *a = i;
                *b = j;
            }
}

static deco_status merge_down(merging *g, int64_t left)
{
    deco_status st = DECO_OK;

    for (int64_t k = 0; k < g->M; k++)
        if (g->size[k])
            draw_sample(g, k, 0);
    g->changed = -1;
    TRY(deco_pool_run(g->t->pool, find_gaps, g, g->M));
    for (uint64_t turn = 1; left > g->t->K; left--, turn++) {
        int64_t a, b;
        choose_pair(&a, &b, g);
        for (int64_t i = 0; i < g->t->N; i++)
            if (g->label[i] == b)
                g->label[i] = (int32_t)a;
        g->size[a] += g->size[b];
        g->size[b] = 0;
        draw_sample(g, a, turn);
        g->changed = a;
        TRY(deco_pool_run(g->t->pool, find_gaps, g, g->M));
    }
out:
    return st;
}

/* Numbers the clusters that are left from 0; returns how many. */
static int64_t number_labels(merging *g)
{
    int32_t n = 0;

    for (int64_t k = 0; k < g->M; k++)
        if (g->size[k])
            g->size[k] = ++n;
    for (int64_t i = 0; i < g->t->N; i++)
        g->label[i] = (int32_t)g->size[g->label[i]] - 1;
    return n;
}

deco_status deco_merged_means_find(deco_clusters *out, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    deco_clusters many = {0};
    int64_t M = t->k_init > t->K ? t->k_init : t->K, left = 0;
    merging g = {.t = t};

    g.M = M = M < t->N ? M : t->N;
    TRY(deco_kmeans_fit(&many, NULL, NULL, t->x, t->N, t->Z, M, RESTARTS, ITERATIONS, t->seed, t->pool));
    g.label = many.label;
    TRY(deco_alloc(&g.size, (size_t)M, sizeof *g.size, "cluster sizes"));
    TRY(deco_alloc(&g.sampled, (size_t)M, sizeof *g.sampled, "samples of clusters"));
    TRY(deco_alloc(&g.sample, (size_t)(M * SAMPLE * t->Z), sizeof *g.sample, "samples of clusters"));
    TRY(deco_alloc(&g.gap, (size_t)(M * M), sizeof *g.gap, "distances of clusters"));
    for (int64_t i = 0; i < t->N; i++)
        left += g.size[g.label[i]]++ == 0;
    deco_info(t->m, "ak-means++: %lld clusters are merged to %lld", (long long)left, (long long)t->K);
    TRY(merge_down(&g, left));
    left = number_labels(&g);
    TRY(deco_clusters_soften(out, g.label, t, left));
out:
    deco_clusters_free(&many);
    free(g.size);
    free(g.sampled);
    free(g.sample);
    free(g.gap);
    return st;
}
