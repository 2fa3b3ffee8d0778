/* The sample that is searched by both engines: what it may cost, what counts as alike, and what is mended in which order. */
#include "training/search_agreement.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static deco_options *options(const char *oversampling, const char *rescore)
{
    deco_options *o;
    assert_int_equal(deco_options_create(&o), DECO_OK);
    assert_int_equal(deco_options_put(o, "snapshot_oversampling", oversampling, DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "snapshot_rescore", rescore, DECO_FROM_COMMAND), DECO_OK);
    return o;
}

/* Whatever there is to do between, the sample stays below its share, and uses most of it. */
static void the_sample_stays_inside_its_share(void **state)
{
    deco_position at = {0};
    int64_t taken = 0;
    (void)state;
    assert_int_equal(deco_agreement_sample(&at, 1000, 100), 0);
    for (int i = 0; i < 1000; i++) {
        at.work += 700 + 100 * (i % 7);
        int64_t n = deco_agreement_sample(&at, 1000, 100);
        assert_true(n <= DECO_SAMPLE_MOST);
        at.sample_work += 1000 * (double)n;
        taken += n;
        assert_true(at.sample_work <= 0.02 * at.work);
    }
    assert_int_equal(taken, (int64_t)(0.02 * at.work / 1000));
    at.work *= 100;
    assert_int_equal(deco_agreement_sample(&at, 1000, 100), DECO_SAMPLE_MOST);
    assert_int_equal(deco_agreement_sample(&at, 1000, 3), 3);
}

static void about_z(float *R, double deg)
{
    const double a = deg * acos(-1) / 180;
    const float turned[9] = {(float)cos(a), (float)sin(a), 0, (float)-sin(a), (float)cos(a), 0, 0, 0, 1};
    for (int i = 0; i < 9; i++)
        R[i] = turned[i];
}

static void three_degrees_are_alike(void **state)
{
    const double deg[] = {0, 2.9, -2.9, 3.1, 90, 180};
    float a[54], b[54];
    deco_position at = {.sampled = 1, .sampled_alike = 1};
    (void)state;
    for (int i = 0; i < 6; i++) {
        about_z(a + 9 * i, 40);
        about_z(b + 9 * i, 40 + deg[i]);
    }
    deco_agreement_count(&at, a, b, 6);
    assert_int_equal(at.sampled, 7);
    assert_int_equal(at.sampled_alike, 4);
}

static deco_mending mend(deco_position *at, const deco_options *o, int64_t sampled, int64_t alike, double exact)
{
    at->sampled = sampled;
    at->sampled_alike = alike;
    return deco_agreement_mend(at, o, exact, 100);
}

static void steps_of_mending_follow_one_another(void **state)
{
    deco_options *o = options("1", "0");
    deco_position at = {0};
    (void)state;
    assert_int_equal(mend(&at, o, 15, 0, 1e6), DECO_MEND_NONE); /* too few to tell */
    assert_int_equal(mend(&at, o, 20, 18, 1e6), DECO_MEND_NONE);
    assert_int_equal(mend(&at, o, 20, 17, 1e6), DECO_MEND_OVERSAMPLING);
    assert_int_equal(at.sampled, 0);
    assert_int_equal(deco_mended_config(o, at.mended).oversampling, 2);
    assert_int_equal(deco_mended_config(o, at.mended).centroids, 4);
    assert_int_equal(mend(&at, o, 16, 14, 1e6), DECO_MEND_CENTROIDS);
    assert_int_equal(deco_mended_config(o, at.mended).centroids, 8);
    assert_int_equal(deco_mended_config(o, at.mended).rescore, 0);
    assert_int_equal(mend(&at, o, 16, 14, 1e6), DECO_MEND_RESCORE);
    assert_int_equal(deco_mended_config(o, at.mended).rescore, 8);
    assert_int_equal(deco_mended_config(o, at.mended).oversampling, 2);
    assert_int_equal(mend(&at, o, 16, 14, 101), DECO_MEND_RESCORE); /* exact would more than double the work */
    assert_int_equal(mend(&at, o, 16, 14, 99), DECO_MEND_EXACT);
    assert_int_equal(mend(&at, o, 16, 14, 99), DECO_MEND_EXACT); /* and there is nothing beyond */
    deco_options_free(o);
}

static void what_the_options_ask_for_is_not_mended_again(void **state)
{
    deco_options *o = options("3", "20");
    deco_position at = {0};
    (void)state;
    assert_int_equal(mend(&at, o, 16, 0, 1e6), DECO_MEND_CENTROIDS);
    assert_int_equal(mend(&at, o, 16, 0, 1e6), DECO_MEND_CENTROIDS);
    deco_search_sliced_config c = deco_mended_config(o, DECO_MEND_RESCORE);
    assert_int_equal(c.oversampling, 3);
    assert_int_equal(c.rescore, 20);
    deco_options_free(o);
}

/* POSE_SEARCH.md and the issue of the search: half a million points at level 0 of the default grid, where quarter turns share a slice. */
static void the_default_search_decodes_a_million_points(void **state)
{
    deco_search_grid g = {.base_healpy = 2, .n_iter = 4, .n_kept = 8, .l_start = 12, .l_end = 32, .t_n_grid = 7, .t_extent = 20};
    (void)state;
    double points = deco_exact_points(&g, 129);
    assert_true(points > 0.9e6 && points < 1.3e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_stays_inside_its_share),           cmocka_unit_test(three_degrees_are_alike),
        cmocka_unit_test(steps_of_mending_follow_one_another),         cmocka_unit_test(what_the_options_ask_for_is_not_mended_again),
        cmocka_unit_test(the_default_search_decodes_a_million_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
