/* Principal components: their meaning, their edge cases, and the same bits on any number of threads. */
#include "analysis/analysis.h"
#include "analysis/percentile.h"
#include "unit/analysis/partitions.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

static deco_pool *pool;

static void a_line_of_points_has_one_component(void **state)
{
    float x[5 * 3], scores[5 * 3];
    deco_pca p;

    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 3; j++)
            x[3 * i + j] = (float)(10 + i * (j == 1 ? -2 : 1)); /* along (1, -2, 1), steps of sqrt 6 */
    assert_int_equal(deco_pca_fit(&p, scores, x, 5, 3, pool), DECO_OK);
    assert_true(fabs(p.ratio[0] - 1) < 1e-12);
    assert_true(fabs(p.variance[0] - 6 * 2.5) < 1e-12); /* of 0 … 4: 10 / (5 - 1) */
    assert_true(fabs(p.components[1] - 2 / sqrt(6)) < 1e-12 &&
                fabs(p.components[0] + 1 / sqrt(6)) < 1e-12); /* the largest entry is positive */
    assert_true(fabs(p.mean[1] - 6) < 1e-12);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(scores[3 * i] - (2 - i) * sqrt(6)) < 1e-6 && fabs(scores[3 * i + 1]) < 1e-6);
    deco_pca_free(&p);
}

static void equal_latents_have_no_variance_and_no_nan(void **state)
{
    float x[7 * 2], scores[7 * 2];
    double place[4 * 2];
    deco_pca p;

    for (int64_t n = 1; n <= 7; n += 6) {
        for (int i = 0; i < 14; i++)
            x[i] = i % 2 ? 0.3f : -1.7f;
        assert_int_equal(deco_pca_fit(&p, scores, x, n, 2, pool), DECO_OK);
        assert_true(p.variance[0] == 0 && p.ratio[0] == 0 && p.ratio[1] == 0);
        assert_int_equal(deco_pca_traverse(place, &p, scores, n, 0, 4), DECO_OK);
        for (int i = 0; i < 8; i++)
            assert_true(fabs(place[i] - x[i % 2]) < 1e-6);
        deco_pca_free(&p);
    }
}

static void percentiles_are_interpolated_between_values(void **state)
{
    const float x[] = {4, 9, 1, 9, 3, 9, 2, 9}; /* every second number: 4 1 3 2 */
    const double at[] = {0, 5, 50, 100};
    double v[4];

    assert_int_equal(deco_percentiles(v, at, 4, x, 4, 2), DECO_OK);
    assert_true(v[0] == 1 && fabs(v[1] - 1.15) < 1e-12 && v[2] == 2.5 && v[3] == 4);
}

static void a_walk_goes_from_the_5th_to_the_95th_percentile(void **state)
{
    float x[101 * 2], scores[101 * 2];
    double place[10 * 2];
    deco_pca p;

    for (int i = 0; i < 101; i++) {
        x[2 * i] = 7;
        x[2 * i + 1] = (float)i;
    }
    assert_int_equal(deco_pca_fit(&p, scores, x, 101, 2, pool), DECO_OK);
    assert_int_equal(deco_pca_traverse(place, &p, scores, 101, 0, 10), DECO_OK);
    for (int i = 0; i < 10; i++)
        assert_true(fabs(place[2 * i] - 7) < 1e-9 && fabs(place[2 * i + 1] - (5 + 10 * i)) < 1e-5);
    deco_pca_free(&p);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    int64_t N = 9001, Z = 17; /* multiples of no block */
    float *x = clouds(N, Z, 5, 4, NULL), *scores[3];
    deco_pca p[3];

    for (int t = 0; t < 3; t++) {
        deco_pool *own;
        scores[t] = malloc((size_t)(N * Z) * sizeof(float));
        assert_int_equal(deco_pool_create(&own, t + 1, NULL), DECO_OK);
        assert_int_equal(deco_pca_fit(&p[t], scores[t], x, N, Z, own), DECO_OK);
        assert_memory_equal(scores[t], scores[0], (size_t)(N * Z) * sizeof(float));
        assert_memory_equal(p[t].components, p[0].components, (size_t)(Z * Z) * sizeof(double));
        deco_pool_free(own);
    }
    for (int t = 0; t < 3; t++) {
        deco_pca_free(&p[t]);
        free(scores[t]);
    }
    free(x);
}

/* Against sums written out row by row, at sizes around the tiles of the kernels. Doubles: 1e-12 of the largest. */
static void sizes_that_fill_no_tile_are_right(void **state)
{
    for (int64_t Z = 1; Z <= 11; Z++) {
        int64_t N = 127 + 2 * Z;
        float *x = clouds(N, Z, 1, 3, NULL), *scores = malloc((size_t)(N * Z) * sizeof *scores);
        deco_pca p;
        assert_int_equal(deco_pca_fit(&p, scores, x, N, Z, pool), DECO_OK);
        for (int64_t a = 0; a < Z; a++)
            for (int64_t b = 0; b < Z; b++) {
                double covariance = 0, rebuilt = 0;
                for (int64_t i = 0; i < N; i++)
                    covariance += (x[i * Z + a] - p.mean[a]) * (x[i * Z + b] - p.mean[b]) / (double)(N - 1);
                for (int64_t c = 0; c < Z; c++)
                    rebuilt += p.variance[c] * p.components[c * Z + a] * p.components[c * Z + b];
                assert_true(fabs(covariance - rebuilt) < 1e-12 * p.variance[0]);
            }
        for (int64_t i = 0; i < N * Z; i++) {
            double s = 0;
            for (int64_t j = 0; j < Z; j++)
                s += p.components[i % Z * Z + j] * (x[i / Z * Z + j] - p.mean[j]);
            assert_true(fabs(s - scores[i]) < 2e-6 * (1 + fabs(s)));
        }
        deco_pca_free(&p);
        free(x);
        free(scores);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_points_has_one_component),          cmocka_unit_test(equal_latents_have_no_variance_and_no_nan),
        cmocka_unit_test(percentiles_are_interpolated_between_values), cmocka_unit_test(a_walk_goes_from_the_5th_to_the_95th_percentile),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),   cmocka_unit_test(sizes_that_fill_no_tile_are_right),
    };
    if (deco_pool_create(&pool, 2, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
