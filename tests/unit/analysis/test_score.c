/* Scores against the truth. */
#include "analysis/score.h"
#include "analysis/score_draws.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t weighted(const int64_t *x, int64_t n)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (i + 1) * x[i];
    return sum;
}

/* The figures are numpy 2.4.6's: r = default_rng(0); a = r.choice(n, min(n, 3000), replace=False); b = r.choice(n, min(n, 300), replace=False);
 * (a * np.arange(1, len(a) + 1)).sum(). */
static void draws_are_numpys(void **state)
{
    static const struct {
        int64_t n, first, many, few;
    } known[] = {
        {5, 4, 22, 37}, {1000, 437, 253011592, 22631319}, {20000, 6591, 45962854341, 446520092}, {200000, 51689, 463456097771, 4421881304}};
    int64_t a[3000], b[300];

    (void)state;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        score_draws d = score_draws_begin();
        int64_t n = known[k].n, many = n < 3000 ? n : 3000, few = n < 300 ? n : 300;
        assert_int_equal(score_draws_choose(a, &d, n, many), DECO_OK);
        assert_int_equal(score_draws_choose(b, &d, n, few), DECO_OK);
        assert_int_equal(a[0], known[k].first);
        assert_int_equal(weighted(a, many), known[k].many);
        assert_int_equal(weighted(b, few), known[k].few);
    }
}

static void clusters_explain_a_coordinate_as_far_as_they_part_it(void **state)
{
    /* Of those with a cluster 0, 1, 4, 5, 9: mean 3.8, squares of deviations 50.8; within the clusters 0.5, 0.5 and 0. */
    const double t[7] = {0, 100, 1, 4, 5, -7, 9};
    const int32_t found[7] = {3, -1, 3, 0, 0, -1, 5}, one[7] = {0}, none[7] = {-1, -1, -1, -1, -1, -1, -1};
    double explained;
    int64_t clusters;

    (void)state;
    assert_int_equal(deco_coordinates_score(&explained, &clusters, t, found, 7), DECO_OK);
    assert_int_equal(clusters, 3);
    assert_true(fabs(explained - (1 - 1 / 50.8)) < 1e-12);
    assert_int_equal(deco_coordinates_score(&explained, &clusters, t, one, 7), DECO_OK);
    assert_true(clusters == 1 && fabs(explained) < 1e-12);
    assert_int_equal(deco_coordinates_score(&explained, &clusters, t, none, 7), DECO_OK);
    assert_true(clusters == 0 && isnan(explained));
    assert_int_equal(deco_coordinates_score(&explained, &clusters, t, &(const int32_t){INT32_MAX}, 1), DECO_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws_are_numpys),
                                       cmocka_unit_test(clusters_explain_a_coordinate_as_far_as_they_part_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
