/* Neighbours, the fuzzy graph, layouts, and the clusterings by distance, against the golden numbers of topic l_analysis (METHOD.md section 7). */
#include "analysis/clustering.h"
#include "analysis/umap.h"
#include "support/golden.h"
#include "unit/analysis/partitions.h"
#include "unit/analysis/trustworthiness.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static deco_pool *pool;

static void ok(deco_status st)
{
    if (st)
        fail_msg("%s", deco_error());
}

static deco_neighbours find(const golden_array *x)
{
    deco_neighbours n;
    ok(deco_neighbours_find(&n, x->f, x->shape[0], x->shape[1], DECO_UMAP_NEIGHBOURS, 1, pool, NULL));
    return n;
}

static void neighbours_are_the_references(void **state)
{
    golden_array x = golden_read("l_analysis/umap_x.npy"), row = golden_read("l_analysis/umap_knn_index.npy"),
                 distance = golden_read("l_analysis/umap_knn_dist.npy");
    deco_neighbours n = find(&x);

    assert_int_equal(n.k, row.shape[1]);
    golden_expect_f("l_analysis/umap_knn_dist.npy", n.distance, n.N * n.k);
    for (int64_t i = 0; i < n.N; i++) {
        assert_int_equal(n.row[i * n.k], i);
        for (int j = 0; j < n.k; j++) { /* as sets where distances tie */
            bool there = false;
            for (int q = 0; q < n.k; q++)
                there = there || n.row[i * n.k + j] == (int32_t)row.v[i * n.k + q];
            if (!there && fabs(n.distance[i * n.k + j] - distance.v[i * n.k + n.k - 1]) > 1e-6)
                fail_msg("row %d has %d as its neighbour %d; the reference has not", (int)i, n.row[i * n.k + j], j);
        }
    }
    deco_neighbours_free(&n);
    golden_free(&x);
    golden_free(&row);
    golden_free(&distance);
}

/* The reference's search for a bandwidth above 1 went on with an infinite upper end (compiled to take no number for infinite), so such rows have
 * an infinite one there and all their edges weigh 1; umap-learn 0.5.12 no longer does so. What touches such a row is not compared. */
static void forgive(double *mine, const double *golden, int64_t i, bool infinite)
{
    if (infinite)
        mine[i] = golden[i];
}

static double *wide(const float *x, int64_t n)
{
    double *w = malloc(((size_t)n + 1) * sizeof *w);
    for (int64_t i = 0; i < n; i++)
        w[i] = x[i];
    return w;
}

/* Bandwidths and weights, at 1e-4 relative and 1e-4 (the manifest's). */
static void expect_weights(const deco_umap_graph *g, const float *sigma)
{
    golden_array bandwidth = golden_read("l_analysis/umap_sigma.npy"), weight = golden_read("l_analysis/umap_graph_values.npy");
    double *w = wide(g->weight, g->start[g->N]);
    int64_t infinite = 0;

    assert_int_equal(weight.count, g->start[g->N]);
    for (int64_t i = 0; i < g->N; i++) {
        infinite += !isfinite(bandwidth.v[i]);
        if (isfinite(bandwidth.v[i]))
            assert_true(fabs(sigma[i] - bandwidth.v[i]) <= 1e-4 * bandwidth.v[i]);
        for (int64_t e = g->start[i]; e < g->start[i + 1]; e++)
            forgive(w, weight.v, e, !isfinite(bandwidth.v[i]) || !isfinite(bandwidth.v[g->row[e]]));
    }
    assert_true(10 * infinite < g->N);
    golden_expect("l_analysis/umap_graph_values.npy", w, weight.count);
    free(w);
    golden_free(&bandwidth);
    golden_free(&weight);
}

static void graph_is_the_references(void **state)
{
    golden_array x = golden_read("l_analysis/umap_x.npy"), start = golden_read("l_analysis/umap_graph_indptr.npy");
    deco_neighbours n = find(&x);
    float *rho = malloc((size_t)n.N * sizeof *rho), *sigma = malloc((size_t)n.N * sizeof *sigma);
    deco_umap_graph g;
    double ab[2] = {DECO_UMAP_A, DECO_UMAP_B};

    ok(deco_umap_graph_make(&g, rho, sigma, &n, pool));
    golden_expect_f("l_analysis/umap_rho.npy", rho, n.N);
    double *mine = malloc((size_t)(g.start[g.N] + 1) * sizeof *mine);
    assert_int_equal(start.count, g.N + 1);
    for (int64_t i = 0; i <= g.N; i++)
        assert_int_equal(g.start[i], (int64_t)start.v[i]);
    for (int64_t e = 0; e < g.start[g.N]; e++)
        mine[e] = g.row[e];
    golden_expect("l_analysis/umap_graph_indices.npy", mine, g.start[g.N]);
    expect_weights(&g, sigma);
    golden_expect("l_analysis/umap_ab.npy", ab, 2);
    free(mine);
    free(rho);
    free(sigma);
    deco_umap_graph_free(&g);
    deco_neighbours_free(&n);
    golden_free(&x);
    golden_free(&start);
}

/* In each dimension of the file, on two seeds: at least the reference's worst less 0.01. */
static void layouts_are_as_trustworthy_as_the_references(void **state)
{
    golden_array x = golden_read("l_analysis/umap_x.npy"), theirs = golden_read("l_analysis/umap_trust.npy");
    int64_t N = x.shape[0], Z = x.shape[1];
    float *scores = malloc((size_t)(N * Z) * sizeof *scores), *y = malloc((size_t)(N * 64) * sizeof *y);
    deco_neighbours n = find(&x);
    deco_pca p;

    ok(deco_pca_fit(&p, scores, x.f, N, Z, pool));
    for (int64_t r = 0; r < theirs.shape[0]; r++) {
        int64_t dim = (int64_t)theirs.v[3 * r];
        double least = 1;
        for (int64_t q = 0; q < theirs.shape[0]; q++)
            if ((int64_t)theirs.v[3 * q] == dim)
                least = fmin(least, theirs.v[3 * q + 2]);
        if (r && (int64_t)theirs.v[3 * r - 3] == dim)
            continue;
        for (uint64_t seed = 1; seed <= 2; seed++) {
            deco_umap_plan plan = {dim, 0, seed};
            ok(deco_umap_fit(y, &plan, &n, scores, Z, pool, NULL));
            double mine = trustworthiness(x.f, Z, y, dim, N, 15);
            if (getenv("CRYODECO_GOLDEN_VERBOSE"))
                print_message("dimension %d: trustworthiness %.4f (the reference's worst %.4f)\n", (int)dim, mine, least);
            assert_true(mine >= least - 0.01);
        }
    }
    deco_pca_free(&p);
    deco_neighbours_free(&n);
    free(scores);
    free(y);
    golden_free(&x);
    golden_free(&theirs);
}

static int32_t *labels_of(const golden_array *a)
{
    int32_t *label = malloc((size_t)a->count * sizeof *label);
    for (int64_t i = 0; i < a->count; i++)
        label[i] = (int32_t)a->v[i];
    return label;
}

/* Adjusted Rand index of a whole clustering of cluster_tight_x to `against`. */
static double rand_of(const char *type, const char *against, uint64_t seed)
{
    golden_array x = golden_read("l_analysis/cluster_tight_x.npy"), truth = golden_read("l_analysis/cluster_true.npy"),
                 other = golden_read(against);
    int32_t *label = labels_of(&other);
    deco_options *o;
    deco_clustering c;
    double most = 0;
    char k[24];

    for (int64_t i = 0; i < truth.count; i++)
        most = fmax(most, truth.v[i]);
    snprintf(k, sizeof k, "%d", (int)most + 1);
    ok(deco_options_create(&o));
    ok(deco_options_set(o, "clustering_type", type));
    ok(deco_options_set(o, "k_num", k));
    ok(deco_clustering_find(&c, x.f, NULL, x.shape[0], x.shape[1], o, seed, pool, NULL));
    double r = adjusted_rand(c.found.label, label, x.shape[0]);
    deco_clustering_free(&c);
    deco_options_free(o);
    free(label);
    golden_free(&x);
    golden_free(&truth);
    golden_free(&other);
    return r;
}

static void expect_rand(const char *type, const char *quality, double less)
{
    golden_array q = golden_read(quality);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        double mine = rand_of(type, "l_analysis/cluster_true.npy", seed);
        if (getenv("CRYODECO_GOLDEN_VERBOSE"))
            print_message("%s: Rand %.4f (golden %.4f)\n", type, mine, q.v[0]);
        if (!(mine >= q.v[0] - less))
            fail_msg("%s: adjusted Rand index to the truth %.4f, the golden one %.4f", type, mine, q.v[0]);
    }
    golden_free(&q);
}

static void single_linkage_is_the_references_partition(void **state)
{
    assert_true(rand_of("hierarchical", "l_analysis/single_linkage_labels.npy", 1) == 1);
}

static void clusterings_are_as_good_as_the_references(void **state)
{
    expect_rand("birch", "l_analysis/birch_quality.npy", 0.05);
    expect_rand("gmm", "l_analysis/whole_gmm_rand.npy", 0.02);
    expect_rand("k-means++", "l_analysis/whole_k-meanspp_rand.npy", 0.02);
    expect_rand("ak-means++", "l_analysis/whole_ak-meanspp_rand.npy", 0.02);
    expect_rand("hierarchical", "l_analysis/whole_hierarchical_rand.npy", 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_the_references),
        cmocka_unit_test(graph_is_the_references),
        cmocka_unit_test(layouts_are_as_trustworthy_as_the_references),
        cmocka_unit_test(single_linkage_is_the_references_partition),
        cmocka_unit_test(clusterings_are_as_good_as_the_references),
    };
    if (deco_pool_create(&pool, 2, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
