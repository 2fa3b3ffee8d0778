/* Who is held out of the decoder's training: a share of all rows, the same in every epoch, behind the others in each order. */
#include "training/hold_out.h"
#include "unit/particles/toy_job.h"

enum { N = 20000 };

static void a_share_is_held_out_and_goes_by_the_seed(void **state)
{
    int64_t held = 0, both = 0;

    for (int64_t i = 0; i < N; i++) {
        held += deco_is_held_out(1, i, 0.05);
        both += deco_is_held_out(1, i, 0.05) && deco_is_held_out(2, i, 0.05);
        assert_false(deco_is_held_out(1, i, 0));
    }
    assert_true(llabs(held - N / 20) < 5 * 31); /* five standard deviations */
    assert_true(both < 5 * N / 400);
}

static void they_stand_behind_the_others_which_keep_their_order(void **state)
{
    int64_t order[300], row[300], before = -1;
    bool behind = false;

    for (int64_t i = 0; i < 300; i++) {
        order[i] = 299 - i;
        row[i] = 7 * i;
    }
    toy_ok(deco_held_out_last(order, row, 300, 3, 0.2));
    for (int64_t i = 0; i < 300; i++) {
        bool held = deco_is_held_out(3, row[order[i]], 0.2);
        assert_true(held || !behind);
        if (i && held == behind)
            assert_true(order[i] < before);
        behind = held;
        before = order[i];
    }
    assert_true(behind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_is_held_out_and_goes_by_the_seed),
        cmocka_unit_test(they_stand_behind_the_others_which_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
