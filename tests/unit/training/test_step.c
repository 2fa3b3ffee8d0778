/* One training step: what it changes, what it leaves alone, and that its bits do not depend on threads or buffers. */
#include "base/philox.h"
#include "training/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { BOX = 16, ROWS = 7, MOST = 5 };

/* A model, a step and a batch's inputs. */
typedef struct bench {
    deco_device *dev;
    deco_model *m;
    deco_mask *mask;
    deco_step *step;
    float *images, R[9 * MOST], shift[2 * MOST], z[4 * MOST];
    deco_ctf_row ctf[MOST];
    int64_t row[MOST];
} bench;

static bench begin(int threads, int64_t batch, int64_t Z)
{
    bench b = {0};
    deco_model_config c = {.shape = {.L = BOX + 1, .pe_dim = 6, .H = 24, .n = 2, .Z = Z, .layer_norm = true},
                           .feat_sigma = 0.5,
                           .psize_A = 2,
                           .std = 1,
                           .D = BOX,
                           .radius = BOX / 2,
                           .N = ROWS,
                           .train_poses = true,
                           .seed = 5};
    deco_random r = deco_random_at(1, DECO_STREAM_SAMPLE, 0);

    assert_int_equal(deco_device_create(&b.dev, "cpu", threads), DECO_OK);
    assert_int_equal(deco_model_create(&b.m, b.dev, &c), DECO_OK);
    assert_int_equal(deco_mask_create(&b.mask, BOX + 1, BOX / 2), DECO_OK);
    assert_int_equal(deco_step_create(&b.step, b.m, b.mask, batch), DECO_OK);
    b.images = calloc((size_t)(MOST * b.mask->P), sizeof *b.images);
    for (int64_t i = 0; i < MOST * b.mask->P; i++)
        b.images[i] = (float)deco_random_normal(&r);
    for (int i = 0; i < MOST; i++) {
        float a = 0.7f * (float)i;
        const float R[9] = {cosf(a), sinf(a), 0, 0, 0, 1, sinf(a), -cosf(a), 0};
        memcpy(b.R + 9 * i, R, sizeof R);
        b.shift[2 * i] = (float)deco_random_normal(&r);
        b.shift[2 * i + 1] = (float)deco_random_normal(&r);
        b.ctf[i] = (deco_ctf_row){.defocus_u_A = 9000.f + 500.f * (float)i,
                                  .defocus_v_A = 9500,
                                  .amp_contrast = 0.1f,
                                  .psize_A = 2,
                                  .cs_A = 2.7e7f,
                                  .lambda_A = 0.0197};
        b.row[i] = (3 * i + 1) % ROWS;
        for (int j = 0; j < 4; j++)
            b.z[4 * i + j] = (float)deco_random_normal(&r);
    }
    return b;
}

static void end(bench *b)
{
    deco_step_free(b->step);
    deco_mask_free(b->mask);
    deco_model_free(b->m);
    deco_device_free(b->dev);
    free(b->images);
}

static deco_step_input input(const bench *b, int64_t B)
{
    return (deco_step_input){.B = B,
                             .row = b->row,
                             .images = b->images,
                             .ctf = b->ctf,
                             .R = b->R,
                             .shift = b->shift,
                             .lr_decoder = 1e-3,
                             .lr_latents = 1e-2,
                             .decay = 0.01};
}

static void run(bench *b, deco_step_input in) { assert_int_equal(deco_step_run(b->step, &in), DECO_OK); }

/* x, m and v one after another, to be freed. */
static float *all_of(const bench *b, const deco_trained *t)
{
    size_t n = (size_t)t->count;
    float *out = malloc(3 * n * sizeof *out);
    assert_int_equal(deco_device_download(b->dev, out, t->x, n * sizeof *out), DECO_OK);
    assert_int_equal(deco_device_download(b->dev, out + n, t->m, n * sizeof *out), DECO_OK);
    assert_int_equal(deco_device_download(b->dev, out + 2 * n, t->v, n * sizeof *out), DECO_OK);
    return out;
}

static void expect_same_model(const bench *a, const bench *b)
{
    float *x = all_of(a, &a->m->decoder), *y = all_of(b, &b->m->decoder);
    assert_memory_equal(x, y, 3 * (size_t)a->m->decoder.count * sizeof *x);
    free(x);
    free(y);
    x = all_of(a, &a->m->latents), y = all_of(b, &b->m->latents);
    assert_memory_equal(x, y, 3 * (size_t)a->m->latents.count * sizeof *x);
    free(x);
    free(y);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    bench one = begin(1, MOST, 4);
    (void)state;
    for (int i = 0; i < 4; i++)
        run(&one, input(&one, MOST));
    for (int threads = 2; threads <= 3; threads++) {
        bench more = begin(threads, MOST, 4);
        for (int i = 0; i < 4; i++)
            run(&more, input(&more, MOST));
        expect_same_model(&one, &more);
        end(&more);
    }
    end(&one);
}

static void short_batch_is_as_good_as_a_step_of_that_size(void **state)
{
    bench wide = begin(2, MOST, 4), fit = begin(2, 2, 4);
    double a, b;
    int64_t n;
    (void)state;
    for (int i = 0; i < 2; i++) {
        run(&wide, input(&wide, 2));
        run(&fit, input(&fit, 2));
    }
    assert_int_equal(deco_step_loss(wide.step, &a, &n), DECO_OK);
    assert_int_equal(deco_step_loss(fit.step, &b, &n), DECO_OK);
    assert_true(a == b);
    expect_same_model(&wide, &fit);
    end(&wide);
    end(&fit);
}

/* The table is dense: a row of an earlier batch goes on moving, a row never met stays. */
static void rows_outside_the_batch_move_by_their_old_moments(void **state)
{
    bench b = begin(2, MOST, 4);
    deco_step_input in = input(&b, 1);
    int64_t first = 2, second = 4;
    (void)state;
    float *start = all_of(&b, &b.m->latents);
    in.row = &first;
    run(&b, in);
    float *then = all_of(&b, &b.m->latents);
    in.row = &second;
    run(&b, in);
    float *now = all_of(&b, &b.m->latents);
    assert_memory_equal(start, now, 4 * sizeof *now); /* row 0 */
    assert_memory_not_equal(start + 4 * first, then + 4 * first, 4 * sizeof *now);
    assert_memory_not_equal(then + 4 * first, now + 4 * first, 4 * sizeof *now);
    assert_memory_equal(start + 4 * second, then + 4 * second, 4 * sizeof *now);
    assert_memory_not_equal(start + 4 * second, now + 4 * second, 4 * sizeof *now);
    /* β1 of the old first moment is left, and nothing was added: the gradient table was cleared. */
    const float *m_then = then + b.m->latents.count + 4 * first, *m_now = now + b.m->latents.count + 4 * first;
    for (int j = 0; j < 4; j++)
        assert_true(fabsf(m_now[j] - 0.9f * m_then[j]) <= 1e-6f * fabsf(m_then[j]));
    free(start);
    free(then);
    free(now);
    end(&b);
}

/* Rows of the table whose batch it is move, and go on moving by their moments; others stay. */
static void poses_of_the_table_are_trained_and_given_ones_are_not(void **state)
{
    bench b = begin(2, MOST, 4);
    deco_step_input in = input(&b, 2);
    const deco_trained *table[] = {&b.m->rotations, &b.m->shifts};
    const int64_t width[] = {6, 2};
    float *start[2], *then[2], *now[2];
    (void)state;
    for (int k = 0; k < 2; k++)
        start[k] = all_of(&b, table[k]);
    run(&b, in); /* poses given */
    assert_int_equal(b.m->pose_steps, 0);
    for (int k = 0; k < 2; k++) {
        then[k] = all_of(&b, table[k]);
        assert_memory_equal(start[k], then[k], 3 * (size_t)table[k]->count * sizeof(float));
        free(then[k]);
    }
    in.R = in.shift = NULL;
    in.train_rotations = in.train_shifts = true;
    in.lr_poses = 1e-2;
    run(&b, in);
    for (int k = 0; k < 2; k++)
        then[k] = all_of(&b, table[k]);
    in.B = 1;
    run(&b, in);
    assert_int_equal(b.m->pose_steps, 2);
    for (int k = 0; k < 2; k++) {
        size_t bytes = (size_t)width[k] * sizeof(float);
        int64_t first = b.row[0] * width[k], second = b.row[1] * width[k], other = b.row[2] * width[k];
        now[k] = all_of(&b, table[k]);
        assert_memory_not_equal(start[k] + first, then[k] + first, bytes);
        assert_memory_not_equal(then[k] + first, now[k] + first, bytes);
        assert_memory_not_equal(then[k] + second, now[k] + second, bytes); /* no longer in the batch */
        assert_memory_equal(start[k] + other, now[k] + other, bytes);
        for (int64_t c = 0; c < width[k]; c++) /* Adam's first step is its rate, whatever the gradient */
            assert_true(fabsf(fabsf(then[k][first + c] - start[k][first + c]) - 1e-2f) < 1e-4f);
        free(start[k]);
        free(then[k]);
        free(now[k]);
    }
    end(&b);
}

static void frozen_latents_are_the_tables_and_stay(void **state)
{
    bench b = begin(2, MOST, 4), given = begin(2, MOST, 4);
    deco_step_input in = input(&b, MOST), with_z = input(&given, MOST);
    double loss, other;
    int64_t n;
    (void)state;
    in.latents_frozen = true;
    for (int i = 0; i < MOST; i++)
        assert_int_equal(deco_device_download(b.dev, given.z + 4 * i, b.m->latents.x + 4 * b.row[i], 4 * sizeof(float)), DECO_OK);
    with_z.z = given.z;
    run(&b, in);
    run(&given, with_z);
    assert_int_equal(deco_step_loss(b.step, &loss, &n), DECO_OK);
    assert_int_equal(deco_step_loss(given.step, &other, &n), DECO_OK);
    assert_true(loss == other);
    expect_same_model(&b, &given);
    assert_int_equal(b.m->latent_steps, 0);
    end(&b);
    end(&given);
}

/* Images held out of the decoder's training move their latents, and not the decoder, its moments or their count. */
static void a_frozen_decoder_stays_and_latents_move(void **state)
{
    bench b = begin(2, MOST, 4);
    deco_step_input in = input(&b, MOST);
    size_t n = 3 * (size_t)b.m->decoder.count, latents = (size_t)b.m->latents.count;
    (void)state;
    run(&b, in);
    int64_t steps = b.m->decoder_steps;
    float *before = all_of(&b, &b.m->decoder), *z = all_of(&b, &b.m->latents);
    in.decoder_frozen = true;
    run(&b, in);
    float *after = all_of(&b, &b.m->decoder), *moved = all_of(&b, &b.m->latents);
    assert_memory_equal(before, after, n * sizeof *after);
    assert_memory_not_equal(z, moved, latents * sizeof *moved);
    assert_int_equal(b.m->decoder_steps, steps);
    free(before);
    free(after);
    free(z);
    free(moved);
    end(&b);
}

static void rate_zero_moves_moments_alone(void **state)
{
    bench b = begin(2, MOST, 4);
    deco_step_input in = input(&b, MOST);
    size_t n = (size_t)b.m->latents.count;
    (void)state;
    in.lr_latents = 0;
    float *before = all_of(&b, &b.m->latents);
    run(&b, in);
    float *after = all_of(&b, &b.m->latents);
    assert_memory_equal(before, after, n * sizeof *after);
    assert_memory_not_equal(before + n, after + n, n * sizeof *after);
    free(before);
    free(after);
    end(&b);
}

static void given_latents_leave_the_table_alone(void **state)
{
    bench b = begin(2, MOST, 4);
    deco_step_input in = input(&b, MOST);
    (void)state;
    in.z = b.z;
    in.row = NULL;
    float *table = all_of(&b, &b.m->latents), *decoder = all_of(&b, &b.m->decoder);
    run(&b, in);
    float *table_now = all_of(&b, &b.m->latents), *decoder_now = all_of(&b, &b.m->decoder);
    assert_memory_equal(table, table_now, 3 * (size_t)b.m->latents.count * sizeof *table);
    assert_memory_not_equal(decoder, decoder_now, (size_t)b.m->decoder.count * sizeof *decoder);
    assert_int_equal(b.m->latent_steps, 0);
    assert_int_equal(b.m->decoder_steps, 1);
    free(table);
    free(decoder);
    free(table_now);
    free(decoder_now);
    end(&b);
}

static void homogeneous_decoder_trains_without_latents(void **state)
{
    bench b = begin(2, MOST, 0);
    double first, last;
    int64_t n;
    (void)state;
    run(&b, input(&b, MOST));
    assert_int_equal(deco_step_loss(b.step, &first, &n), DECO_OK);
    for (int i = 0; i < 60; i++)
        run(&b, input(&b, MOST));
    deco_step_loss(b.step, &last, &n);
    run(&b, input(&b, MOST));
    assert_int_equal(deco_step_loss(b.step, &last, &n), DECO_OK);
    assert_true(last < 0.9 * first); /* one batch again and again: its noise is learnt by heart */
    end(&b);
}

static void mean_loss_counts_images_not_steps(void **state)
{
    bench b = begin(2, MOST, 4);
    deco_step_input five = input(&b, 5), two = input(&b, 2);
    double l5, l2, both;
    int64_t n;
    (void)state;
    five.lr_decoder = five.lr_latents = five.decay = two.lr_decoder = two.lr_latents = two.decay = 0;
    run(&b, five);
    assert_int_equal(deco_step_loss(b.step, &l5, &n), DECO_OK);
    run(&b, two);
    assert_int_equal(deco_step_loss(b.step, &l2, &n), DECO_OK);
    for (int i = 0; i < 70; i++) { /* more steps than loss slots */
        run(&b, five);
        run(&b, two);
    }
    assert_int_equal(deco_step_loss(b.step, &both, &n), DECO_OK);
    assert_int_equal(n, 70 * 7);
    assert_true(fabs(both - (5 * l5 + 2 * l2) / 7) < 1e-12 * both);
    assert_int_equal(deco_step_loss(b.step, &both, &n), DECO_OK);
    assert_int_equal(n, 0);
    end(&b);
}

static void loss_that_is_no_number_is_noticed(void **state)
{
    bench b = begin(2, MOST, 4);
    double mean;
    int64_t n;
    deco_status st = DECO_OK;
    deco_step_input in = input(&b, MOST);
    (void)state;
    run(&b, in);
    b.images[3] = NAN;
    run(&b, in);
    assert_int_equal(deco_step_loss(b.step, &mean, &n), DECO_E_DIVERGED);
    assert_non_null(strstr(deco_error(), "step 2"));
    for (int i = 0; i < 100 && !st; i++) /* also when no one asks */
        st = deco_step_run(b.step, &in);
    assert_int_equal(st, DECO_E_DIVERGED);
    end(&b);
}

static void wrong_batches_are_refused(void **state)
{
    bench b = begin(1, MOST, 4);
    deco_step_input in = input(&b, MOST + 1);
    int64_t far = ROWS;
    deco_step *s;
    (void)state;
    assert_int_equal(deco_step_run(b.step, &in), DECO_E_ARGUMENT);
    in.B = 0;
    assert_int_equal(deco_step_run(b.step, &in), DECO_E_ARGUMENT);
    in.B = 1;
    in.row = &far;
    assert_int_equal(deco_step_run(b.step, &in), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "row 7"));
    in = input(&b, 1);
    in.train_rotations = true;
    assert_int_equal(deco_step_run(b.step, &in), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "leave them to the table"));
    assert_int_equal(deco_step_create(&s, b.m, b.mask, 0), DECO_E_ARGUMENT);
    assert_int_equal(deco_step_create(&s, b.m, b.mask, INT64_MAX / 2), DECO_E_ARGUMENT);
    assert_null(s);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(short_batch_is_as_good_as_a_step_of_that_size),
        cmocka_unit_test(rows_outside_the_batch_move_by_their_old_moments),
        cmocka_unit_test(poses_of_the_table_are_trained_and_given_ones_are_not),
        cmocka_unit_test(frozen_latents_are_the_tables_and_stay),
        cmocka_unit_test(a_frozen_decoder_stays_and_latents_move),
        cmocka_unit_test(rate_zero_moves_moments_alone),
        cmocka_unit_test(given_latents_leave_the_table_alone),
        cmocka_unit_test(homogeneous_decoder_trains_without_latents),
        cmocka_unit_test(mean_loss_counts_images_not_steps),
        cmocka_unit_test(loss_that_is_no_number_is_noticed),
        cmocka_unit_test(wrong_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
