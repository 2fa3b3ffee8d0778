/* What all clusterings by distance need: the nearest place, and how sure a label is. */
#include "analysis/block.h"
#include "analysis/clustering_kinds.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct placing {
    const deco_to_cluster *t;
    const double *place;
    int64_t M;
    int32_t *label;
    const int32_t *given; /* soften: labels, */
    float *probability;   /* [N,M], */
    double softness;      /* 1/2σ² */
} placing;

static deco_status place_slab(void *context, const deco_slab *slab)
{
    const placing *p = context;
    deco_status st = DECO_OK;
    int64_t Z = p->t->Z;
    double *block = NULL, *d2, least[DECO_BLOCK];

    TRY(deco_alloc(&block, (size_t)(Z + 1) * DECO_BLOCK, sizeof *block, "a block of latents"));
    d2 = block + Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, slab->end);
        deco_block_load(block, p->t->x, i, n, Z, NULL);
        for (int64_t k = 0; k < p->M; k++) {
            deco_block_distance(d2, block, p->place + k * Z, Z);
            for (int64_t r = 0; r < n; r++)
                if (k == 0 || d2[r] < least[r]) {
                    least[r] = d2[r];
                    p->label[i + r] = (int32_t)k;
                }
        }
    }
out:
    free(block);
    return st;
}

deco_status deco_nearest_places(int32_t *label, const double *place, int64_t M, const deco_to_cluster *t)
{
    placing p = {.t = t, .place = place, .M = M, .label = label};
    double none;

    return deco_slabs_sum(&none, 0, t->N, place_slab, &p, t->pool);
}

/* The probabilities of one row from its distances to all means. */
static void soften_row(float *p, const double *d2, int64_t stride, int64_t K, int32_t own, double softness)
{
    double least = INFINITY, sum = 0;

    for (int64_t k = 0; k < K; k++)
        least = fmin(least, d2[k * stride]);
    for (int64_t k = 0; k < K; k++)
        sum += p[k] = k == own ? 1 : isfinite(softness) ? (float)exp(softness * (least - d2[k * stride])) : 0;
    for (int64_t k = 0; k < K; k++)
        p[k] = (float)(p[k] / sum);
}

static deco_status soften_slab(void *context, const deco_slab *slab)
{
    const placing *p = context;
    deco_status st = DECO_OK;
    int64_t Z = p->t->Z;
    double *block = NULL, *d2;

    TRY(deco_alloc(&block, (size_t)(Z + p->M) * DECO_BLOCK, sizeof *block, "a block of latents"));
    d2 = block + Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, slab->end);
        deco_block_load(block, p->t->x, i, n, Z, NULL);
        for (int64_t k = 0; k < p->M; k++)
            deco_block_distance(d2 + k * DECO_BLOCK, block, p->place + k * Z, Z);
        for (int64_t r = 0; r < n; r++)
            soften_row(p->probability + (i + r) * p->M, d2 + r, DECO_BLOCK, p->M, p->given[i + r], p->softness);
    }
out:
    free(block);
    return st;
}

/* Means of the labelled rows [K,Z], and the mean squared distance to them a dimension. Serial: once over the rows, twice. */
static double means_of(double *mean, int64_t *count, const int32_t *label, const deco_to_cluster *t, int64_t K)
{
    double sum = 0;

    for (int64_t i = 0; i < t->N; i++) {
        count[label[i]]++;
        for (int64_t j = 0; j < t->Z; j++)
            mean[label[i] * t->Z + j] += t->x[i * t->Z + j];
    }
    for (int64_t k = 0; k < K; k++)
        for (int64_t j = 0; j < t->Z && count[k]; j++)
            mean[k * t->Z + j] /= (double)count[k];
    for (int64_t i = 0; i < t->N * t->Z; i++) {
        double d = t->x[i] - mean[label[i / t->Z] * t->Z + i % t->Z];
        sum += d * d;
    }
    return sum / ((double)t->N * (double)t->Z);
}

deco_status deco_clusters_soften(deco_clusters *out, const int32_t *label, const deco_to_cluster *t, int64_t K)
{
    deco_status st = DECO_OK;
    deco_clusters c = {.K = K, .N = t->N};
    double *mean = NULL, variance, none;
    int64_t *count = NULL;
    placing p = {.t = t, .M = K, .given = label};

    *out = (deco_clusters){0};
    TRY(deco_alloc(&c.label, (size_t)t->N, sizeof *c.label, "cluster labels"));
    TRY(deco_alloc(&c.probability, (size_t)(t->N * K), sizeof *c.probability, "cluster probabilities"));
    TRY(deco_alloc(&mean, (size_t)(K * t->Z), sizeof *mean, "cluster means"));
    TRY(deco_alloc(&count, (size_t)K, sizeof *count, "cluster sizes"));
    memcpy(c.label, label, (size_t)t->N * sizeof *label);
    variance = means_of(mean, count, label, t, K);
    p.place = mean;
    p.probability = c.probability;
    p.softness = variance > 0 ? 0.5 / variance : INFINITY;
    TRY(deco_slabs_sum(&none, 0, t->N, soften_slab, &p, t->pool));
    *out = c;
    c = (deco_clusters){0};
out:
    deco_clusters_free(&c);
    free(mean);
    free(count);
    return st;
}
