/* Centroids of latents: one in each clump, the same from the same draw, and sound on the smallest sets. */
#include "training/centroids.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { N = 400, Z = 3, K = 4 };

static void clumps(float *z)
{
    deco_random r = deco_random_at(3, DECO_STREAM_SAMPLE, 0);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < Z; j++)
            z[Z * i + j] = (float)(10 * (i % 2 * 2 - 1) * (j == 0) + 0.1 * deco_random_normal(&r));
}

static void every_clump_has_a_centre_and_no_centre_is_elsewhere(void **state)
{
    float z[N * Z], centre[K * Z];
    deco_random draw = deco_random_at(1, DECO_STREAM_CENTROIDS, 0);
    int left = 0, right = 0;
    (void)state;
    clumps(z);
    assert_int_equal(deco_centroids(centre, z, N, Z, K, &draw), DECO_OK);
    for (int k = 0; k < K; k++) {
        left += centre[Z * k] < 0;
        right += centre[Z * k] > 0;
        assert_true(fabsf(fabsf(centre[Z * k]) - 10) < 0.4f && fabsf(centre[Z * k + 1]) < 0.4f); /* 4 of their standard deviations */
    }
    assert_true(left && right);
}

static void one_centre_is_the_mean(void **state)
{
    float z[N * Z], centre[Z];
    deco_random draw = deco_random_at(1, DECO_STREAM_CENTROIDS, 0);
    (void)state;
    clumps(z);
    assert_int_equal(deco_centroids(centre, z, N, Z, 1, &draw), DECO_OK);
    for (int j = 0; j < Z; j++) {
        double sum = 0;
        for (int i = 0; i < N; i++)
            sum += z[Z * i + j];
        assert_true(fabs(centre[j] - sum / N) < 1e-6);
    }
}

static void the_same_draw_gives_the_same_bits(void **state)
{
    float z[N * Z], first[K * Z], second[K * Z];
    (void)state;
    clumps(z);
    for (uint64_t sub = 0; sub < 3; sub++) {
        deco_random a = deco_random_at(1, DECO_STREAM_CENTROIDS, sub), b = a;
        assert_int_equal(deco_centroids(first, z, N, Z, K, &a), DECO_OK);
        assert_int_equal(deco_centroids(second, z, N, Z, K, &b), DECO_OK);
        assert_memory_equal(first, second, sizeof first);
    }
}

static void fewer_rows_than_centres_give_centres_at_rows(void **state)
{
    const float z[2 * Z] = {1, 2, 3, 4, 5, 6};
    float centre[K * Z];
    deco_random draw = deco_random_at(1, DECO_STREAM_CENTROIDS, 0);
    (void)state;
    assert_int_equal(deco_centroids(centre, z, 2, Z, K, &draw), DECO_OK);
    for (int k = 0; k < K; k++)
        assert_true(!memcmp(centre + Z * k, z, sizeof *z * Z) || !memcmp(centre + Z * k, z + Z, sizeof *z * Z));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_clump_has_a_centre_and_no_centre_is_elsewhere),
        cmocka_unit_test(one_centre_is_the_mean),
        cmocka_unit_test(the_same_draw_gives_the_same_bits),
        cmocka_unit_test(fewer_rows_than_centres_give_centres_at_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
