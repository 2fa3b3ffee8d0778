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
    return deco_schedule_of(o, N, 128);
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

static void put(const char *name, const char *value) { assert_int_equal(deco_options_put(o, name, value, DECO_FROM_COMMAND), DECO_OK); }

/* The options as they were made, with these set. */
static void quick(void)
{
    deco_options_free(o);
    assert_int_equal(deco_options_create(&o), DECO_OK);
    put("search_radii", "8,8,10,14");
    put("search_n_iter", "2,2,3");
    put("refine_radii", "16,20");
    put("pose_refine", "gauss_newton");
    put("pretrain_radius", "8");
    put("batch_size_pretrain", "0");
    put("batch_size_hps", "0");
    put("batch_size_sgd", "0");
    put("lr", "0.001");
    put("lr_end", "0.1");
    put("latents_frozen_epochs", "2");
}

static void lists_of_radii_are_the_epochs_of_a_search(void **state)
{
    (void)state;
    quick();
    assert_int_equal(deco_schedule_of(o, 1000, 32).search_epochs, 4);
    assert_int_equal(deco_schedule_of(o, 1000, 64).total, 6);
    static const int64_t radius[] = {8, 8, 8, 10, 14, 16, 16}, n_iter[] = {2, 2, 3, 3};
    for (int64_t i = -1; i < 6; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(o, 1000, 32, i);
        assert_int_equal(e.kind, i < 0 ? DECO_EPOCH_PRETRAIN : i < 4 ? DECO_EPOCH_SEARCH : DECO_EPOCH_REFINE);
        assert_int_equal(e.radius, radius[i + 1]); /* never beyond half the box */
        assert_int_equal(e.images, 1000);
        assert_int_equal(e.batch, 8);
        assert_int_equal(e.search_batch, i < 0 ? 0 : i < 4 ? 50 : 334); /* 20 renewals an epoch, 3 in a refinement */
        assert_int_equal(e.search_radius, i < 0 ? 0 : radius[i + 1]);
        if (i >= 0 && i < 4)
            assert_int_equal(e.n_iter, n_iter[i]);
        assert_true(e.latents_frozen == (i == 0 || i == 1));
    }
    assert_int_equal(deco_epoch_plan_of(o, 4000, 64, 0).batch, 8);
    assert_int_equal(deco_epoch_plan_of(o, 4001, 64, 0).batch, 16);
    assert_int_equal(deco_epoch_plan_of(o, 4001, 64, 5).radius, 20);
    assert_in_range(deco_epoch_plan_of(o, 10000000, 256, 3).search_batch, 1, 4096);
}

static void radii_that_the_box_does_not_have_are_no_epochs(void **state)
{
    (void)state;
    quick();
    put("refine_radii", "12,14,14,18,18,20,20");
    assert_int_equal(deco_schedule_of(o, 1000, 64).sgd_epochs, 7);
    assert_int_equal(deco_schedule_of(o, 1000, 40).sgd_epochs, 7);
    assert_int_equal(deco_schedule_of(o, 1000, 38).sgd_epochs, 7); /* 18 does not reach the edge */
    assert_int_equal(deco_schedule_of(o, 1000, 36).sgd_epochs, 5);
    assert_int_equal(deco_schedule_of(o, 1000, 32).sgd_epochs, 5); /* the first that reaches it is meant */
    assert_int_equal(deco_schedule_of(o, 1000, 28).sgd_epochs, 3);
    assert_int_equal(deco_schedule_of(o, 1000, 16).sgd_epochs, 1);
    assert_int_equal(deco_epoch_plan_of(o, 1000, 32, 4 + 4).radius, 16);
    put("max_freq", "14");
    assert_int_equal(deco_schedule_of(o, 1000, 64).sgd_epochs, 3);
    put("max_freq", "0");
    put("refine_radii", "20,24,12"); /* a smaller one behind them stays where it is */
    assert_int_equal(deco_schedule_of(o, 1000, 32).sgd_epochs, 3);
}

static void known_poses_take_no_notice_of_the_lists(void **state)
{
    (void)state;
    quick();
    o->use_gt_poses = true;
    o->n_imgs_pose_search = 0;
    o->epochs_sgd = 10;
    assert_int_equal(deco_schedule_of(o, 1000, 32).total, 12);
    for (int64_t i = -1; i < 12; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(o, 1000, 32, i);
        assert_int_equal(e.kind, i < 0 ? DECO_EPOCH_PRETRAIN : DECO_EPOCH_FIXED);
        assert_int_equal(e.radius, 16);
        assert_int_equal(e.search_batch, 0);
        assert_false(e.latents_frozen);
    }
}

static void poses_of_the_input_are_refined_in_every_epoch(void **state)
{
    (void)state;
    quick();
    o->refine_gt_poses = true;
    assert_int_equal(deco_schedule_of(o, 1000, 32).search_epochs, 0);
    assert_int_equal(deco_schedule_of(o, 1000, 64).total, 2);
    for (int64_t i = 0; i < 2; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(o, 1000, 64, i);
        assert_int_equal(e.kind, DECO_EPOCH_REFINE);
        assert_int_equal(e.radius, i ? 20 : 16);
        assert_true(e.latents_frozen);
    }
    assert_false(deco_trains_poses(o));
    put("pose_refine", "table");
    put("refine_radii", "");
    put("n_imgs_pose_search", "500000");
    assert_int_equal(deco_schedule_of(o, 1000, 32).total, 601); /* as many as with known poses */
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 0).kind, DECO_EPOCH_TABLE);
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 600).radius, 32);
    assert_true(deco_trains_poses(o));
    o->epochs_sgd = 0; /* at least two are left */
    assert_true(deco_trains_poses(o));
}

/* 12 at first, one more every 1500 images: the pretraining's 1000 and 1000 an epoch. */
static void the_mask_grows_with_the_images_seen(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        quick();
        put("search_radii", "");
        put("pretrain_radius", "0");
        put("use_gt_poses", known ? "True" : "False");
        put("output_mask", "frequency_marching");
        put("add_one_frequency_every", "1500");
        put("max_freq", "15");
        static const int64_t radius[] = {12, 12, 13, 14, 14, 15, 15, 15};
        for (int64_t i = -1; i < 7; i++) {
            deco_epoch_plan e = deco_epoch_plan_of(o, 1000, 128, i);
            assert_int_equal(e.radius, radius[i + 1]);
            if (i >= 0 && !known)
                assert_int_equal(e.search_radius, e.radius); /* l_end is 32: nothing is known out there yet */
        }
        assert_int_equal(deco_epoch_plan_of(o, 1000, 16, 5).radius, 8);
    }
}

static void no_radius_is_beyond_max_freq(void **state)
{
    (void)state;
    quick();
    put("max_freq", "10");
    static const int64_t radius[] = {8, 8, 8, 10, 10, 10, 10};
    for (int64_t i = -1; i < 6; i++)
        assert_int_equal(deco_epoch_plan_of(o, 1000, 64, i).radius, radius[i + 1]);
    o->use_gt_poses = true;
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 3).radius, 10);
    put("max_freq", "0");
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 3).radius, 32);
}

/* Its poses are left alone at first, then improved; there is no search but one that is asked for. */
static void after_an_initial_model_poses_are_refined(void **state)
{
    (void)state;
    put("initial_radii", "8,9,10");
    put("search_radii", "");
    put("refine_radii", "10,10,12");
    put("settle_epochs", "1");
    put("pose_refine", "gauss_newton");
    put("n_imgs_pretrain", "1000");
    assert_true(deco_epoch_plan_of(o, 1000, 64, -1).initial_model);
    assert_int_equal(deco_schedule_of(o, 1000, 32).search_epochs, 0);
    assert_int_equal(deco_schedule_of(o, 1000, 32).total, 3);
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 0).kind, DECO_EPOCH_FIXED);
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 0).radius, 10);
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 1).kind, DECO_EPOCH_REFINE);
    put("search_radii", "10,12");
    assert_int_equal(deco_schedule_of(o, 1000, 32).search_epochs, 2);
    assert_int_equal(deco_epoch_plan_of(o, 1000, 64, 1).kind, DECO_EPOCH_SEARCH);
    put("use_gt_poses", "true");
    assert_false(deco_epoch_plan_of(o, 1000, 64, -1).initial_model);
}

static void without_lists_a_search_is_the_methods(void **state)
{
    (void)state;
    quick();
    deco_options_free(o);
    assert_int_equal(deco_options_create(&o), DECO_OK);
    deco_epoch_plan e = deco_epoch_plan_of(o, 100000, 128, 0);
    assert_int_equal(e.kind, DECO_EPOCH_SEARCH);
    assert_int_equal(e.radius, 64);
    assert_int_equal(e.search_radius, 32);
    assert_int_equal(e.n_iter, 4);
    assert_int_equal(e.batch, 22);
    assert_true(e.lr == 1e-4 && !e.latents_frozen);
    assert_int_equal(deco_epoch_plan_of(o, 100000, 128, 5).kind, DECO_EPOCH_SEARCH);
    assert_int_equal(deco_epoch_plan_of(o, 100000, 128, 6).kind, DECO_EPOCH_TABLE); /* 500,000 images are six epochs */
    assert_true(deco_epoch_plan_of(o, 100000, 128, 5).lr_poses == 0 && deco_epoch_plan_of(o, 100000, 128, 6).lr_poses == 1e-4);
    put("pose_refine", "none");
    assert_int_equal(deco_epoch_plan_of(o, 100000, 128, 6).kind, DECO_EPOCH_FIXED);
    assert_int_equal(deco_epoch_plan_of(o, 100000, 128, 6).batch, 192);
    assert_true(deco_epoch_plan_of(o, 100000, 128, 100).lr == 1e-4);
}

static void the_decoders_rate_is_constant_and_then_falls_along_half_a_cosine(void **state)
{
    (void)state;
    quick();
    for (int64_t i = 0; i <= 3; i++)
        assert_true(fabs(deco_epoch_plan_of(o, 1000, 64, i).lr - 1e-3) < 1e-15);
    assert_true(fabs(deco_epoch_plan_of(o, 1000, 64, 4).lr - 1e-3 * (0.1 + 0.9 * 0.75)) < 1e-15); /* a third of the way */
    assert_true(fabs(deco_epoch_plan_of(o, 1000, 64, 5).lr - 1e-3 * (0.1 + 0.9 * 0.25)) < 1e-15);
}

/* Once it was left out there, without a word. */
static void the_decoders_rate_falls_with_known_poses_too(void **state)
{
    (void)state;
    quick();
    put("use_gt_poses", "True");
    put("n_imgs_pose_search", "0");
    put("epochs_sgd", "4"); /* two more stand for the search */
    for (int64_t i = -1; i <= 3; i++)
        assert_true(fabs(deco_epoch_plan_of(o, 1000, 32, i).lr - 1e-3) < 1e-15);
    assert_true(fabs(deco_epoch_plan_of(o, 1000, 32, 4).lr - 1e-3 * (0.1 + 0.9 * 0.75)) < 1e-15);
    assert_true(fabs(deco_epoch_plan_of(o, 1000, 32, 5).lr - 1e-3 * (0.1 + 0.9 * 0.25)) < 1e-15);
    put("lr_end", "1");
    assert_true(deco_epoch_plan_of(o, 1000, 32, 5).lr == 1e-3);
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
        cmocka_unit_test(lists_of_radii_are_the_epochs_of_a_search),
        cmocka_unit_test(radii_that_the_box_does_not_have_are_no_epochs),
        cmocka_unit_test(after_an_initial_model_poses_are_refined),
        cmocka_unit_test(known_poses_take_no_notice_of_the_lists),
        cmocka_unit_test(poses_of_the_input_are_refined_in_every_epoch),
        cmocka_unit_test(the_mask_grows_with_the_images_seen),
        cmocka_unit_test(no_radius_is_beyond_max_freq),
        cmocka_unit_test(without_lists_a_search_is_the_methods),
        cmocka_unit_test(the_decoders_rate_is_constant_and_then_falls_along_half_a_cosine),
        cmocka_unit_test(the_decoders_rate_falls_with_known_poses_too),
        cmocka_unit_test(table_rate_falls_along_half_a_cosine_to_its_minimum),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
