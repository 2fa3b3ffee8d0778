/* Whole trainings on a toy set: the loss falls, the same seed gives the same bytes on any number of threads, and a run that was stopped and
 * taken up again ends where it would have ended. */
#include "training/train.h"
#include "unit/training/stopper.h"
#include "unit/training/toy.h"

#include <pthread.h>
#include <time.h>

static toy set;
static deco_options *o;

/* One run: device, survey of the images and a fresh model. */
typedef struct training {
    deco_device *dev;
    deco_image_stats stats;
    deco_model *m;
    deco_position at;
} training;

static training begin(int threads, uint64_t seed)
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

static deco_status train(training *t, deco_epoch_done done, void *context, deco_monitor *mon)
{
    return deco_train(t->m, &t->at, &set.p, &t->stats, o, &(deco_watch){.context = context, .epoch_done = done}, mon);
}

/* The checkpoint of a finished run, to be freed. */
static unsigned char *bytes_of(training *t, size_t *n)
{
    const char *path = scratch("final.safetensors");
    assert_int_equal(deco_checkpoint_write(path, t->m, &t->at), DECO_OK);
    return scratch_get(n, path);
}

static unsigned char *whole_run(int threads, uint64_t seed, size_t *n)
{
    training t = begin(threads, seed);
    assert_int_equal(train(&t, NULL, NULL, NULL), DECO_OK);
    unsigned char *bytes = bytes_of(&t, n);
    end(&t);
    return bytes;
}

typedef struct history {
    int64_t count;
    deco_epoch_record r[64];
} history;

static deco_status note(void *context, const deco_epoch_record *r, const deco_position *at)
{
    history *h = context;
    assert_int_equal(at->epoch, r->epoch);
    assert_int_equal(at->step, 0);
    h->r[h->count++] = *r;
    return DECO_OK;
}

static void loss_falls_and_every_epoch_is_told(void **state)
{
    training t = begin(2, 1);
    history h = {0};
    (void)state;
    assert_int_equal(train(&t, note, &h, NULL), DECO_OK);
    assert_int_equal(h.count, 1 + 2 + o->epochs_sgd);
    for (int64_t i = 0; i < h.count; i++) {
        const deco_epoch_record *r = &h.r[i];
        assert_int_equal(r->epoch, i - 1);
        assert_int_equal(r->images, set.p.N);
        assert_true(r->seconds > 0 && r->seconds_slices > 0 && r->seconds_slices <= r->seconds_step && r->seconds_step <= r->seconds);
        assert_true(r->lr_decoder == o->lr);
    }
    assert_int_equal(t.at.epoch, h.count - 2);
    /* Slices that are noise-free and normalised: the untrained decoder leaves all of their power, about 1. */
    assert_true(h.r[0].loss > 0.5);
    assert_true(h.r[h.count - 1].loss < 0.3 * h.r[0].loss);
    end(&t);
}

static void latents_tell_the_two_kinds_apart(void **state)
{
    training t = begin(2, 1);
    int64_t N = set.p.N, Z = 2, same = 0, pairs = 0;
    float *z = malloc((size_t)(N * Z) * sizeof *z);
    (void)state;
    assert_int_equal(train(&t, NULL, NULL, NULL), DECO_OK);
    assert_int_equal(deco_device_download(t.dev, z, t.m->latents.x, (size_t)(N * Z) * sizeof *z), DECO_OK);
    for (int64_t i = 0; i < N; i++) { /* how often the nearest other particle is of the same kind: half the time by chance */
        double best = INFINITY;
        int64_t nearest = i;
        for (int64_t j = 0; j < N; j++) {
            double dx = z[2 * i] - z[2 * j], dy = z[2 * i + 1] - z[2 * j + 1], d = dx * dx + dy * dy;
            if (j != i && d < best)
                best = d, nearest = j;
        }
        same += i % 2 == nearest % 2;
        pairs++;
    }
    assert_true((double)same > 0.9 * (double)pairs);
    free(z);
    end(&t);
}

static void same_seed_is_the_same_bytes_on_any_number_of_threads(void **state)
{
    size_t n, m;
    unsigned char *one = whole_run(1, 5, &n), *again;
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        again = whole_run(threads, 5, &m);
        assert_int_equal(n, m);
        assert_memory_equal(one, again, n);
        free(again);
    }
    again = whole_run(1, 6, &m);
    assert_true(n != m || memcmp(one, again, n));
    free(one);
    free(again);
}

/* Counts the lines that say a run goes on from an earlier one. */
static void count_going_on(void *user, deco_level level, const char *line)
{
    (void)level;
    *(int *)user += strstr(line, "going on in epoch") != NULL;
}

/* A run cut to pieces, each going on from the checkpoint of the one before, in a new process as far as it can tell. */
static void stopped_and_resumed_ends_where_it_would_have(void **state)
{
    training t = begin(2, 5);
    size_t n, m;
    unsigned char *whole = whole_run(2, 5, &n), *pieces;
    deco_status st = DECO_E_STOPPED;
    int stops = 0, inside = 0, going_on = 0;
    (void)state;
    for (double seconds = 0.002; st; seconds *= 1.2) {
        stopper s = {.seconds = seconds};
        pthread_t thread;
        assert_int_equal(deco_monitor_create(&s.mon, count_going_on, &going_on), DECO_OK);
        assert_int_equal(pthread_create(&thread, NULL, stop_later, &s), 0);
        st = train(&t, NULL, NULL, s.mon);
        pthread_join(thread, NULL);
        deco_monitor_free(s.mon);
        if (!st)
            break;
        assert_int_equal(st, DECO_E_STOPPED);
        assert_non_null(strstr(deco_error(), "stopped on request"));
        stops++;
        inside += t.at.step > 0;
        assert_int_equal(deco_checkpoint_write(scratch("stopped.safetensors"), t.m, &t.at), DECO_OK);
        deco_model_free(t.m);
        memset(&t.at, 0, sizeof t.at);
        assert_int_equal(deco_checkpoint_read(&t.m, &t.at, t.dev, scratch("stopped.safetensors"), true), DECO_OK);
    }
    assert_true(stops > 0 && inside > 0);
    assert_in_range(going_on, 1, stops); /* a stop before the first step leaves a fresh run */
    pieces = bytes_of(&t, &m);
    assert_int_equal(n, m);
    assert_memory_equal(whole, pieces, n);
    free(whole);
    free(pieces);
    end(&t);
}

typedef struct keeper {
    training *t;
    int asked, written;
    deco_position last;
} keeper;

static bool every_third_batch(void *context) { return ((keeper *)context)->asked++ % 3 == 2; }

static deco_status keep(void *context, const deco_position *at)
{
    keeper *k = context;
    deco_status st = deco_checkpoint_write(scratch("between.safetensors"), k->t->m, at);
    k->written += !st;
    k->last = *at;
    return st;
}

static deco_status two_epochs_more(void *context, const deco_epoch_record *r, const deco_position *at)
{
    (void)context, (void)at;
    return r->epoch == 1 ? DECO_E_STOPPED : DECO_OK;
}

/* Killed after a checkpoint inside an epoch: what follows it is lost and done again, and every epoch tells the loss of all its images. */
static void a_checkpoint_between_two_batches_goes_on_to_the_bit(void **state)
{
    training t = begin(2, 5);
    keeper k = {.t = &t};
    history whole = {0}, again = {0};
    size_t n, m;
    unsigned char *bytes, *pieces;
    (void)state;
    assert_int_equal(train(&t, note, &whole, NULL), DECO_OK);
    bytes = bytes_of(&t, &n);
    end(&t);

    t = begin(2, 5);
    deco_watch w = {.context = &k, .epoch_done = two_epochs_more, .wants_checkpoint = every_third_batch, .checkpoint = keep};
    assert_int_equal(deco_train(t.m, &t.at, &set.p, &t.stats, o, &w, NULL), DECO_E_STOPPED);
    assert_true(k.written > 3 && k.last.step > 0 && k.last.epoch == 0);
    assert_int_equal(k.last.images, k.last.step * o->batch_size_known_poses);
    deco_model_free(t.m);
    assert_int_equal(deco_checkpoint_read(&t.m, &t.at, t.dev, scratch("between.safetensors"), true), DECO_OK);
    assert_int_equal(t.at.step, k.last.step);
    int64_t before = t.at.images;
    assert_int_equal(train(&t, note, &again, NULL), DECO_OK);
    assert_int_equal(again.r[0].images_before, before);
    for (int64_t i = 0; i < again.count; i++) {
        const deco_epoch_record *a = &whole.r[whole.count - again.count + i], *b = &again.r[i];
        assert_true(a->epoch == b->epoch && a->loss == b->loss && a->images == b->images);
    }
    pieces = bytes_of(&t, &m);
    assert_int_equal(n, m);
    assert_memory_equal(bytes, pieces, n);
    free(bytes);
    free(pieces);
    end(&t);
}

static bool always(void *context) { return context != NULL; }

static void a_lost_model_is_not_given_to_be_kept(void **state)
{
    const float bad = INFINITY;
    training t = begin(2, 1);
    keeper k = {.t = &t};
    deco_watch w = {.context = &k, .wants_checkpoint = always, .checkpoint = keep};
    (void)state;
    assert_int_equal(deco_device_upload(t.dev, t.m->decoder.x, &bad, sizeof bad), DECO_OK);
    assert_int_equal(deco_train(t.m, &t.at, &set.p, &t.stats, o, &w, NULL), DECO_E_DIVERGED);
    assert_int_equal(k.written, 0);
    end(&t);
}

static void a_loss_far_above_that_of_an_empty_map_is_divergence(void **state)
{
    training t = begin(2, 1);
    double lr = o->lr;
    (void)state;
    o->lr = 1;
    assert_int_equal(train(&t, NULL, NULL, NULL), DECO_E_DIVERGED);
    assert_non_null(strstr(deco_error(), "times that of an empty map"));
    o->lr = lr;
    end(&t);
}

static void halvings_halve_both_learning_rates(void **state)
{
    training t = begin(2, 1), u = begin(2, 1);
    history a = {0}, b = {0};
    (void)state;
    u.at.halvings = 2;
    assert_int_equal(train(&t, note, &a, NULL), DECO_OK);
    assert_int_equal(train(&u, note, &b, NULL), DECO_OK);
    for (int64_t i = 0; i < a.count; i++) {
        assert_true(b.r[i].lr_decoder == a.r[i].lr_decoder / 4);
        assert_true(b.r[i].lr_latents == a.r[i].lr_latents / 4);
    }
    end(&t);
    end(&u);
}

/* warm_up_epochs 0: the rate falls over all epochs, however many there are. */
static void latents_come_to_rest_with_the_run_and_not_before(void **state)
{
    static const int64_t sgd[] = {0, 3};
    int64_t epochs = o->epochs_sgd, warm_up = o->warm_up_epochs,
            batches = (set.p.N + o->batch_size_known_poses - 1) / o->batch_size_known_poses;

    (void)state;
    o->warm_up_epochs = 0;
    for (size_t k = 0; k < 2; k++) {
        training t = begin(2, 1);
        history h = {0};
        double total = (double)(o->epochs_sgd = sgd[k]) + 2;
        assert_int_equal(train(&t, note, &h, NULL), DECO_OK);
        for (int64_t i = 0; i < h.count; i++) {
            double last_batch = (double)h.r[i].epoch + (double)(batches - 1) / (double)batches;
            if (h.r[i].epoch >= 0) /* ½(1 + cos x) = cos²(x/2) */
                assert_true(fabs(h.r[i].lr_latents - o->lr_conf_table * pow(cos(1.5707963267948966 * last_batch / total), 2)) < 1e-12);
        }
        end(&t);
    }
    o->epochs_sgd = epochs, o->warm_up_epochs = warm_up;
}

static void pretraining_can_be_left_out(void **state)
{
    training t = begin(2, 1);
    history h = {0};
    int64_t images = o->n_imgs_pretrain;
    deco_monitor *mon;
    int going_on = 0;
    (void)state;
    o->n_imgs_pretrain = 0;
    assert_int_equal(deco_monitor_create(&mon, count_going_on, &going_on), DECO_OK);
    assert_int_equal(train(&t, note, &h, mon), DECO_OK);
    deco_monitor_free(mon);
    assert_int_equal(going_on, 0);
    o->n_imgs_pretrain = images;
    assert_int_equal(h.r[0].epoch, 0);
    assert_int_equal(h.count, 2 + o->epochs_sgd);
    end(&t);
}

static deco_status only_pretraining(void *context, const deco_epoch_record *r, const deco_position *at)
{
    (void)context, (void)r, (void)at;
    return DECO_E_STOPPED;
}

static void pretraining_leaves_the_latent_table_alone(void **state)
{
    training t = begin(2, 1);
    size_t bytes = (size_t)t.m->latents.count * sizeof(float);
    float *before = malloc(bytes), *after = malloc(bytes);
    (void)state;
    assert_int_equal(deco_device_download(t.dev, before, t.m->latents.x, bytes), DECO_OK);
    assert_int_equal(train(&t, only_pretraining, NULL, NULL), DECO_E_STOPPED);
    assert_int_equal(deco_device_download(t.dev, after, t.m->latents.x, bytes), DECO_OK);
    assert_int_equal(t.at.epoch, -1);
    assert_memory_equal(before, after, bytes);
    assert_true(t.m->decoder_steps > 0);
    assert_int_equal(t.m->latent_steps, 0);
    free(before);
    free(after);
    end(&t);
}

static void lost_loss_says_which_rates_to_lower(void **state)
{
    const float bad = INFINITY;
    (void)state;
    for (int i = 0; i < 2; i++) { /* in the first weight, behind which stand all norms and ReLUs, and in the last bias */
        training t = begin(2, 1);
        assert_int_equal(deco_device_upload(t.dev, t.m->decoder.x + (i ? t.m->decoder.count - 1 : 0), &bad, sizeof bad), DECO_OK);
        assert_int_equal(train(&t, NULL, NULL, NULL), DECO_E_DIVERGED);
        assert_non_null(strstr(deco_error(), "epoch -1"));
        assert_non_null(strstr(deco_error(), "--lr"));
        end(&t);
    }
}

static void poses_and_sizes_must_fit(void **state)
{
    training t = begin(1, 1);
    float *R = set.p.R;
    (void)state;
    set.p.R = NULL;
    assert_int_equal(deco_poses_start(t.m, &set.p, o), DECO_E_ARGUMENT);
    set.p.R = R;
    set.p.N--;
    assert_int_equal(train(&t, NULL, NULL, NULL), DECO_E_ARGUMENT);
    set.p.N++;
    t.at = (deco_position){.epoch = 0, .step = 1000, .seed = 1};
    assert_int_equal(train(&t, NULL, NULL, NULL), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "batch"));
    end(&t);
}

static int set_up(void **state)
{
    (void)state;
    set = toy_make(150);
    if (deco_options_create(&o))
        return 1;
    o->use_gt_poses = true;
    o->n_imgs_pose_search = 0;
    o->epochs_sgd = 10;
    o->batch_size_known_poses = 8;
    o->lr = 3e-3;
    o->lr_conf_table = 5e-2;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    deco_options_free(o);
    toy_free(&set);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_falls_and_every_epoch_is_told),
        cmocka_unit_test(latents_tell_the_two_kinds_apart),
        cmocka_unit_test(same_seed_is_the_same_bytes_on_any_number_of_threads),
        cmocka_unit_test(stopped_and_resumed_ends_where_it_would_have),
        cmocka_unit_test(a_checkpoint_between_two_batches_goes_on_to_the_bit),
        cmocka_unit_test(a_lost_model_is_not_given_to_be_kept),
        cmocka_unit_test(a_loss_far_above_that_of_an_empty_map_is_divergence),
        cmocka_unit_test(halvings_halve_both_learning_rates),
        cmocka_unit_test(latents_come_to_rest_with_the_run_and_not_before),
        cmocka_unit_test(pretraining_can_be_left_out),
        cmocka_unit_test(pretraining_leaves_the_latent_table_alone),
        cmocka_unit_test(lost_loss_says_which_rates_to_lower),
        cmocka_unit_test(poses_and_sizes_must_fit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
