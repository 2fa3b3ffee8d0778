#include "analysis/bench_latents.h"
#include "analysis/analysis.h"
#include "analysis/umap.h"
#include "base/philox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLOUDS = 8, PASSES = 200, ITERATIONS = 20, ROWS = 100000, MANY = 1000000 };

typedef struct latent_case {
    int64_t N, Z;
    deco_status (*once)(const float *x, int64_t N, int64_t Z, deco_pool *pool, deco_monitor *m);
} latent_case;

/* Round clouds about places drawn 2.5 times as far: they touch. */
static void draw_clouds(float *x, int64_t N, int64_t Z)
{
    deco_random random = deco_random_at(1, DECO_STREAM_LAYOUT, 0);
    double place[CLOUDS * 64];

    for (int64_t i = 0; i < CLOUDS * Z; i++)
        place[i] = 2.5 * deco_random_normal(&random);
    for (int64_t i = 0; i < N; i++) {
        int64_t k = (int64_t)deco_random_below(&random, CLOUDS);
        for (int64_t j = 0; j < Z; j++)
            x[i * Z + j] = (float)(place[k * Z + j] + deco_random_normal(&random));
    }
}

static deco_status umap_once(const float *x, int64_t N, int64_t Z, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pca p = {0};
    deco_neighbours near = {0};
    float *scores = NULL, *y = NULL;

    TRY(deco_alloc(&scores, (size_t)(N * Z), sizeof *scores, "scores"));
    TRY(deco_alloc(&y, 2 * (size_t)N, sizeof *y, "a layout"));
    TRY(deco_pca_fit(&p, scores, x, N, Z, pool));
    TRY(deco_neighbours_find(&near, x, N, Z, DECO_UMAP_NEIGHBOURS, 1, pool, m));
    TRY(deco_umap_fit(y, &(deco_umap_plan){2, PASSES, 1}, &near, scores, Z, pool, m));
out:
    deco_pca_free(&p);
    deco_neighbours_free(&near);
    free(scores);
    free(y);
    return st;
}

/* One start and so many steps on all rows: work that any other program can be given too. What deco_gmm_fit makes of many starts is its own. */
static deco_status gmm_once(const float *x, int64_t N, int64_t Z, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_gmm g = {0}, next = {0};

    (void)m;
    TRY(deco_gmm_fit(&g, x, N, Z, CLOUDS, 1, 1, 1, pool));
    for (int i = 1; i < ITERATIONS; i++) {
        TRY(deco_gmm_step(&next, &g, x, N, pool));
        deco_gmm_free(&g);
        g = next;
        next = (deco_gmm){0};
    }
out:
    deco_gmm_free(&g);
    return st;
}

static deco_status pca_once(const float *x, int64_t N, int64_t Z, deco_pool *pool, deco_monitor *m)
{
    deco_pca p = {0};
    float *scores = NULL;
    deco_status st = deco_alloc(&scores, (size_t)(N * Z), sizeof *scores, "scores");

    (void)m;
    if (!st)
        st = deco_pca_fit(&p, scores, x, N, Z, pool);
    deco_pca_free(&p);
    free(scores);
    return st;
}

static deco_status run_case(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const latent_case *what = c->what;
    int64_t N = what->N, Z = what->Z;
    double begun = deco_seconds();
    float *x = NULL;

    TRY(deco_alloc(&x, (size_t)(N * Z), sizeof *x, "latents"));
    draw_clouds(x, N, Z);
    do {
        double start = deco_seconds();
        TRY(deco_bench_stopped(c, m));
        TRY(what->once(x, N, Z, deco_device_pool(dev), m));
        out->value = fmax(out->value, (double)N / (deco_seconds() - start));
    } while (deco_seconds() - begun < seconds);
    out->unit = "rows/s";
    snprintf(out->shape, sizeof out->shape, "\"rows\": %lld, \"dims\": %lld", (long long)N, (long long)Z);
out:
    free(x);
    return st;
}

#define CASE(rows, dims, of) (&(const latent_case){rows, dims, of})
const deco_bench_case deco_latent_cases[DECO_LATENT_CASES] = {
    {"umap", run_case, CASE(ROWS, 16, umap_once)},    {"gmm", run_case, CASE(ROWS, 16, gmm_once)},
    {"pca", run_case, CASE(ROWS, 64, pca_once)},      {"umap_many", run_case, CASE(MANY, 16, umap_once)},
    {"gmm_many", run_case, CASE(MANY, 16, gmm_once)}, {"pca_many", run_case, CASE(MANY, 64, pca_once)},
};
