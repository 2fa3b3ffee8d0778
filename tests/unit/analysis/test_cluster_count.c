/* k_num auto: how many clusters gaps part, and where none do. */
#include "analysis/cluster_count.h"
#include "base/file.h"
#include "support/scratch.h"
#include "unit/analysis/partitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { Z = 6 };

static deco_pool *pool;

static void ok(deco_status st)
{
    if (st)
        fail_msg("%s", deco_error());
}

static deco_cluster_count count(const float *x, int64_t N, const char *type, uint64_t seed, deco_pool *with)
{
    deco_options *o;
    deco_cluster_count c;

    ok(deco_options_create(&o));
    ok(deco_options_set(o, "clustering_type", type));
    ok(deco_options_set(o, "k_num", "auto"));
    ok(deco_cluster_count_find(&c, x, N, Z, o, seed, with, NULL));
    deco_options_free(o);
    return c;
}

static void as_many_as_there_are_clouds(void **state)
{
    for (int64_t K = 2; K <= 5; K += 3) {
        float *x = clouds(400, Z, K, 8, NULL);
        deco_cluster_count c = count(x, 400, "gmm", 1, pool);
        assert_true(c.parted && c.K == K);
        assert_true(c.parting_gap > c.gap_by_chance);
        free(x);
    }
}

static void other_methods_count_too(void **state)
{
    float *x = clouds(300, Z, 3, 12, NULL);

    assert_int_equal(count(x, 300, "k-means++", 1, pool).K, 3);
    free(x);
}

/* A tenth of the particles in a state of their own, beside two unequal ones. */
static void a_rare_state_counts(void **state)
{
    float *x = clouds(500, Z, 1, 0, NULL);

    for (int64_t i = 0; i < 500; i++)
        x[i * Z + 1] += i % 10 == 0 ? 9 : i % 10 < 4 ? -9 : 0;
    deco_cluster_count c = count(x, 500, "gmm", 1, pool);
    assert_true(c.parted && c.K == 3);
    free(x);
}

static void one_cloud_and_a_long_way_are_cut(void **state)
{
    deco_random random = deco_random_at(3, DECO_STREAM_SAMPLE, 9);

    for (int way = 0; way < 2; way++) {
        int64_t N = way ? 1500 : 300; /* so many show the gap between the arc's halves */
        float *x = clouds(N, Z, 1, 0, NULL);
        for (int64_t i = 0; i < N && way; i++) { /* an arc, with particles all along it */
            double t = M_PI * deco_random_uniform(&random);
            x[i * Z] += (float)(12 * cos(t));
            x[i * Z + 1] += (float)(12 * sin(t));
        }
        deco_cluster_count c = count(x, N, "k-means++", 1, pool);
        assert_true(!c.parted && c.K == DECO_CUTS);
        free(x);
    }
}

static void a_handful_of_particles_is_counted_without_harm(void **state)
{
    float *x = clouds(3, Z, 1, 0, NULL);

    for (int64_t N = 1; N <= 3; N++) {
        deco_cluster_count c = count(x, N, "gmm", 1, pool);
        assert_true(c.K >= 1 && c.K <= N);
    }
    free(x);
}

static void the_same_on_any_number_of_threads(void **state)
{
    deco_pool *one;
    float *x = clouds(200, Z, 2, 8, NULL);

    ok(deco_pool_create(&one, 1, NULL));
    deco_cluster_count a = count(x, 200, "gmm", 5, pool), b = count(x, 200, "gmm", 5, one);
    assert_memory_equal(&a.K, &b.K, sizeof a.K);
    assert_true(a.parting_gap == b.parting_gap && a.gap_by_chance == b.gap_by_chance);
    deco_pool_free(one);
    free(x);
}

static void what_the_file_says_is_checked(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "{\"k_num\": \"2\"}", "{\"k_num\": 0}", "{\"k_num\": 1e300}", "{\"k_num\": -3}"};
    deco_options *o;
    deco_cluster_count c = {.K = 4, .parted = true};
    char *directory = NULL, *path = deco_path_join(scratch("."), "k_num.json");
    int64_t K = 0;

    ok(deco_options_create(&o));
    ok(deco_options_set(o, "k_num", "auto"));
    ok(deco_cluster_count_write(&c, scratch(".")));
    ok(deco_clustering_directory(&directory, &K, scratch("."), o));
    assert_int_equal(K, 4);
    free(directory);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(deco_file_put(path, bad[i], strlen(bad[i])));
        assert_int_equal(deco_clustering_directory(&directory, &K, scratch("."), o), DECO_E_FORMAT);
        assert_null(directory);
        assert_non_null(strstr(deco_error(), "k_num.json: does not say how many"));
    }
    ok(deco_options_set(o, "k_num", "7")); /* a number needs no file */
    ok(deco_clustering_directory(&directory, &K, "there", o));
    assert_string_equal(directory, "there/clustering7");
    free(directory);
    free(path);
    deco_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are_clouds),
        cmocka_unit_test(other_methods_count_too),
        cmocka_unit_test(a_rare_state_counts),
        cmocka_unit_test(one_cloud_and_a_long_way_are_cut),
        cmocka_unit_test(a_handful_of_particles_is_counted_without_harm),
        cmocka_unit_test(the_same_on_any_number_of_threads),
        cmocka_unit_test(what_the_file_says_is_checked),
    };
    ok(deco_pool_create(&pool, 0, NULL));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
