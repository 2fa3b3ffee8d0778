/* Lloyd's k-means from k-means++ seeds. Restarts run side by side on a sample; the best goes on with all rows. */
#include "analysis/kmeans.h"
#include "analysis/analysis.h"
#include "analysis/block.h"
#include "analysis/sample.h"
#include "analysis/starts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct lloyd {
    const float *x;
    int64_t Z, K;
    const double *centres;
    deco_clusters *out; /* labelling: NULL otherwise */
    double softness;    /* 1 / 2σ² */
} lloyd;

/* What a slab sums up: [K,Z] rows of each cluster, [K] how many, the inertia; and its row farthest from its centre. */
static int64_t width_of(const lloyd *l) { return l->K * l->Z + l->K + 1; }

/* Nearest centre of each row of a block, the lower number when two are equally near; d2 [K,BLOCK]. */
static void nearest_in_block(int32_t *label, double *d2, const double *block, const lloyd *l)
{
    for (int64_t k = 0; k < l->K; k++) {
        double *d = d2 + k * DECO_BLOCK;
        deco_block_distance(d, block, l->centres + k * l->Z, l->Z);
        for (int r = 0; r < DECO_BLOCK; r++)
            if (k == 0 || d[r] < d2[label[r] * DECO_BLOCK + r])
                label[r] = (int32_t)k;
    }
}

static deco_status assign_slab(void *context, const deco_slab *slab)
{
    const lloyd *l = context;
    deco_status st = DECO_OK;
    double *block = NULL, *d2, *sums = slab->sums, *count = sums + l->K * l->Z;
    int32_t label[DECO_BLOCK];

    TRY(deco_alloc(&block, (size_t)(l->Z + l->K) * DECO_BLOCK, sizeof *block, "a block of latents"));
    d2 = block + l->Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, slab->end);
        deco_block_load(block, l->x, i, n, l->Z, NULL);
        nearest_in_block(label, d2, block, l);
        for (int64_t r = 0; r < n; r++) {
            double *s = sums + label[r] * l->Z;
            for (int64_t j = 0; j < l->Z; j++)
                s[j] += block[j * DECO_BLOCK + r];
            count[label[r]]++;
            count[l->K] += d2[label[r] * DECO_BLOCK + r];
        }
    }
out:
    free(block);
    return st;
}

/* The row farthest from its nearest centre; the lowest of equals. Serial: an emptied cluster is rare. */
static deco_status farthest_row(int64_t *row, const lloyd *l, int64_t N)
{
    deco_status st = DECO_OK;
    double *block = NULL, *d2, most = -1;
    int32_t label[DECO_BLOCK];

    TRY(deco_alloc(&block, (size_t)(l->Z + l->K) * DECO_BLOCK, sizeof *block, "a block of latents"));
    d2 = block + l->Z * DECO_BLOCK;
    for (int64_t i = 0; i < N; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, N);
        deco_block_load(block, l->x, i, n, l->Z, NULL);
        nearest_in_block(label, d2, block, l);
        for (int64_t r = 0; r < n; r++)
            if (d2[label[r] * DECO_BLOCK + r] > most) {
                most = d2[label[r] * DECO_BLOCK + r];
                *row = i + r;
            }
    }
out:
    free(block);
    return st;
}

/* Centres become the means of their rows; the first that has none moves to the farthest row (one an iteration). */
static deco_status move_centres(double *centres, bool *moved, const double *sums, const lloyd *l, int64_t N)
{
    const double *count = sums + l->K * l->Z;
    int64_t empty = -1, row = 0;
    deco_status st;

    *moved = false;
    for (int64_t k = 0; k < l->K; k++) {
        if (count[k] == 0 && empty < 0)
            empty = k;
        for (int64_t j = 0; j < l->Z && count[k] > 0; j++) {
            double c = sums[k * l->Z + j] / count[k];
            *moved = *moved || c != centres[k * l->Z + j];
            centres[k * l->Z + j] = c;
        }
    }
    if (empty < 0)
        return DECO_OK;
    if ((st = farthest_row(&row, l, N)))
        return st;
    for (int64_t j = 0; j < l->Z; j++) {
        double c = l->x[row * l->Z + j];
        *moved = *moved || c != centres[empty * l->Z + j];
        centres[empty * l->Z + j] = c;
    }
    return DECO_OK;
}

deco_status deco_kmeans_refine(double *centres, double *count, double *inertia, const float *x, int64_t N, int64_t Z, int64_t K,
                               int iterations, deco_pool *pool)
{
    deco_status st = DECO_OK;
    lloyd l = {.x = x, .Z = Z, .K = K, .centres = centres};
    double *sums = NULL;
    bool moved = true;

    TRY(deco_alloc(&sums, (size_t)width_of(&l), sizeof *sums, "cluster sums"));
    for (int i = 0; i <= iterations && moved; i++) { /* the last round only measures */
        TRY(deco_slabs_sum(sums, width_of(&l), N, assign_slab, &l, pool));
        *inertia = sums[width_of(&l) - 1];
        if (i < iterations)
            TRY(move_centres(centres, &moved, sums, &l, N));
    }
    if (count)
        memcpy(count, sums + K * Z, (size_t)K * sizeof *count);
out:
    free(sums);
    return st;
}

typedef struct kmeans_starts {
    const float *x;
    int64_t N, Z, K;
    int iterations;
    uint64_t seed;
    double *centres, *inertia; /* [restarts,K,Z], [restarts] */
    deco_pool *pool;
} kmeans_starts;

static deco_status run_start(void *context, int64_t index, int worker)
{
    const kmeans_starts *s = context;
    double *centres = s->centres + index * s->K * s->Z;
    deco_status st = deco_start_centres(centres, s->x, s->N, s->Z, s->K, index, s->seed, s->pool);

    return st ? st : deco_kmeans_refine(centres, NULL, s->inertia + index, s->x, s->N, s->Z, s->K, s->iterations, s->pool);
}

/* Labels and probabilities of a block's rows: softmax of -d²/2σ² (all to the nearest when σ is 0). */
static deco_status label_slab(void *context, const deco_slab *slab)
{
    const lloyd *l = context;
    deco_status st = DECO_OK;
    double *block = NULL, *d2;
    int32_t label[DECO_BLOCK];

    TRY(deco_alloc(&block, (size_t)(l->Z + l->K) * DECO_BLOCK, sizeof *block, "a block of latents"));
    d2 = block + l->Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, slab->end);
        deco_block_load(block, l->x, i, n, l->Z, NULL);
        nearest_in_block(label, d2, block, l);
        for (int64_t r = 0; r < n; r++) {
            float *p = l->out->probability + (i + r) * l->K;
            double least = d2[label[r] * DECO_BLOCK + r], sum = 0;
            l->out->label[i + r] = label[r];
            for (int64_t k = 0; k < l->K; k++)
                sum += d2[k * DECO_BLOCK + r] = isfinite(l->softness) ? exp(l->softness * (least - d2[k * DECO_BLOCK + r])) : k == label[r];
            for (int64_t k = 0; k < l->K; k++)
                p[k] = (float)(d2[k * DECO_BLOCK + r] / sum);
        }
    }
out:
    free(block);
    return st;
}

static deco_status label_rows(deco_clusters *out, const double *centres, double inertia, const float *x, int64_t N, int64_t Z, int64_t K,
                              deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_clusters c = {.K = K, .N = N};
    lloyd l = {x, Z, K, centres, &c, inertia > 0 ? 0.5 * (double)N * (double)Z / inertia : INFINITY};
    double none;

    TRY(deco_alloc(&c.label, (size_t)N, sizeof *c.label, "cluster labels"));
    TRY(deco_alloc(&c.probability, (size_t)(N * K), sizeof *c.probability, "cluster probabilities"));
    TRY(deco_slabs_sum(&none, 0, N, label_slab, &l, pool));
    *out = c;
    c = (deco_clusters){0};
out:
    deco_clusters_free(&c);
    return st;
}

deco_status deco_kmeans_fit(deco_clusters *out, double *centres, double *inertia, const float *x, int64_t N, int64_t Z, int64_t K,
                            int restarts, int iterations, uint64_t seed, deco_pool *pool)
{
    deco_status st = DECO_OK;
    kmeans_starts s = {.Z = Z, .K = K, .iterations = iterations, .seed = seed, .pool = pool};
    deco_random random = deco_random_at(seed, DECO_STREAM_CLUSTER, UINT64_MAX);
    float *own = NULL;
    int64_t best = 0;
    double *found;

    *out = (deco_clusters){0};
    s.N = N < DECO_RESTART_ROWS ? N : DECO_RESTART_ROWS;
    TRY(deco_clusters_check(N, Z, K));
    TRY(deco_rows_sample(&s.x, &own, x, N, Z, s.N, &random));
    TRY(deco_alloc(&s.centres, (size_t)(restarts * K * Z), sizeof *s.centres, "cluster centres"));
    TRY(deco_alloc(&s.inertia, (size_t)restarts, sizeof *s.inertia, "inertias"));
    TRY(deco_pool_run(pool, run_start, &s, restarts));
    for (int r = 1; r < restarts; r++)
        if (s.inertia[r] < s.inertia[best])
            best = r;
    found = s.centres + best * K * Z;
    TRY(deco_kmeans_refine(found, NULL, s.inertia + best, x, N, Z, K, own ? iterations : 0, pool));
    TRY(label_rows(out, found, s.inertia[best], x, N, Z, K, pool));
    if (centres)
        memcpy(centres, found, (size_t)(K * Z) * sizeof *centres);
    if (inertia)
        *inertia = s.inertia[best];
out:
    free(own);
    free(s.centres);
    free(s.inertia);
    return st;
}
