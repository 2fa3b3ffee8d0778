/* Whole searches on a toy set: the loss falls, every epoch is as planned, the same seed gives the same bytes on any number of threads, and a run that was stopped and
 * taken up again ends where it would have ended. */
#include "training/train.h"
#include "unit/training/stopper.h"
#include "unit/training/toy.h"

#include <pthread.h>
#include <time.h>

static toy set;

typedef struct training {
    deco_device *dev;
    deco_image_stats stats;
    deco_model *m;
    deco_position at;
} training;

static deco_options *options(const char *radii, const char *refine, const char *how)
{
    const char *const pair[][2] = {{"search_radii", radii},
                                   {"refine_radii", refine},
                                   {"pose_refine", how},
                                   {"n_iter", "1"},
                                   {"l_start", "5"},
                                   {"t_n_grid", "2"},
                                   {"t_extent", "1"},
                                   {"pretrain_radius", "5"},
                                   {"batch_size_pretrain", "8"},
                                   {"batch_size_hps", "8"},
                                   {"batch_size_sgd", "8"},
                                   {"lr", "3e-3"},
                                   {"lr_conf_table", "5e-2"},
                                   {"latents_frozen_epochs", "1"},
                                   {"snapshot_centroids", "2"},
                                   {"epochs_sgd", "0"}};
    deco_options *o;

    assert_int_equal(deco_options_create(&o), DECO_OK);
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        if (pair[i][1])
            assert_int_equal(deco_options_put(o, pair[i][0], pair[i][1], DECO_FROM_COMMAND), DECO_OK);
    return o;
}

static training begin(const deco_options *o, int threads, uint64_t seed)
{
    training t = {.at = {.epoch = -2, .seed = seed, .digest = "toy"}};

    assert_int_equal(deco_device_create(&t.dev, "cpu", threads), DECO_OK);
    assert_int_equal(deco_images_survey(&t.stats, &set.p, t.dev, NULL), DECO_OK);
    deco_model_config c = {.shape = {.L = TOY_BOX + 1, .pe_dim = 8, .H = 32, .n = 2, .Z = 2, .layer_norm = true},
                           .feat_sigma = 0.5,
                           .psize_A = 3,
                           .std = t.stats.std,
                           .D = TOY_BOX,
                           .radius = TOY_BOX / 2,
                           .N = set.p.N,
                           .train_poses = deco_trains_poses(o),
                           .seed = seed};
    assert_int_equal(deco_model_create(&t.m, t.dev, &c), DECO_OK);
    assert_int_equal(deco_poses_start(t.m, &set.p, o), DECO_OK);
    return t;
}

static void end(training *t)
{
    deco_model_free(t->m);
    deco_device_free(t->dev);
}

static deco_status train(training *t, const deco_options *o, deco_epoch_done done, void *context, deco_monitor *mon)
{
    return deco_train(t->m, &t->at, &set.p, &t->stats, o, &(deco_watch){.context = context, .epoch_done = done}, mon);
}

/* The checkpoint of a finished run, poses and all, to be freed. */
static unsigned char *bytes_of(training *t, size_t *n)
{
    const char *path = scratch("searched.safetensors");

    assert_int_equal(deco_checkpoint_write(path, t->m, &t->at), DECO_OK);
    return scratch_get(n, path);
}

typedef struct history {
    int64_t count;
    deco_epoch_record r[64];
} history;

static deco_status note(void *context, const deco_epoch_record *r, const deco_position *at)
{
    history *h = context;
    (void)at;
    h->r[h->count++] = *r;
    return DECO_OK;
}

static void a_search_tells_every_epoch_and_its_loss_falls(void **state)
{
    deco_options *o = options("5,5,5,6,6,7", "8,8", "gauss_newton");
    training t = begin(o, 2, 1);
    history h = {0};
    (void)state;
    assert_int_equal(train(&t, o, note, &h, NULL), DECO_OK);
    assert_int_equal(h.count, 9);
    static const int64_t radius[] = {5, 5, 5, 5, 6, 6, 7, 8, 8};
    for (int64_t i = 0; i < h.count; i++) {
        const deco_epoch_record *r = &h.r[i];
        assert_int_equal(r->epoch, i - 1);
        assert_int_equal(r->radius, radius[i]);
        assert_int_equal(r->images, set.p.N);
        assert_int_equal(r->kind, i == 0 ? DECO_EPOCH_PRETRAIN : i < 7 ? DECO_EPOCH_SEARCH : DECO_EPOCH_REFINE);
        assert_true((r->seconds_search > 0) == (i > 0) && (r->seconds_snapshots > 0) == (i > 0));
        assert_true((r->lr_latents > 0) == (i > 1)); /* frozen in the first search epoch */
    }
    assert_true(h.r[6].loss < 0.7 * h.r[1].loss);
    assert_true(h.r[1].moved.deg > 60); /* from random rotations */
    assert_true(h.r[8].moved.deg < 5);
    assert_int_equal(t.m->radius, 8);
    end(&t);
    deco_options_free(o);
}

static void same_seed_is_the_same_bytes_on_any_number_of_threads(void **state)
{
    unsigned char *first = NULL;
    size_t n = 0, m;
    (void)state;
    for (int i = 0; i < 6; i++) {
        int threads = 1 + i % 3;
        deco_options *o = options("5,6", "7", i < 3 ? "gauss_newton" : "table");
        if (threads == 1) {
            free(first);
            first = NULL;
        }
        training t = begin(o, threads, 5);
        assert_int_equal(train(&t, o, NULL, NULL, NULL), DECO_OK);
        unsigned char *bytes = bytes_of(&t, &m);
        if (first) {
            assert_int_equal(n, m);
            assert_memory_equal(first, bytes, n);
            free(bytes);
        } else {
            first = bytes, n = m;
        }
        end(&t);
        deco_options_free(o);
    }
    free(first);
}

/* Cut to pieces, each going on from the checkpoint of the one before and nothing else. */
static void stopped_and_resumed(deco_options *o, int64_t skipped)
{
    training whole = begin(o, 2, 5), t = begin(o, 2, 5);
    size_t n, m;
    int inside = 0;
    deco_status st = DECO_E_STOPPED;
    assert_int_equal(train(&whole, o, NULL, NULL, NULL), DECO_OK);
    assert_int_equal(whole.at.skipped, skipped);
    for (double seconds = 0.01; st; seconds *= 1.2) {
        stopper s = {.seconds = seconds};
        pthread_t thread;
        assert_int_equal(deco_monitor_create(&s.mon, NULL, NULL), DECO_OK);
        assert_int_equal(pthread_create(&thread, NULL, stop_later, &s), 0);
        st = train(&t, o, NULL, NULL, s.mon);
        pthread_join(thread, NULL);
        deco_monitor_free(s.mon);
        if (!st)
            break;
        assert_int_equal(st, DECO_E_STOPPED);
        inside += t.at.epoch >= -1 && t.at.step > 0; /* in a search epoch, between two search batches */
        assert_int_equal(deco_checkpoint_write(scratch("stopped.safetensors"), t.m, &t.at), DECO_OK);
        deco_model_free(t.m);
        assert_int_equal(deco_checkpoint_read(&t.m, &t.at, t.dev, scratch("stopped.safetensors"), true), DECO_OK);
    }
    assert_true(inside > 0);
    unsigned char *a = bytes_of(&whole, &n), *b = bytes_of(&t, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
    end(&whole);
    end(&t);
    deco_options_free(o);
}

static void stopped_and_resumed_ends_where_it_would_have(void **state)
{
    (void)state;
    stopped_and_resumed(options("5,6", "7", "gauss_newton"), 0);
    stopped_and_resumed(options("5,6", "7", "table"), 0);
}

/* Snapshots in plenty, so that there is work for a sample to be small against. */
static deco_options *sampled_options(void)
{
    deco_options *o = options("5,6", NULL, "gauss_newton");
    assert_int_equal(deco_options_put(o, "base_healpy", "1", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "n_kept_poses", "2", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "snapshot_centroids", "24", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "search_batch", "6", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "snapshot_oversampling", "2", DECO_FROM_COMMAND), DECO_OK);
    return o;
}

static void some_images_are_searched_exactly_too(void **state)
{
    deco_options *o = sampled_options();
    training t = begin(o, 2, 3);
    (void)state;
    assert_int_equal(train(&t, o, NULL, NULL, NULL), DECO_OK);
    assert_true(t.at.sampled > 0);
    assert_true(t.at.sampled_alike <= t.at.sampled);
    assert_true(t.at.sample_work > 0 && t.at.sample_work <= 0.02 * t.at.work);
    end(&t);
    deco_options_free(o);
    stopped_and_resumed(sampled_options(), 0);
}

/* Found by a search of a few epochs, then trained: they move, the loss goes on falling, and given shifts stay even so. */
static void the_pose_table_is_trained_after_the_search(void **state)
{
    deco_options *o = options("5,5,6", "8,8,8,8", "table");
    (void)state;
    assert_int_equal(deco_options_put(o, "lr_pose_table", "1e-3", DECO_FROM_COMMAND), DECO_OK);
    for (int known = 0; known < 2; known++) {
        o->use_gt_trans = known;
        training t = begin(o, 2, 1);
        history h = {0};
        size_t bytes = (size_t)(2 * set.p.N) * sizeof(float);
        float *shift = malloc(bytes);
        assert_int_equal(train(&t, o, note, &h, NULL), DECO_OK);
        assert_int_equal(h.count, 8);
        assert_true(h.r[3].lr_poses == 0);
        for (int i = 4; i < 8; i++) {
            assert_int_equal(h.r[i].kind, DECO_EPOCH_TABLE);
            assert_true(h.r[i].lr_poses == 1e-3);
            assert_true(h.r[i].moved.deg > 0 && h.r[i].moved.deg < 20 && h.r[i].moved.latents > 0);
            assert_true((h.r[i].moved.px > 0) == !known);
        }
        assert_true(h.r[7].loss < h.r[4].loss);
        assert_int_equal(t.m->pose_steps, 4 * ((set.p.N + 7) / 8));
        assert_int_equal(deco_device_download(t.dev, shift, t.m->shifts.x, bytes), DECO_OK);
        assert_true(known == !memcmp(shift, set.p.shift, bytes)); /* the set's are 0; a search's are on a grid that lacks it */
        free(shift);
        end(&t);
    }
    deco_options_free(o);
}

/* They start there and move a little; that errors are mended is for tests/python to show. */
static void poses_of_the_input_are_where_a_refinement_starts(void **state)
{
    (void)state;
    for (int table = 0; table < 2; table++) {
        deco_options *o = options("5", "5,6,7,8,8,8", table ? "table" : "gauss_newton");
        history h = {0};
        o->refine_gt_poses = true;
        o->lr_pose_table = 5e-3;
        training t = begin(o, 2, 1);
        size_t n = (size_t)set.p.N;
        float *R = malloc(n * 9 * sizeof *R), *shift = malloc(n * 2 * sizeof *shift);
        assert_int_equal(deco_poses_get(R, shift, t.m, NULL, set.p.N), DECO_OK);
        for (size_t i = 0; i < 9 * n; i++)
            assert_true(fabsf(R[i] - set.p.R[i]) < 5e-7f);
        assert_int_equal(train(&t, o, note, &h, NULL), DECO_OK);
        assert_int_equal(h.count, 7);
        for (int i = 1; i < 7; i++)
            assert_int_equal(h.r[i].kind, table ? DECO_EPOCH_TABLE : DECO_EPOCH_REFINE);
        assert_int_equal(deco_poses_get(R, shift, t.m, NULL, set.p.N), DECO_OK);
        double moved = 0;
        for (size_t i = 0; i < 9 * n; i++)
            moved = fmax(moved, fabs((double)R[i] - set.p.R[i]));
        assert_true(moved > 1e-3 && moved < 1.5);
        free(R);
        free(shift);
        end(&t);
        deco_options_free(o);
    }
}

/* Every candidate through the decoder: slower, and otherwise the same phases. */
static void the_exact_engine_searches_too(void **state)
{
    deco_options *o = options("5,5,6", "", "none");
    size_t n, m;
    history h = {0};
    (void)state;
    assert_int_equal(deco_options_put(o, "pose_search_engine", "exact", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "base_healpy", "1", DECO_FROM_COMMAND), DECO_OK);
    training one = begin(o, 1, 1), two = begin(o, 2, 1);
    assert_int_equal(train(&one, o, note, &h, NULL), DECO_OK);
    assert_int_equal(h.count, 4);
    assert_true(h.r[3].loss < 0.9 * h.r[1].loss);
    assert_true(h.r[1].moved.deg > 60 && h.r[1].seconds_search > 0);
    assert_int_equal(deco_epoch_plan_of(o, set.p.N, TOY_BOX, 0).search_batch, 8); /* a training batch */
    assert_int_equal(train(&two, o, NULL, NULL, NULL), DECO_OK);
    unsigned char *a = bytes_of(&one, &n), *b = bytes_of(&two, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
    end(&one);
    end(&two);
    deco_options_free(o);
}

static void known_shifts_stay(void **state)
{
    deco_options *o = options("5", "", "none");
    assert_int_equal(deco_options_put(o, "use_gt_trans", "True", DECO_FROM_COMMAND), DECO_OK);
    for (int64_t i = 0; i < 2 * set.p.N; i++)
        set.p.shift[i] = (float)(i % 3) * 0.25f;
    training t = begin(o, 2, 1);
    (void)state;
    assert_int_equal(train(&t, o, NULL, NULL, NULL), DECO_OK);
    float *R = malloc((size_t)set.p.N * 9 * sizeof *R), *shift = malloc((size_t)set.p.N * 2 * sizeof *shift);
    assert_int_equal(deco_poses_get(R, shift, t.m, NULL, set.p.N), DECO_OK);
    assert_memory_equal(shift, set.p.shift, (size_t)(2 * set.p.N) * sizeof(float));
    free(R);
    free(shift);
    memset(set.p.shift, 0, (size_t)(2 * set.p.N) * sizeof(float));
    end(&t);
    deco_options_free(o);
}

static int set_up(void **state)
{
    (void)state;
    set = toy_make(150);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    toy_free(&set);
    return 0;
}

/* Any turn is little here, so the search ends after its second epoch if every particle of both was counted, whenever the run was stopped. */
static void a_search_that_ends_early_ends_where_it_would_have(void **state)
{
    deco_options *o = options(NULL, "7", "gauss_newton");
    char images[32];

    (void)state;
    snprintf(images, sizeof images, "%lld", (long long)(4 * set.p.N));
    assert_int_equal(deco_options_put(o, "n_imgs_pose_search", images, DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "l_end", "6", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "hps_stop", "180", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "no_trans", "True", DECO_FROM_COMMAND), DECO_OK);
    stopped_and_resumed(o, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_tells_every_epoch_and_its_loss_falls),
        cmocka_unit_test(same_seed_is_the_same_bytes_on_any_number_of_threads),
        cmocka_unit_test(stopped_and_resumed_ends_where_it_would_have),
        cmocka_unit_test(some_images_are_searched_exactly_too),
        cmocka_unit_test(a_search_that_ends_early_ends_where_it_would_have),
        cmocka_unit_test(the_pose_table_is_trained_after_the_search),
        cmocka_unit_test(poses_of_the_input_are_where_a_refinement_starts),
        cmocka_unit_test(the_exact_engine_searches_too),
        cmocka_unit_test(known_shifts_stay),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
