/* How many epochs a run has, and of which kind. METHOD.md section 5. */
#include "training/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_options *o;

static deco_schedule with(int64_t search, int64_t sgd, int64_t pretrain, int64_t N)
{
    o->n_imgs_pose_search = search;
    o->epochs_sgd = sgd;
    o->n_imgs_pretrain = pretrain;
    return deco_schedule_of(o, N);
}

static void known_poses_take_as_many_epochs_as_a_search(void **state)
{
    (void)state;
    assert_int_equal(with(500000, 100, 10000, 1000).total, 601);
    assert_int_equal(with(500000, 100, 10000, 250000).total, 103);
    assert_int_equal(with(500000, 100, 10000, 500001).total, 102);
    assert_int_equal(with(500000, 100, 10000, 5000000).total, 102);
    assert_int_equal(with(0, 10, 10000, 1000).total, 12);
    assert_int_equal(with(0, 0, 10000, 1000).total, 2);
}

static void pretraining_is_whole_batches_beyond_what_is_asked_and_one_pass_at_most(void **state)
{
    (void)state;
    assert_int_equal(with(0, 1, 10000, 100000).pretrain_images, 64 * 157); /* 156 batches are 9984: not yet more than 10000 */
    assert_int_equal(with(0, 1, 64, 100000).pretrain_images, 128);         /* more than, not as many as */
    assert_int_equal(with(0, 1, 1, 100000).pretrain_images, 64);
    assert_int_equal(with(0, 1, 10000, 1000).pretrain_images, 1000);
    assert_int_equal(with(0, 1, 10000, 10010).pretrain_images, 10010);
    assert_int_equal(with(0, 1, 0, 1000).pretrain_images, 0);
}

static void table_rate_falls_along_half_a_cosine_to_its_minimum(void **state)
{
    (void)state;
    assert_true(deco_lr_latents(1, 0.2, 30, 0) == 1);
    assert_true(fabs(deco_lr_latents(1, 0.2, 30, 15) - 0.6) < 1e-15);
    assert_true(deco_lr_latents(1, 0.2, 30, 30) == 0.2);
    assert_true(deco_lr_latents(1, 0, 30, 1e9) == 0);
}

static int set_up(void **state)
{
    (void)state;
    return deco_options_create(&o);
}

static int tear_down(void **state)
{
    (void)state;
    deco_options_free(o);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_poses_take_as_many_epochs_as_a_search),
        cmocka_unit_test(pretraining_is_whole_batches_beyond_what_is_asked_and_one_pass_at_most),
        cmocka_unit_test(table_rate_falls_along_half_a_cosine_to_its_minimum),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
