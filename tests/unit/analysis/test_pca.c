/* Principal components: their meaning, their edge cases, and the same bits on any number of threads. */
#include "analysis/analysis.h"
#include "analysis/block.h"
#include "analysis/percentile.h"
#include "base/processor.h"
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

/* Mixtures and k-means are made of these: a set of latents has one clustering, on whatever processor. */
static void kernels_give_the_same_bits_on_every_kind_of_processor(void **state)
{
#ifdef __x86_64__
    static const int64_t sizes[] = {1, 3, 4, 8, 13, 16};
    const deco_block_kernels *other[] = {deco_processor_kind() >= DECO_AVX2 ? &block_kernels_avx2 : NULL,
                                         deco_processor_kind() >= DECO_AVX512 ? &block_kernels_avx512 : NULL};
    enum { Z_MOST = 16, ALL = Z_MOST * DECO_BLOCK };
    static double A[Z_MOST * Z_MOST], x[ALL], y[2][ALL];

    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        int64_t Z = sizes[k / 2];
        if (!other[k % 2])
            continue;
        for (int64_t i = 0; i < Z * DECO_BLOCK; i++)
            x[i] = sin(0.7 * (double)(i * i % 1009));
        for (int64_t i = 0; i < Z * Z; i++)
            A[i] = i % Z > i / Z ? 0 : cos((double)i);
        memset(y, 0, sizeof y);
        for (int turn = 0; turn < 4; turn++) {
            for (int c = 0; c < 2; c++) {
                const deco_block_kernels *kernels = c ? other[k % 2] : &block_kernels_plain;
                if (turn == 0)
                    kernels->product(y[c], A, Z, Z, x);
                else if (turn == 1)
                    kernels->length(y[c], A, A, Z, x);
                else if (turn == 2)
                    kernels->gram(y[c], x, x, Z, 72);
                else
                    kernels->distance(y[c], x, A, Z);
            }
            assert_memory_equal(y[0], y[1], sizeof y[0]);
            assert_true(turn == 2 || y[0][1] != 0);
        }
    }
#endif
}

/* Against sums written out row by row, at sizes around the tiles of the kernels. Float32 products of centred latents, each off by 2^-24 of itself, and
 * sums of a block of 128 of them by a few times that: 1e-6 of the largest. */
static void sizes_that_fill_no_tile_are_right(void **state)
{
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 31, 32, 33, 50, 64};

    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        int64_t Z = sizes[at], N = 127 + 2 * Z;
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
                assert_true(fabs(covariance - rebuilt) < 1e-6 * p.variance[0]);
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
        cmocka_unit_test(a_line_of_points_has_one_component),
        cmocka_unit_test(equal_latents_have_no_variance_and_no_nan),
        cmocka_unit_test(percentiles_are_interpolated_between_values),
        cmocka_unit_test(a_walk_goes_from_the_5th_to_the_95th_percentile),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(sizes_that_fill_no_tile_are_right),
        cmocka_unit_test(kernels_give_the_same_bits_on_every_kind_of_processor),
    };
    if (deco_pool_create(&pool, 2, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    deco_pool_free(pool);
    return failed;
}
