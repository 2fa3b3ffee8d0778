#include "analysis/clustering.h"
#include "analysis/clustering_kinds.h"
#include "analysis/gmm.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* METHOD.md section 7. */
enum { RESTARTS = 20, ITERATIONS = 100 };

void deco_clusters_free(deco_clusters *c)
{
    free(c->label);
    free(c->probability);
    *c = (deco_clusters){0};
}

deco_status deco_clusters_check(int64_t N, int64_t Z, int64_t K)
{
    if (N < 1 || Z < 1)
        return deco_fail(DECO_E_ARGUMENT, "%lld latents of %lld dimensions cannot be clustered; both must be at least 1", (long long)N,
                         (long long)Z);
    if (K < 1 || K > N)
        return deco_fail(DECO_E_ARGUMENT, "k_num is %lld; with %lld particles it must be from 1 to %lld", (long long)K, (long long)N,
                         (long long)N);
    return DECO_OK;
}

deco_status deco_analysis_check(const deco_options *o, int64_t N, int64_t Z)
{
    if (Z == 0)
        return DECO_OK;
    if (o->landscape && N < 2)
        return deco_fail(DECO_E_ARGUMENT, "a landscape compares the maps of particles, and there is one particle: leave landscape out");
    return deco_clusters_check(N, Z, o->k_num ? o->k_num : 1); /* "auto" is never too many */
}

void deco_clustering_free(deco_clustering *c)
{
    deco_clusters_free(&c->found);
    free(c->row);
    free(c->size);
    *c = (deco_clustering){0};
}

/* Rows scaled to length 1; one that is all zeros stays. */
static void scale_rows(float *x, int64_t N, int64_t Z)
{
    for (int64_t i = 0; i < N; i++) {
        double s = 0;
        for (int64_t j = 0; j < Z; j++)
            s += (double)x[i * Z + j] * x[i * Z + j];
        for (int64_t j = 0; j < Z && s > 0; j++)
            x[i * Z + j] = (float)(x[i * Z + j] / sqrt(s));
    }
}

static deco_status find_mixture(deco_clusters *out, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    deco_gmm g = {0};

    TRY(deco_gmm_fit(&g, t->x, t->N, t->Z, t->K, RESTARTS, ITERATIONS, t->seed, t->pool));
    deco_info(t->m, "Gaussian mixture of %lld clusters: log-likelihood %.6g a particle", (long long)t->K, g.log_likelihood);
    TRY(deco_gmm_label(out, &g, t->x, t->N, t->pool));
out:
    deco_gmm_free(&g);
    return st;
}

static deco_status find_means(deco_clusters *out, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    double inertia = 0;

    TRY(deco_kmeans_fit(out, NULL, &inertia, t->x, t->N, t->Z, t->K, RESTARTS, ITERATIONS, t->seed, t->pool));
    deco_info(t->m, "k-means++ of %lld clusters: inertia %.6g a particle", (long long)t->K, inertia / (double)t->N);
out:
    return st;
}

typedef struct kind {
    const char *type, *method; /* as the option has it; in words */
    bool unit_rows;
    deco_status (*find)(deco_clusters *out, const deco_to_cluster *t);
} kind;

static const kind kinds[] = {
    {"gmm", "Gaussian mixture", false, find_mixture},
    {"k-means++", "k-means++", true, find_means},
    {"ak-means++", "ak-means++", true, deco_merged_means_find},
    {"birch", "Birch", true, deco_birch_find},
    {"hierarchical", "single linkage", true, deco_single_linkage_find},
};

/* Gives cluster old[k] the number k, for the K that stay; the probabilities of a row then add up to 1 again. */
static deco_status renumber(deco_clusters *c, const int32_t *old, int64_t K)
{
    deco_status st = DECO_OK;
    int32_t *number = NULL;
    float *p = NULL;

    TRY(deco_alloc(&number, (size_t)c->K, sizeof *number, "cluster numbers"));
    TRY(deco_alloc(&p, (size_t)(c->N * K), sizeof *p, "cluster probabilities"));
    for (int64_t k = 0; k < K; k++)
        number[old[k]] = (int32_t)k;
    for (int64_t i = 0; i < c->N; i++) {
        double sum = 0;
        c->label[i] = number[c->label[i]];
        for (int64_t k = 0; k < K; k++)
            sum += p[i * K + k] = c->probability[i * c->K + old[k]];
        for (int64_t k = 0; k < K && K < c->K; k++)
            p[i * K + k] = (float)(p[i * K + k] / sum);
    }
    free(c->probability);
    c->probability = p;
    c->K = K;
    p = NULL;
out:
    free(number);
    free(p);
    return st;
}

/* Clusters without a member go: there is nothing to decode at, and no subset. */
static deco_status drop_empty(deco_clusters *c, deco_monitor *m)
{
    deco_status st = DECO_OK;
    int64_t *size = NULL, K = 0, asked = c->K;
    int32_t *old = NULL;

    TRY(deco_alloc(&size, (size_t)c->K, sizeof *size, "cluster sizes"));
    TRY(deco_alloc(&old, (size_t)c->K, sizeof *old, "cluster numbers"));
    for (int64_t i = 0; i < c->N; i++)
        size[c->label[i]]++;
    for (int64_t k = 0; k < c->K; k++)
        if (size[k])
            old[K++] = (int32_t)k;
    if (K == c->K)
        goto out;
    TRY(renumber(c, old, K));
    deco_warn(m, "%lld of the %lld clusters asked for have no particles and are left out: the latents fall into fewer groups",
              (long long)(asked - K), (long long)asked);
out:
    free(size);
    free(old);
    return st;
}

/* Centres, sizes, and the numbers of the dendrogram. */
static deco_status put_in_order(deco_clustering *c, const float *z, int64_t Z)
{
    deco_status st = DECO_OK;
    int64_t K = c->found.K, N = c->found.N, *row = NULL;
    int32_t *order = NULL;
    double *centres = NULL;

    TRY(deco_alloc(&c->row, (size_t)K, sizeof *c->row, "cluster centres"));
    TRY(deco_alloc(&c->size, (size_t)K, sizeof *c->size, "cluster sizes"));
    TRY(deco_alloc(&row, (size_t)K, sizeof *row, "cluster centres"));
    TRY(deco_alloc(&order, (size_t)K, sizeof *order, "cluster numbers"));
    TRY(deco_alloc(&centres, (size_t)(K * Z), sizeof *centres, "cluster centres"));
    TRY(deco_nearest_rows(row, z, N, Z, c->found.label, K));
    for (int64_t i = 0; i < K * Z; i++)
        centres[i] = z[row[i / Z] * Z + i % Z];
    TRY(deco_dendrogram_order(order, NULL, centres, K, Z));
    TRY(renumber(&c->found, order, K));
    for (int64_t k = 0; k < K; k++)
        c->row[k] = row[order[k]];
    for (int64_t i = 0; i < N; i++)
        c->size[c->found.label[i]]++;
out:
    free(row);
    free(order);
    free(centres);
    return st;
}

deco_status deco_clustering_find(deco_clustering *out, const float *z, const float *narrow, int64_t N, int64_t Z, const deco_options *o,
                                 uint64_t seed, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_clustering c = {0};
    const kind *how = kinds;
    int64_t dims = Z > o->umap_dim ? o->umap_dim : Z;
    deco_to_cluster t = {.N = N, .Z = dims, .K = o->k_num, .k_init = o->k_init, .seed = seed, .pool = pool, .m = m};
    float *x = NULL;

    *out = (deco_clustering){0};
    TRY(deco_clusters_check(N, Z, o->k_num));
    while (strcmp(how->type, o->clustering_type) != 0) /* the option table holds no other */
        how++;
    if (dims < Z) {
        c.note = "UMAP";
        deco_info(m, "latents have %lld dimensions, more than umap_dim: their UMAP to %lld is clustered", (long long)Z, (long long)dims);
    }
    TRY(deco_alloc(&x, (size_t)(N * dims), sizeof *x, "latents to cluster"));
    memcpy(x, dims < Z ? narrow : z, (size_t)(N * dims) * sizeof *x);
    if (how->unit_rows)
        scale_rows(x, N, dims);
    t.x = x;
    c.method = how->method;
    deco_info(m, "clustering %lld latents: %s, k_num = %lld", (long long)N, c.method, (long long)o->k_num);
    TRY(how->find(&c.found, &t));
    TRY(drop_empty(&c.found, m));
    TRY(put_in_order(&c, z, Z));
    *out = c;
    c = (deco_clustering){0};
out:
    free(x);
    deco_clustering_free(&c);
    return st;
}
