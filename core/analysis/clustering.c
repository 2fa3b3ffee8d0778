#include "analysis/clustering.h"
#include "analysis/gmm.h"
#include "base/file.h"
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
    if (strcmp(o->clustering_type, "gmm") != 0 && strcmp(o->clustering_type, "k-means++") != 0)
        return deco_fail(DECO_E_UNSUPPORTED, "clustering_type %s is not there yet; gmm and k-means++ are", o->clustering_type);
    return deco_clusters_check(N, Z, o->k_num);
}

void deco_clustering_free(deco_clustering *c)
{
    deco_clusters_free(&c->found);
    free(c->row);
    free(c->size);
    free(c->note);
    *c = (deco_clustering){0};
}

/* The first `dims` of the Z numbers of each row. */
static deco_status first_columns(float **out, const float *x, int64_t N, int64_t Z, int64_t dims)
{
    deco_status st = deco_alloc(out, (size_t)(N * dims), sizeof **out, "latents to cluster");

    for (int64_t i = 0; !st && i < N; i++)
        memcpy(*out + i * dims, x + i * Z, (size_t)dims * sizeof *x);
    return st;
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

static deco_status find_mixture(deco_clusters *out, const float *x, int64_t N, int64_t Z, int64_t K, uint64_t seed, deco_pool *pool,
                                deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_gmm g = {0};

    TRY(deco_gmm_fit(&g, x, N, Z, K, RESTARTS, ITERATIONS, seed, pool));
    deco_info(m, "Gaussian mixture of %lld clusters: log-likelihood %.6g a particle", (long long)K, g.log_likelihood);
    TRY(deco_gmm_label(out, &g, x, N, pool));
out:
    deco_gmm_free(&g);
    return st;
}

static deco_status find_means(deco_clusters *out, const float *x, int64_t N, int64_t Z, int64_t K, uint64_t seed, deco_pool *pool,
                              deco_monitor *m)
{
    deco_status st = DECO_OK;
    double inertia = 0;

    TRY(deco_kmeans_fit(out, NULL, &inertia, x, N, Z, K, RESTARTS, ITERATIONS, seed, pool));
    deco_info(m, "k-means++ of %lld clusters: inertia %.6g a particle", (long long)K, inertia / (double)N);
out:
    return st;
}

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

deco_status deco_clustering_find(deco_clustering *out, const float *z, const float *scores, int64_t N, int64_t Z, const deco_options *o,
                                 uint64_t seed, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_clustering c = {0};
    bool mixture = strcmp(o->clustering_type, "gmm") == 0;
    int64_t dims = Z > o->umap_dim ? o->umap_dim : Z;
    float *x = NULL;

    *out = (deco_clustering){0};
    TRY(deco_analysis_check(o, N, Z));
    if (dims < Z) {
        if (!(c.note = deco_format("first %lld principal components", (long long)dims)))
            TRY(deco_fail_memory(64, "a note"));
        deco_info(m, "latents have %lld dimensions, more than umap_dim = %lld: their %s are clustered", (long long)Z, (long long)dims,
                  c.note);
    }
    TRY(first_columns(&x, dims < Z ? scores : z, N, Z, dims));
    if (!mixture)
        scale_rows(x, N, dims);
    c.method = mixture ? "Gaussian mixture" : "k-means++";
    deco_info(m, "clustering %lld latents: %s, k_num = %lld, best of %d starts", (long long)N, c.method, (long long)o->k_num, RESTARTS);
    TRY((mixture ? find_mixture : find_means)(&c.found, x, N, dims, o->k_num, seed, pool, m));
    TRY(drop_empty(&c.found, m));
    TRY(put_in_order(&c, z, Z));
    *out = c;
    c = (deco_clustering){0};
out:
    free(x);
    deco_clustering_free(&c);
    return st;
}
