/* k-means, mixtures and the numbering of clusters: found, refused, degenerate, and the same on any number of threads. */
#include "analysis/clustering.h"
#include "analysis/gmm.h"
#include "analysis/umap.h"
#include "unit/analysis/partitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

static deco_pool *pool;

static void ok(deco_status st)
{
    if (st)
        fail_msg("%s", deco_error());
}

static deco_options *options(const char *type, const char *k)
{
    deco_options *o;
    ok(deco_options_create(&o));
    ok(deco_options_set(o, "clustering_type", type));
    ok(deco_options_set(o, "k_num", k));
    return o;
}

/* Finds clusters the way an analysis does, wide latents by their UMAP. */
static deco_clustering find(const float *x, int64_t N, int64_t Z, const char *type, const char *k, uint64_t seed, deco_pool *with)
{
    deco_options *o = options(type, k);
    float *scores = malloc((size_t)(N * Z) * sizeof *scores), *narrow = NULL;
    deco_clustering c;
    deco_pca p;

    if (Z > o->umap_dim) {
        deco_umap_plan plan = {o->umap_dim, 0, seed};
        deco_neighbours n;
        narrow = malloc((size_t)(N * o->umap_dim) * sizeof *narrow);
        ok(deco_pca_fit(&p, scores, x, N, Z, with));
        ok(deco_neighbours_find(&n, x, N, Z, DECO_UMAP_NEIGHBOURS, seed, with, NULL));
        ok(deco_umap_fit(narrow, &plan, &n, scores, Z, with, NULL));
        deco_neighbours_free(&n);
        deco_pca_free(&p);
    }
    ok(deco_clustering_find(&c, x, narrow, N, Z, o, seed, with, NULL));
    deco_options_free(o);
    free(scores);
    free(narrow);
    return c;
}

static void check_whole(const deco_clustering *c, int64_t N)
{
    int64_t total = 0, K = c->found.K;

    for (int64_t k = 0; k < K; k++) {
        total += c->size[k];
        assert_true(c->size[k] > 0 && c->row[k] >= 0 && c->row[k] < N);
        assert_int_equal(c->found.label[c->row[k]], k);
    }
    assert_int_equal(total, N);
    for (int64_t i = 0; i < N; i++) {
        double sum = 0;
        assert_in_range(c->found.label[i], 0, K - 1);
        for (int64_t k = 0; k < K; k++) {
            float p = c->found.probability[i * K + k];
            assert_true(p >= 0 && p <= 1);
            assert_true(p <= c->found.probability[i * K + c->found.label[i]]);
            sum += p;
        }
        assert_true(fabs(sum - 1) < 1e-5); /* K numbers rounded to f32 */
    }
}

static void clouds_are_found_whatever_the_seed(void **state)
{
    int64_t N = 1500;
    int32_t truth[1500];
    float *x = clouds(N, 4, 4, 12, truth);

    for (uint64_t seed = 1; seed <= 3; seed++)
        for (int type = 0; type < 2; type++) {
            deco_clustering c = find(x, N, 4, type ? "k-means++" : "gmm", "4", seed, pool);
            check_whole(&c, N);
            assert_true(adjusted_rand(c.found.label, truth, N) > 0.999);
            deco_clustering_free(&c);
        }
    free(x);
}

static void a_cigar_beside_a_ball_needs_full_covariances(void **state)
{
    enum { N = 2000 };
    static float x[N * 2];
    static int32_t truth[N];
    deco_random random = deco_random_at(5, DECO_STREAM_SAMPLE, 1);
    deco_gmm g;
    deco_clusters c;

    for (int i = 0; i < N; i++) {
        truth[i] = i % 2;
        x[2 * i] = (float)(deco_random_normal(&random) * (i % 2 ? 10 : 0.3));
        x[2 * i + 1] = (float)(deco_random_normal(&random) * 0.3 + (i % 2 ? 0 : 2.5));
    }
    ok(deco_gmm_fit(&g, x, N, 2, 2, 20, 100, 1, pool));
    ok(deco_gmm_label(&c, &g, x, N, pool));
    assert_true(adjusted_rand(c.label, truth, N) > 0.99);
    deco_gmm_free(&g);
    deco_clusters_free(&c);
}

/* Ten clouds of 16 dimensions, the largest sixty times the smallest: k-means++ seeds alone find them in one start of forty. */
static void rare_states_are_found_beside_common_ones(void **state)
{
    enum { N = 6000, Z = 16, K = 10 };
    static float x[N * Z];
    static int32_t truth[N];
    deco_random random = deco_random_at(7, DECO_STREAM_SAMPLE, 2);
    double centre[K][Z];

    for (int k = 0; k < K * Z; k++)
        centre[k / Z][k % Z] = 2 * deco_random_normal(&random);
    for (int i = 0; i < N; i++) {
        truth[i] = (int32_t)(K * deco_random_uniform(&random) * deco_random_uniform(&random));
        for (int j = 0; j < Z; j++)
            x[i * Z + j] = (float)(centre[truth[i]][j] + deco_random_normal(&random) * (j % 3 ? 0.4 : 1));
    }
    for (uint64_t seed = 1; seed <= 3; seed++) {
        deco_gmm g;
        deco_clusters c;
        ok(deco_gmm_fit(&g, x, N, Z, K, 2, 100, seed, pool));
        ok(deco_gmm_label(&c, &g, x, N, pool));
        assert_true(adjusted_rand(c.label, truth, N) > 0.999);
        deco_clusters_free(&c);
        deco_gmm_free(&g);
    }
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    int64_t N = 21003; /* more than the restarts look at */
    float *x = clouds(N, 5, 3, 5, NULL);

    for (int type = 0; type < 2; type++) {
        deco_clustering c[3];
        for (int t = 0; t < 3; t++) {
            deco_pool *own;
            ok(deco_pool_create(&own, t + 1, NULL));
            c[t] = find(x, N, 5, type ? "k-means++" : "gmm", "3", 9, own);
            assert_int_equal(c[t].found.K, 3);
            assert_memory_equal(c[t].found.label, c[0].found.label, (size_t)N * sizeof(int32_t));
            assert_memory_equal(c[t].found.probability, c[0].found.probability, (size_t)N * 3 * sizeof(float));
            deco_pool_free(own);
        }
        for (int t = 0; t < 3; t++)
            deco_clustering_free(&c[t]);
    }
    free(x);
}

static void equal_latents_make_one_cluster(void **state)
{
    float x[50 * 3];

    for (int i = 0; i < 150; i++)
        x[i] = 0.25f;
    for (int type = 0; type < 2; type++) {
        deco_clustering c = find(x, 50, 3, type ? "k-means++" : "gmm", "4", 1, pool);
        assert_int_equal(c.found.K, 1);
        check_whole(&c, 50);
        deco_clustering_free(&c);
    }
}

static void few_distinct_latents_make_no_empty_cluster(void **state)
{
    float x[60 * 2];

    for (int i = 0; i < 60; i++) {
        x[2 * i] = (float)(i % 3);
        x[2 * i + 1] = (float)(i % 3 == 1);
    }
    for (int type = 0; type < 2; type++) {
        deco_clustering c = find(x, 60, 2, type ? "k-means++" : "gmm", "8", 1, pool);
        assert_in_range(c.found.K, 1, 8);
        check_whole(&c, 60);
        for (int i = 3; i < 60; i++)
            assert_int_equal(c.found.label[i], c.found.label[i % 3]);
        deco_clustering_free(&c);
    }
}

static void as_many_clusters_as_particles_is_the_most(void **state)
{
    float *x = clouds(6, 2, 2, 5, NULL);
    deco_clustering c = find(x, 6, 2, "k-means++", "1", 1, pool);
    deco_options *o = options("gmm", "7");

    check_whole(&c, 6);
    deco_clustering_free(&c);
    c = find(x, 6, 2, "gmm", "6", 1, pool);
    check_whole(&c, 6);
    deco_clustering_free(&c);
    c = find(x, 1, 2, "gmm", "1", 1, pool);
    check_whole(&c, 1);
    deco_clustering_free(&c);
    assert_int_equal(deco_clustering_find(&c, x, NULL, 6, 2, o, 1, pool, NULL), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "k_num is 7; with 6 particles"));
    deco_options_free(o);
    free(x);
}

static void wide_latents_are_clustered_by_their_umap(void **state)
{
    int64_t N = 900, Z = 24;
    int32_t truth[900];
    float *x = clouds(N, Z, 3, 12, truth);
    deco_clustering c = find(x, N, Z, "gmm", "3", 1, pool);

    assert_string_equal(c.note, "UMAP");
    check_whole(&c, N);
    assert_true(adjusted_rand(c.found.label, truth, N) > 0.99);
    deco_clustering_free(&c);
    free(x);
}

static const char *const all_types[] = {"gmm", "k-means++", "ak-means++", "birch", "hierarchical"};

/* Every way finds clouds far apart, with the same bits on one thread and on three, and copes with what is degenerate. */
static void every_clustering_finds_clouds_far_apart(void **state)
{
    int64_t N = 1500, Z = 6;
    int32_t truth[1500];
    float *x = clouds(N, Z, 5, 25, truth);

    for (size_t t = 0; t < sizeof all_types / sizeof *all_types; t++) {
        deco_pool *one, *three;
        ok(deco_pool_create(&one, 1, NULL));
        ok(deco_pool_create(&three, 3, NULL));
        deco_clustering a = find(x, N, Z, all_types[t], "5", 2, one), b = find(x, N, Z, all_types[t], "5", 2, three);
        check_whole(&a, N);
        if (!(adjusted_rand(a.found.label, truth, N) > 0.999))
            fail_msg("%s does not find the clouds", all_types[t]);
        assert_memory_equal(a.found.label, b.found.label, (size_t)N * sizeof(int32_t));
        assert_memory_equal(a.found.probability, b.found.probability, (size_t)(N * 5) * sizeof(float));
        deco_clustering_free(&a);
        deco_clustering_free(&b);
        deco_pool_free(one);
        deco_pool_free(three);
    }
    free(x);
}

static void every_clustering_copes_with_the_degenerate(void **state)
{
    float same[40] = {0}, two[40];
    float *few = clouds(10, 4, 2, 5, NULL);

    for (int i = 0; i < 40; i++)
        two[i] = (float)(i / 4 % 2 ? 1 + i % 4 : -1);
    for (size_t t = 0; t < sizeof all_types / sizeof *all_types; t++) {
        const char *k[] = {"1", "3", "10"};
        for (int i = 0; i < 3; i++) {
            deco_clustering c = find(same, 10, 4, all_types[t], k[i], 1, pool);
            check_whole(&c, 10);
            deco_clustering_free(&c);
            c = find(two, 10, 4, all_types[t], k[i], 1, pool);
            check_whole(&c, 10);
            deco_clustering_free(&c);
            c = find(few, 10, 4, all_types[t], k[i], 1, pool);
            check_whole(&c, 10);
            deco_clustering_free(&c);
        }
    }
    free(few);
}

/* Single linkage of more rows than it spans a tree over: the others go with the nearest. */
static void single_linkage_of_many_rows_takes_a_sample(void **state)
{
    int64_t N = 21000, Z = 2;
    int32_t *truth = malloc((size_t)N * sizeof *truth);
    float *x = clouds(N, Z, 2, 40, truth);
    deco_clustering c = find(x, N, Z, "hierarchical", "2", 1, pool);

    check_whole(&c, N);
    assert_true(adjusted_rand(c.found.label, truth, N) > 0.999);
    deco_clustering_free(&c);
    free(x);
    free(truth);
}

/* Centres at 0, 1, 5, 7 on a line: 0 and 1 merge, 5 and 7, then all. */
static void neighbours_get_neighbouring_numbers(void **state)
{
    const double centres[] = {5, 0, 7, 1};
    int32_t order[4];
    double linkage[12];

    ok(deco_dendrogram_order(order, linkage, centres, 4, 1));
    assert_memory_equal(order, ((const int32_t[]){1, 3, 0, 2}), sizeof order);
    assert_true(linkage[2] == 1 && linkage[6] == 2 && linkage[10] == 5.5);
    ok(deco_dendrogram_order(order, NULL, centres, 1, 1));
    assert_int_equal(order[0], 0);
}

static void centres_are_members_nearest_to_the_mean(void **state)
{
    const float x[] = {0, 1, 2, 10, 11, 15};
    const int32_t label[] = {0, 0, 0, 1, 1, 1};
    int64_t row[3];

    ok(deco_nearest_rows(row, x, 6, 1, label, 3));
    assert_int_equal(row[0], 1);
    assert_int_equal(row[1], 4);  /* the mean is 12 */
    assert_int_equal(row[2], -1); /* nobody */
    ok(deco_nearest_rows(row, x, 2, 1, (const int32_t[]){-1, 0}, 1));
    assert_int_equal(row[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clouds_are_found_whatever_the_seed),
        cmocka_unit_test(a_cigar_beside_a_ball_needs_full_covariances),
        cmocka_unit_test(rare_states_are_found_beside_common_ones),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(equal_latents_make_one_cluster),
        cmocka_unit_test(few_distinct_latents_make_no_empty_cluster),
        cmocka_unit_test(as_many_clusters_as_particles_is_the_most),
        cmocka_unit_test(wide_latents_are_clustered_by_their_umap),
        cmocka_unit_test(every_clustering_finds_clouds_far_apart),
        cmocka_unit_test(every_clustering_copes_with_the_degenerate),
        cmocka_unit_test(single_linkage_of_many_rows_takes_a_sample),
        cmocka_unit_test(neighbours_get_neighbouring_numbers),
        cmocka_unit_test(centres_are_members_nearest_to_the_mean),
    };
    if (deco_pool_create(&pool, 2, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
