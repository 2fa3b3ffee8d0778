/* Fitting a Gaussian mixture: expectation and maximisation from k-means++ starts. METHOD.md section 7.
 *
 * Restarts run side by side on a sample; the best goes on with the whole of the fitted rows. A restart in which a cluster has
 * shrunk onto fewer points than it needs for a covariance has found a spike, not a cluster, and only wins among its like. */
#include "analysis/gmm.h"
#include "analysis/kmeans.h"
#include "analysis/sample.h"
#include "analysis/starts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Gain in log-likelihood a point at which a restart, and then the winner, is taken to be at rest. */
static const double restart_gain = 1e-4, final_gain = 1e-6;

/* METHOD.md section 7: a mixture is fitted on at least this many rows, or this share of them. */
static const int64_t fit_rows = 1000000;
static const double fit_share = 0.35;

static deco_status gmm_create(deco_gmm *out, int64_t K, int64_t Z)
{
    deco_status st = DECO_OK;
    deco_gmm g = {.K = K, .Z = Z};

    *out = (deco_gmm){0};
    TRY(deco_alloc(&g.weight, (size_t)K, sizeof *g.weight, "a mixture"));
    TRY(deco_alloc(&g.mean, (size_t)(K * Z), sizeof *g.mean, "a mixture"));
    TRY(deco_alloc(&g.covariance, (size_t)(K * Z * Z), sizeof *g.covariance, "a mixture"));
    *out = g;
    g = (deco_gmm){0};
out:
    deco_gmm_free(&g);
    return st;
}

/* Sums of one cluster, about its old mean: responsibility, Σ r (x - μ) [Z], Σ r (x - μ)(x - μ)ᵀ packed. The log-likelihood comes last. */
static int64_t cluster_width(int64_t Z) { return 1 + Z + Z * (Z + 1) / 2; }

typedef struct em_pass {
    const deco_gmm_ready *g;
    const float *x;
} em_pass;

/* Rows that have almost no part in a cluster are left out of its sums: they would change nothing but the time. */
static const double least_part = 1e-13;

/* Adds the n rows of a block to a cluster's sums. `weighted` and `centred` [Z,BLOCK] hold those that count, side by side. */
static void add_cluster(double *sums, const double *p, const double *mean, const double *block, int64_t n, double *centred,
                        double *weighted, int64_t Z)
{
    int row[DECO_BLOCK];
    int64_t taken = 0, padded;

    for (int r = 0; r < n; r++)
        if (p[r] > least_part) {
            row[taken++] = r;
            sums[0] += p[r];
        }
    padded = (taken + 7) / 8 * 8;
    for (int64_t j = 0; j < Z; j++) {
        double *c = centred + j * DECO_BLOCK, *w = weighted + j * DECO_BLOCK;
        for (int64_t t = 0; t < taken; t++) {
            c[t] = block[j * DECO_BLOCK + row[t]] - mean[j];
            w[t] = p[row[t]] * c[t];
            sums[1 + j] += w[t];
        }
        for (int64_t t = taken; t < padded; t++)
            c[t] = w[t] = 0;
    }
    deco_block_gram(sums + 1 + Z, weighted, centred, Z, padded);
}

static deco_status em_slab(void *context, const deco_slab *slab)
{
    const em_pass *pass = context;
    deco_status st = DECO_OK;
    int64_t K = pass->g->K, Z = pass->g->Z, width = cluster_width(Z);
    double *block = NULL, *work, *p, log_p[DECO_BLOCK];

    TRY(deco_alloc(&block, (size_t)(3 * Z + K) * DECO_BLOCK, sizeof *block, "a block of latents"));
    work = block + Z * DECO_BLOCK;
    p = work + 2 * Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, slab->end);
        deco_block_load(block, pass->x, i, n, Z, NULL);
        deco_gmm_block(p, log_p, pass->g, block);
        for (int64_t r = 0; r < n; r++)
            slab->sums[K * width] += log_p[r];
        for (int64_t k = 0; k < K; k++)
            add_cluster(slab->sums + k * width, p + k * DECO_BLOCK, pass->g->mean + k * Z, block, n, work, work + Z * DECO_BLOCK, Z);
    }
out:
    free(block);
    return st;
}

/* The M step. A cluster that lost all its points stays where it is with weight 0. */
static void maximise(deco_gmm *out, const deco_gmm *in, const double *sums, int64_t N)
{
    int64_t Z = in->Z, width = cluster_width(Z);

    for (int64_t k = 0; k < in->K; k++) {
        const double *s = sums + k * width, *shift = s + 1, *product = s + 1 + Z;
        double *mean = out->mean + k * Z, *covariance = out->covariance + k * Z * Z, n = s[0];
        out->weight[k] = n / (double)N;
        if (!(n > 1e-12)) {
            out->weight[k] = 0;
            memcpy(mean, in->mean + k * Z, (size_t)Z * sizeof *mean);
            memcpy(covariance, in->covariance + k * Z * Z, (size_t)(Z * Z) * sizeof *covariance);
            continue;
        }
        for (int64_t i = 0; i < Z; i++) {
            mean[i] = in->mean[k * Z + i] + shift[i] / n;
            for (int64_t j = 0; j <= i; j++) {
                double c = product[i * (i + 1) / 2 + j] / n - shift[i] / n * (shift[j] / n);
                covariance[i * Z + j] = covariance[j * Z + i] = c + (i == j ? DECO_GMM_FLOOR : 0);
            }
        }
    }
}

/* One step; out->log_likelihood is that of `in`. */
static deco_status em_step(deco_gmm *out, const deco_gmm *in, const float *x, int64_t N, double *sums, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_gmm_ready ready = {0};
    em_pass pass = {&ready, x};
    int64_t width = in->K * cluster_width(in->Z) + 1;

    TRY(deco_gmm_prepare(&ready, in));
    TRY(deco_slabs_sum(sums, width, N, em_slab, &pass, pool));
    maximise(out, in, sums, N);
    out->log_likelihood = sums[width - 1] / (double)N;
out:
    deco_gmm_ready_free(&ready);
    return st;
}

deco_status deco_gmm_step(deco_gmm *out, const deco_gmm *in, const float *x, int64_t N, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_gmm g = {0};
    double *sums = NULL;

    *out = (deco_gmm){0};
    TRY(gmm_create(&g, in->K, in->Z));
    TRY(deco_alloc(&sums, (size_t)(in->K * cluster_width(in->Z) + 1), sizeof *sums, "cluster sums"));
    TRY(em_step(&g, in, x, N, sums, pool));
    *out = g;
    g = (deco_gmm){0};
out:
    free(sums);
    deco_gmm_free(&g);
    return st;
}

/* Steps on `g` until the gain falls below `gain` or `iterations` are done; then g->log_likelihood is that of g itself. */
static deco_status em_run(deco_gmm *g, const float *x, int64_t N, int iterations, double gain, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_gmm next = {0};
    double *sums = NULL, before = -INFINITY;

    TRY(gmm_create(&next, g->K, g->Z));
    TRY(deco_alloc(&sums, (size_t)(g->K * cluster_width(g->Z) + 1), sizeof *sums, "cluster sums"));
    for (int i = 0; i < iterations; i++) {
        deco_gmm swap;
        TRY(em_step(&next, g, x, N, sums, pool));
        swap = *g;
        *g = next;
        next = swap;
        if (g->log_likelihood - before < gain)
            break;
        before = g->log_likelihood;
    }
    TRY(deco_gmm_responsibilities(NULL, &g->log_likelihood, g, x, N, pool));
out:
    free(sums);
    deco_gmm_free(&next);
    return st;
}

/* Of a cluster that begins at a row: what share of all rows' variance. */
static const double narrowness = 1e-4;

typedef struct gmm_starts {
    const float *x;
    int64_t N, Z, K;
    int iterations;
    uint64_t seed;
    double spread;   /* variance of a dimension, mean over all */
    deco_gmm *found; /* [restarts] */
    deco_pool *pool;
} gmm_starts;

/* Of N rows about their mean. */
static double spread_of(const float *x, int64_t N, int64_t Z)
{
    double all = 0;

    for (int64_t j = 0; j < Z; j++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < N; i++) {
            double d = (double)x[i * Z + j] - x[j];
            sum += d;
            squares += d * d;
        }
        all += squares / (double)N - sum / (double)N * (sum / (double)N);
    }
    return fmax(all, 0) / (double)Z;
}

/* Rows drawn evenly, and so narrow that the first step takes each cluster's own covariance from the rows nearest to it. */
static deco_status start_at_rows(deco_gmm *g, double *variance, const gmm_starts *s, int64_t restart)
{
    deco_status st = DECO_OK;
    deco_random random = deco_random_at(s->seed, DECO_STREAM_CLUSTER, (uint64_t)restart);
    const float *rows = NULL;
    float *own = NULL;

    TRY(deco_rows_sample(&rows, &own, s->x, s->N, s->Z, s->K, &random));
    for (int64_t i = 0; i < s->K * s->Z; i++)
        g->mean[i] = rows[i];
    *variance = narrowness * s->spread;
out:
    free(own);
    return st;
}

/* k-means after a few rounds, as wide as that leaves the clusters. */
static deco_status start_at_means(deco_gmm *g, double *variance, const gmm_starts *s, int64_t restart)
{
    deco_status st = DECO_OK;
    double inertia = 0;

    TRY(deco_start_centres(g->mean, s->x, s->N, s->Z, s->K, restart, s->seed, s->pool));
    TRY(deco_kmeans_refine(g->mean, NULL, &inertia, s->x, s->N, s->Z, s->K, 3, s->pool));
    *variance = inertia / ((double)s->N * (double)s->Z);
out:
    return st;
}

/* Equal weights and round clusters. Two restarts begin at means, the next two at rows: states of very unlike sizes are found by the first alone, linked rings
 * mostly by the second (1 in 3 starts against 1 in 10). */
static deco_status start_mixture(deco_gmm *g, const gmm_starts *s, int64_t restart)
{
    deco_status st = DECO_OK;
    double variance;

    TRY(restart / 2 % 2 ? start_at_rows(g, &variance, s, restart) : start_at_means(g, &variance, s, restart));
    for (int64_t k = 0; k < s->K; k++) {
        g->weight[k] = 1 / (double)s->K;
        for (int64_t i = 0; i < s->Z; i++)
            g->covariance[(k * s->Z + i) * s->Z + i] = variance + DECO_GMM_FLOOR;
    }
out:
    return st;
}

static deco_status run_start(void *context, int64_t index, int worker)
{
    const gmm_starts *s = context;
    deco_status st = DECO_OK;
    deco_gmm *g = s->found + index;

    TRY(gmm_create(g, s->K, s->Z));
    TRY(start_mixture(g, s, index));
    TRY(em_run(g, s->x, s->N, s->iterations, restart_gain, s->pool));
out:
    return st;
}

/* Clusters of fewer points than a full covariance needs. */
static int64_t spikes(const deco_gmm *g, int64_t N)
{
    int64_t n = 0;

    for (int64_t k = 0; k < g->K; k++)
        n += g->weight[k] * (double)N < (double)(g->Z + 1);
    return n;
}

static int64_t best_start(const deco_gmm *g, int64_t N, int restarts)
{
    int64_t best = 0;

    for (int r = 1; r < restarts; r++) {
        int64_t mine = spikes(g + r, N), its = spikes(g + best, N);
        if (mine < its || (mine == its && g[r].log_likelihood > g[best].log_likelihood))
            best = r;
    }
    return best;
}

deco_status deco_gmm_fit(deco_gmm *out, const float *x, int64_t N, int64_t Z, int64_t K, int restarts, int iterations, uint64_t seed,
                         deco_pool *pool)
{
    deco_status st = DECO_OK;
    gmm_starts s = {.Z = Z, .K = K, .iterations = iterations, .seed = seed, .pool = pool};
    deco_random random = deco_random_at(seed, DECO_STREAM_CLUSTER, UINT64_MAX);
    const float *fitted = NULL;
    float *fitted_own = NULL, *start_own = NULL;
    int64_t share = (int64_t)(fit_share * (double)N), n = share > fit_rows ? share : fit_rows, best;

    *out = (deco_gmm){0};
    TRY(deco_clusters_check(N, Z, K));
    n = n < N ? n : N;
    s.N = n < DECO_RESTART_ROWS ? n : DECO_RESTART_ROWS;
    TRY(deco_rows_sample(&fitted, &fitted_own, x, N, Z, n, &random));
    TRY(deco_rows_sample(&s.x, &start_own, fitted, n, Z, s.N, &random));
    s.spread = spread_of(s.x, s.N, Z);
    TRY(deco_alloc(&s.found, (size_t)restarts, sizeof *s.found, "mixtures"));
    TRY(deco_pool_run(pool, run_start, &s, restarts));
    best = best_start(s.found, s.N, restarts);
    TRY(em_run(s.found + best, fitted, n, iterations, final_gain, pool));
    *out = s.found[best];
    s.found[best] = (deco_gmm){0};
out:
    for (int r = 0; s.found && r < restarts; r++)
        deco_gmm_free(s.found + r);
    free(s.found);
    free(fitted_own);
    free(start_own);
    return st;
}
