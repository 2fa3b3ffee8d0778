/* Densities and responsibilities of a Gaussian mixture, in double with a log-sum-exp. */
#include "analysis/gmm.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void deco_gmm_free(deco_gmm *g)
{
    free(g->weight);
    free(g->mean);
    free(g->covariance);
    *g = (deco_gmm){0};
}

void deco_gmm_ready_free(deco_gmm_ready *g)
{
    free(g->whiten);
    free(g->constant);
    *g = (deco_gmm_ready){0};
}

/* L⁻¹ of a covariance. One that rounding has left without a factor gets more on its diagonal, ten times as much each time. */
static deco_status whiten_one(double *out, const double *covariance, int64_t Z)
{
    double trace = 0, more = 0;

    for (int64_t i = 0; i < Z; i++)
        trace += covariance[i * Z + i];
    for (int attempt = 0; attempt < 12; attempt++) {
        memcpy(out, covariance, (size_t)(Z * Z) * sizeof *out);
        for (int64_t i = 0; i < Z; i++)
            out[i * Z + i] += more;
        /* lower by rows is upper by columns */
        if (!LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', (lapack_int)Z, out, (lapack_int)Z) &&
            !LAPACKE_dtrtri(LAPACK_COL_MAJOR, 'U', 'N', (lapack_int)Z, out, (lapack_int)Z))
            return DECO_OK;
        more = more > 0 ? 10 * more : 1e-15 * (trace > DECO_GMM_FLOOR ? trace : DECO_GMM_FLOOR);
    }
    return deco_fail(DECO_E_ARGUMENT, "a cluster's covariance has no Cholesky factor (trace %g); are the latents finite?", trace);
}

deco_status deco_gmm_prepare(deco_gmm_ready *out, const deco_gmm *g)
{
    deco_status st = DECO_OK;
    int64_t K = g->K, Z = g->Z;
    deco_gmm_ready ready = {.K = K, .Z = Z, .mean = g->mean};

    TRY(deco_alloc(&ready.whiten, (size_t)(K * Z * Z), sizeof *ready.whiten, "a mixture"));
    TRY(deco_alloc(&ready.constant, (size_t)K, sizeof *ready.constant, "a mixture"));
    for (int64_t k = 0; k < K; k++) {
        double *w = ready.whiten + k * Z * Z;
        TRY(whiten_one(w, g->covariance + k * Z * Z, Z));
        ready.constant[k] = log(g->weight[k]) - 0.5 * (double)Z * log(2 * M_PI); /* -inf for a cluster that died */
        for (int64_t i = 0; i < Z; i++) {
            ready.constant[k] += log(w[i * Z + i]);
            for (int64_t j = i + 1; j < Z; j++)
                w[i * Z + j] = 0; /* the other half still holds the covariance */
        }
    }
    *out = ready;
    ready = (deco_gmm_ready){0};
out:
    deco_gmm_ready_free(&ready);
    return st;
}

void deco_gmm_block(double *p, double *log_p, const deco_gmm_ready *g, const double *block)
{
    int64_t Z = g->Z;

    for (int64_t k = 0; k < g->K; k++) {
        double *q = p + k * DECO_BLOCK;
        deco_block_length(q, g->whiten + k * Z * Z, g->mean + k * Z, Z, block);
        for (int r = 0; r < DECO_BLOCK; r++)
            q[r] = g->constant[k] - 0.5 * q[r];
    }
    for (int r = 0; r < DECO_BLOCK; r++) {
        double most = p[r], sum = 0;
        for (int64_t k = 1; k < g->K; k++)
            most = p[k * DECO_BLOCK + r] > most ? p[k * DECO_BLOCK + r] : most;
        for (int64_t k = 0; k < g->K; k++) {
            double d = p[k * DECO_BLOCK + r] - most;
            sum += p[k * DECO_BLOCK + r] = d < -60 ? 0 : exp(d); /* below 1e-26: lost in the sum anyway */
        }
        log_p[r] = most + log(sum);
        for (int64_t k = 0; k < g->K; k++)
            p[k * DECO_BLOCK + r] /= sum;
    }
}

typedef struct density_pass {
    const deco_gmm_ready *g;
    const float *x;
    double *out;         /* [N,K] or NULL */
    deco_clusters *into; /* or NULL */
} density_pass;

/* Sums up the log density of its rows. */
static deco_status density_slab(void *context, const deco_slab *slab)
{
    const density_pass *pass = context;
    deco_status st = DECO_OK;
    int64_t K = pass->g->K, Z = pass->g->Z;
    double *block = NULL, *p, log_p[DECO_BLOCK];

    TRY(deco_alloc(&block, (size_t)(Z + K) * DECO_BLOCK, sizeof *block, "a block of latents"));
    p = block + Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, slab->end);
        deco_block_load(block, pass->x, i, n, Z, NULL);
        deco_gmm_block(p, log_p, pass->g, block);
        for (int64_t r = 0; r < n; r++) {
            int32_t label = 0;
            slab->sums[0] += log_p[r];
            for (int64_t k = 0; k < K; k++) {
                double v = p[k * DECO_BLOCK + r];
                label = v > p[label * DECO_BLOCK + r] ? (int32_t)k : label;
                if (pass->out)
                    pass->out[(i + r) * K + k] = v;
                if (pass->into)
                    pass->into->probability[(i + r) * K + k] = (float)v;
            }
            if (pass->into)
                pass->into->label[i + r] = label;
        }
    }
out:
    free(block);
    return st;
}

deco_status deco_gmm_responsibilities(double *out, double *log_likelihood, const deco_gmm *g, const float *x, int64_t N, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_gmm_ready ready = {0};
    density_pass pass = {&ready, x, out, NULL};
    double sum;

    TRY(deco_gmm_prepare(&ready, g));
    TRY(deco_slabs_sum(&sum, 1, N, density_slab, &pass, pool));
    if (log_likelihood)
        *log_likelihood = sum / (double)N;
out:
    deco_gmm_ready_free(&ready);
    return st;
}

deco_status deco_gmm_label(deco_clusters *out, const deco_gmm *g, const float *x, int64_t N, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_gmm_ready ready = {0};
    deco_clusters c = {.K = g->K, .N = N};
    density_pass pass = {&ready, x, NULL, &c};
    double sum;

    TRY(deco_alloc(&c.label, (size_t)N, sizeof *c.label, "cluster labels"));
    TRY(deco_alloc(&c.probability, (size_t)(N * g->K), sizeof *c.probability, "cluster probabilities"));
    TRY(deco_gmm_prepare(&ready, g));
    TRY(deco_slabs_sum(&sum, 1, N, density_slab, &pass, pool));
    *out = c;
    c = (deco_clusters){0};
out:
    deco_gmm_ready_free(&ready);
    deco_clusters_free(&c);
    return st;
}
