/* PCA, clusters and their order against the golden numbers of topic l_analysis (METHOD.md section 7). */
#include "analysis/analysis.h"
#include "analysis/gmm.h"
#include "formats/safetensors.h"
#include "support/golden.h"
#include "unit/analysis/partitions.h"
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

static int32_t *labels_of(const golden_array *a)
{
    int32_t *label = malloc((size_t)a->count * sizeof *label);
    for (int64_t i = 0; i < a->count; i++)
        label[i] = (int32_t)a->v[i];
    return label;
}

static void pca_gives_the_reference_components(void **state)
{
    golden_array x = golden_read("l_analysis/pca_x.npy");
    int64_t N = x.shape[0], Z = x.shape[1];
    float *scores = malloc((size_t)(N * Z) * sizeof *scores);
    deco_pca p;

    ok(deco_pca_fit(&p, scores, x.f, N, Z, pool));
    golden_expect("l_analysis/pca_mean.npy", p.mean, Z);
    golden_expect("l_analysis/pca_components.npy", p.components, Z * Z);
    golden_expect("l_analysis/pca_variance.npy", p.variance, Z);
    golden_expect("l_analysis/pca_ratio.npy", p.ratio, Z);
    golden_expect_f("l_analysis/pca_scores.npy", scores, N * Z);
    for (int64_t c = 0; c < 2; c++) {
        const char *name = c ? "l_analysis/pca_traverse2.npy" : "l_analysis/pca_traverse1.npy";
        golden_array walk = golden_read(name);
        double *place = malloc((size_t)walk.count * sizeof *place);
        ok(deco_pca_traverse(place, &p, scores, N, c, walk.shape[0]));
        golden_expect(name, place, walk.count);
        free(place);
        golden_free(&walk);
    }
    deco_pca_free(&p);
    free(scores);
    golden_free(&x);
}

static double *tensor(const deco_tensors *t, const char *name)
{
    const deco_tensor *found = deco_safetensors_find(t, name);
    assert_non_null(found);
    assert_string_equal(found->dtype, "F64");
    double *v = malloc((size_t)found->count * sizeof *v);
    memcpy(v, found->data, (size_t)found->count * sizeof *v);
    return v;
}

/* A mixture of the set: weights, means, covariances. */
static deco_gmm read_mixture(const char *name)
{
    deco_tensors *t;
    ok(deco_safetensors_read(&t, golden_path(name)));
    deco_gmm g = {.K = deco_safetensors_find(t, "means")->shape[0],
                  .Z = deco_safetensors_find(t, "means")->shape[1],
                  .weight = tensor(t, "weights"),
                  .mean = tensor(t, "means"),
                  .covariance = tensor(t, "covariances")};
    deco_safetensors_free(t);
    return g;
}

static double largest(const double *a, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(a[i]));
    return most;
}

/* 1e-8 relative is the manifest's; entries that are zero but for rounding are held to 1e-10 of the largest. */
static void expect_near(const char *what, const double *mine, const double *theirs, int64_t n, double relative)
{
    double most = largest(theirs, n);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(mine[i] - theirs[i]) <= relative * fmax(fabs(theirs[i]), 0.01 * most)))
            fail_msg("%s: element %lld is %.17g, the golden one %.17g", what, (long long)i, mine[i], theirs[i]);
}

static void one_step_of_em_gives_the_reference_mixture(void **state)
{
    golden_array x = golden_read("l_analysis/cluster_x.npy"), means = golden_read("l_analysis/em_start_means.npy");
    int64_t K = means.shape[0], Z = means.shape[1];
    deco_gmm start = {.K = K, .Z = Z, .mean = means.v, .weight = calloc((size_t)K, 8), .covariance = calloc((size_t)(K * Z * Z), 8)}, mine;
    deco_gmm theirs = read_mixture("l_analysis/em_one.safetensors");

    for (int64_t k = 0; k < K; k++) {
        start.weight[k] = 1.0 / (double)K;
        for (int64_t i = 0; i < Z; i++)
            start.covariance[(k * Z + i) * Z + i] = 1;
    }
    ok(deco_gmm_step(&mine, &start, x.f, x.shape[0], pool));
    expect_near("weights", mine.weight, theirs.weight, K, 1e-8);
    expect_near("means", mine.mean, theirs.mean, K * Z, 1e-8);
    expect_near("covariances", mine.covariance, theirs.covariance, K * Z * Z, 1e-8);
    deco_gmm_free(&mine);
    deco_gmm_free(&theirs);
    free(start.weight);
    free(start.covariance);
    golden_free(&x);
    golden_free(&means);
}

static void responsibilities_and_likelihood_are_the_references(void **state)
{
    golden_array x = golden_read("l_analysis/cluster_x.npy"), quality = golden_read("l_analysis/gmm_quality.npy");
    deco_gmm g = read_mixture("l_analysis/gmm.safetensors");
    int64_t N = x.shape[0];
    double *r = malloc((size_t)(N * g.K) * sizeof *r), likelihood;

    ok(deco_gmm_responsibilities(r, &likelihood, &g, x.f, N, pool));
    golden_expect("l_analysis/gmm_responsibility.npy", r, N * g.K);
    assert_true(fabs(likelihood - quality.v[1]) < 1e-6); /* sums of 600 logarithms in double, parameters to double */
    free(r);
    deco_gmm_free(&g);
    golden_free(&x);
    golden_free(&quality);
}

/* Number of our component nearest to each of theirs. */
static int64_t match(const deco_gmm *mine, const double *mean)
{
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t k = 0; k < mine->K; k++) {
        double d = 0;
        for (int64_t j = 0; j < mine->Z; j++)
            d += (mine->mean[k * mine->Z + j] - mean[j]) * (mine->mean[k * mine->Z + j] - mean[j]);
        if (d < least) {
            least = d;
            best = k;
        }
    }
    return best;
}

static double largest_difference(const double *a, const double *b, int64_t n)
{
    double d = 0;
    for (int64_t i = 0; i < n; i++)
        d = fmax(d, fabs(a[i] - b[i]));
    return d;
}

static void fitted_mixture_is_as_good_as_the_references(void **state)
{
    golden_array x = golden_read("l_analysis/cluster_x.npy"), quality = golden_read("l_analysis/gmm_quality.npy");
    golden_array truth = golden_read("l_analysis/cluster_true.npy"), theirs = golden_read("l_analysis/gmm_labels.npy");
    int64_t N = x.shape[0], Z = x.shape[1];
    int32_t *true_label = labels_of(&truth), *their_label = labels_of(&theirs);
    deco_gmm golden = read_mixture("l_analysis/gmm.safetensors"), mine;
    int64_t K = golden.K;
    deco_clusters c;

    for (uint64_t seed = 1; seed <= 3; seed++) {
        ok(deco_gmm_fit(&mine, x.f, N, Z, K, 20, 100, seed, pool));
        ok(deco_gmm_label(&c, &mine, x.f, N, pool));
        if (getenv("CRYODECO_GOLDEN_VERBOSE"))
            print_message("seed %d: log-likelihood %.9g (golden %.9g), Rand to truth %.4f, to golden %.4f\n", (int)seed,
                          mine.log_likelihood, quality.v[1], adjusted_rand(c.label, true_label, N), adjusted_rand(c.label, their_label, N));
        assert_true(mine.log_likelihood >= quality.v[1] - 1e-3);
        assert_true(adjusted_rand(c.label, true_label, N) >= quality.v[0] - 0.02);
        assert_true(adjusted_rand(c.label, their_label, N) >= 0.98);
        for (int64_t k = 0; fabs(mine.log_likelihood - quality.v[1]) < 1e-5 && k < K; k++) { /* 1e-03·max */
            int64_t m = match(&mine, golden.mean + k * Z);
            assert_true(fabs(mine.weight[m] - golden.weight[k]) <= 1e-3 * largest(golden.weight, K));
            assert_true(largest_difference(mine.mean + m * Z, golden.mean + k * Z, Z) <= 1e-3 * largest(golden.mean, K * Z));
            assert_true(largest_difference(mine.covariance + m * Z * Z, golden.covariance + k * Z * Z, Z * Z) <=
                        1e-3 * largest(golden.covariance, K * Z * Z));
        }
        deco_clusters_free(&c);
        deco_gmm_free(&mine);
    }
    deco_gmm_free(&golden);
    free(true_label);
    free(their_label);
    golden_free(&x);
    golden_free(&quality);
    golden_free(&truth);
    golden_free(&theirs);
}

static float *unit_rows(const golden_array *x)
{
    int64_t Z = x->shape[1];
    float *u = malloc((size_t)x->count * sizeof *u);
    for (int64_t i = 0; i < x->shape[0]; i++) {
        double s = 0;
        for (int64_t j = 0; j < Z; j++)
            s += x->v[i * Z + j] * x->v[i * Z + j];
        for (int64_t j = 0; j < Z; j++)
            u[i * Z + j] = (float)(x->v[i * Z + j] / sqrt(s));
    }
    return u;
}

static int64_t classes(const golden_array *label)
{
    double most = 0;
    for (int64_t i = 0; i < label->count; i++)
        most = fmax(most, label->v[i]);
    return (int64_t)most + 1;
}

static void k_means_is_as_good_as_the_references(void **state)
{
    golden_array x = golden_read("l_analysis/cluster_x.npy"), quality = golden_read("l_analysis/kmeans_quality.npy");
    golden_array truth = golden_read("l_analysis/cluster_true.npy");
    float *unit = unit_rows(&x);
    int32_t *true_label = labels_of(&truth);
    deco_clusters c;
    double inertia;

    ok(deco_kmeans_fit(&c, NULL, &inertia, unit, x.shape[0], x.shape[1], classes(&truth), 20, 100, 1, pool));
    if (getenv("CRYODECO_GOLDEN_VERBOSE"))
        print_message("inertia %.9g (golden %.9g), Rand %.4f (golden %.4f)\n", inertia, quality.v[1],
                      adjusted_rand(c.label, true_label, c.N), quality.v[0]);
    assert_true(inertia <= 1.01 * quality.v[1]);
    assert_true(adjusted_rand(c.label, true_label, c.N) >= quality.v[0] - 0.02);
    deco_clusters_free(&c);
    free(unit);
    free(true_label);
    golden_free(&x);
    golden_free(&quality);
    golden_free(&truth);
}

static void both_find_the_tight_clouds(void **state)
{
    golden_array x = golden_read("l_analysis/cluster_tight_x.npy"), truth = golden_read("l_analysis/cluster_true.npy");
    golden_array gmm_rand = golden_read("l_analysis/whole_gmm_rand.npy"), kmeans_rand = golden_read("l_analysis/whole_k-meanspp_rand.npy");
    int64_t N = x.shape[0], Z = x.shape[1], K = classes(&truth);
    int32_t *true_label = labels_of(&truth);
    float *unit = unit_rows(&x);
    deco_gmm g;
    deco_clusters c;

    ok(deco_gmm_fit(&g, x.f, N, Z, K, 20, 100, 1, pool));
    ok(deco_gmm_label(&c, &g, x.f, N, pool));
    assert_true(adjusted_rand(c.label, true_label, N) >= gmm_rand.v[0] - 0.02);
    deco_clusters_free(&c);
    ok(deco_kmeans_fit(&c, NULL, NULL, unit, N, Z, K, 20, 100, 1, pool));
    assert_true(adjusted_rand(c.label, true_label, N) >= kmeans_rand.v[0] - 0.02);
    deco_clusters_free(&c);
    deco_gmm_free(&g);
    free(unit);
    free(true_label);
    golden_free(&x);
    golden_free(&truth);
    golden_free(&gmm_rand);
    golden_free(&kmeans_rand);
}

static void centres_are_the_references_particles(void **state)
{
    golden_array x = golden_read("l_analysis/cluster_x.npy"), labels = golden_read("l_analysis/gmm_labels.npy");
    int32_t *label = labels_of(&labels);
    int64_t K = classes(&labels), row[64];
    double mine[64];

    ok(deco_nearest_rows(row, x.f, x.shape[0], x.shape[1], label, K));
    for (int64_t k = 0; k < K; k++)
        mine[k] = (double)row[k];
    golden_expect("l_analysis/nearest_index.npy", mine, K);
    free(label);
    golden_free(&x);
    golden_free(&labels);
}

static void dendrograms_are_the_references(void **state)
{
    const char **names;
    int n = golden_list(&names, "l_analysis/dendro", "_centres.npy");

    assert_true(n >= 3);
    for (int i = 0; i < n; i++) {
        golden_array centres = golden_read(names[i]);
        int64_t K = centres.shape[0];
        int length = (int)(strlen(names[i]) - strlen("_centres.npy"));
        int32_t *order = malloc((size_t)K * sizeof *order);
        double *linkage = malloc((size_t)(4 * K) * sizeof *linkage), *mine = malloc((size_t)K * sizeof *mine);
        char name[256];
        ok(deco_dendrogram_order(order, linkage, centres.v, K, centres.shape[1]));
        for (int64_t k = 0; k < K; k++)
            mine[k] = order[k];
        snprintf(name, sizeof name, "%.*s_linkage.npy", length, names[i]);
        golden_expect(name, linkage, 4 * (K - 1));
        snprintf(name, sizeof name, "%.*s_order.npy", length, names[i]);
        golden_expect(name, mine, K);
        free(order);
        free(linkage);
        free(mine);
        golden_free(&centres);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pca_gives_the_reference_components),
        cmocka_unit_test(one_step_of_em_gives_the_reference_mixture),
        cmocka_unit_test(responsibilities_and_likelihood_are_the_references),
        cmocka_unit_test(fitted_mixture_is_as_good_as_the_references),
        cmocka_unit_test(k_means_is_as_good_as_the_references),
        cmocka_unit_test(both_find_the_tight_clouds),
        cmocka_unit_test(centres_are_the_references_particles),
        cmocka_unit_test(dendrograms_are_the_references),
    };
    if (deco_pool_create(&pool, 2, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
