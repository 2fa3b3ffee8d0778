/* hps_stop: what counts as still, and when the search ends. */
#include "training/search_stop.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static deco_options *options(const char *degrees)
{
    deco_options *o;
    assert_int_equal(deco_options_create(&o), DECO_OK);
    assert_int_equal(deco_options_put(o, "hps_stop", degrees, DECO_FROM_COMMAND), DECO_OK);
    return o;
}

static void turn_about_z(float *R, double deg)
{
    const double a = deg * acos(-1) / 180;
    const float turned[9] = {(float)cos(a), (float)sin(a), 0, (float)-sin(a), (float)cos(a), 0, 0, 0, 1};
    for (int i = 0; i < 9; i++)
        R[i] = turned[i];
}

static void turns_and_moves_are_counted_against_their_limits(void **state)
{
    const double deg[] = {0, 0.9, 1.1, 5, 90, 180}, px[] = {0, 0.4, 0.49, 0.51, 3, 0};
    float before[6 * 9], after[6 * 9], shift_before[12] = {0}, shift[12];
    deco_options *o = options("1");
    deco_position at = {0};

    (void)state;
    for (int i = 0; i < 6; i++) {
        turn_about_z(before + 9 * i, 30);
        turn_about_z(after + 9 * i, 30 + deg[i]);
        shift[2 * i] = (float)(0.6 * px[i]);
        shift[2 * i + 1] = (float)(-0.8 * px[i]);
    }
    deco_search_stop_count(&at, o, 6, before, shift_before, after, shift);
    assert_int_equal(at.turned_little, 2);
    assert_int_equal(at.moved_little, 4);
    deco_search_stop_count(&at, o, 3, before, shift_before, after, shift); /* the next batch */
    assert_int_equal(at.turned_little, 4);
    assert_int_equal(at.moved_little, 7);
    deco_options_free(o);
}

static bool epoch(deco_position *at, const deco_options *o, int64_t turned, int64_t moved, int64_t left)
{
    at->turned_little = turned;
    at->moved_little = moved;
    return deco_search_stop(at, o, 10, left);
}

static void two_still_epochs_running_end_it(void **state)
{
    deco_options *o = options("1");
    deco_position at = {0};

    (void)state;
    assert_false(epoch(&at, o, 6, 6, 9));
    assert_false(epoch(&at, o, 5, 10, 8)); /* half is not most: the median may be above */
    assert_false(epoch(&at, o, 6, 6, 7));
    assert_false(epoch(&at, o, 10, 5, 6)); /* shifts still move */
    assert_false(epoch(&at, o, 6, 6, 5));
    assert_int_equal(at.skipped, 0);
    assert_true(epoch(&at, o, 6, 6, 4));
    assert_int_equal(at.skipped, 4);
    deco_options_free(o);
}

static void nothing_ends_early_without_it_or_at_the_end(void **state)
{
    deco_options *off = options("0"), *o = options("1");
    deco_position at = {0};

    (void)state;
    for (int64_t left = 5; left >= 0; left--)
        assert_false(epoch(&at, off, 10, 10, left));
    assert_int_equal(at.skipped, 0);
    assert_false(epoch(&at, o, 10, 10, 1));
    assert_false(epoch(&at, o, 10, 10, 0)); /* it was the last one anyway */
    assert_int_equal(at.skipped, 0);
    deco_options_free(off);
    deco_options_free(o);
}

static void pretraining_is_not_counted_past(void **state)
{
    (void)state;
    assert_int_equal(deco_scheduled_epoch(-1, 7), -1);
    assert_int_equal(deco_scheduled_epoch(3, 7), 10);
    assert_int_equal(deco_scheduled_epoch(3, 0), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_and_moves_are_counted_against_their_limits),
        cmocka_unit_test(two_still_epochs_running_end_it),
        cmocka_unit_test(nothing_ends_early_without_it_or_at_the_end),
        cmocka_unit_test(pretraining_is_not_counted_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
