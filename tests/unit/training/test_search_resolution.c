/* l_end follows the resolution: half maps of images whose signal ends at a known shell. */
#include "training/search_resolution.h"

#include "base/philox.h"
#include "compute/ops.h"
#include "formulas/rotation.h"
#include "training/train.h"
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { D = 48, RADIUS = 16, IMAGES = 1200, BLOBS = 5 };

static const double blob[BLOBS][4] = {
    {-7, 1, 3, 1}, {6, 6, -4, 1.3}, {1, -8, 1, 0.8}, {4, -1, 9, 0.7}, {-3, 7, -7, 1.1}}; /* x y z weight, in pixels */

/* Hartley value at a lattice point, moved by t in the plane. No signal beyond shell `ends`. */
static double value_of(const double k[3], double phase_of_shift, double ends)
{
    double re = 0, im = 0, per = 6.283185307179586476925 / D;

    if (k[0] * k[0] + k[1] * k[1] + k[2] * k[2] > ends * ends)
        return 0;
    for (int b = 0; b < BLOBS; b++) {
        double phase = per * (k[0] * blob[b][0] + k[1] * blob[b][1] + k[2] * blob[b][2]) + phase_of_shift;
        re += blob[b][3] * cos(phase);
        im -= blob[b][3] * sin(phase);
    }
    return re - im;
}

typedef struct views {
    deco_mask *mask;
    float *images, *R, *shift;
    deco_ctf_row *ctf;
} views;

static float normal(deco_random *r)
{
    double u = deco_random_uniform(r), v = deco_random_uniform(r);
    return (float)(sqrt(-2 * log(1 - u)) * cos(6.283185307179586476925 * v));
}

/* Images of the blobs under a CTF, at random rotations, off their centre by `shift`, with noise of this deviation. */
static void look(views *v, double ends, double noise)
{
    deco_random r = deco_random_at(11, DECO_STREAM_SAMPLE, 0);

    assert_int_equal(deco_mask_create(&v->mask, D + 1, RADIUS), DECO_OK);
    int64_t P = v->mask->P;
    v->images = malloc((size_t)(IMAGES * P) * sizeof(float));
    v->R = malloc(IMAGES * 9 * sizeof(float));
    v->shift = malloc(IMAGES * 2 * sizeof(float));
    v->ctf = calloc(IMAGES, sizeof *v->ctf);
    for (int i = 0; i < IMAGES; i++) {
        double u[3], q[4], R[9];
        for (int j = 0; j < 3; j++)
            u[j] = deco_random_uniform(&r);
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(R, q);
        for (int j = 0; j < 9; j++)
            v->R[9 * i + j] = (float)R[j];
        for (int j = 0; j < 2; j++)
            v->shift[2 * i + j] = (float)(6 * deco_random_uniform(&r) - 3);
        v->ctf[i] = (deco_ctf_row){.defocus_u_A = 9000,
                                   .defocus_v_A = 11000,
                                   .astig_rad = 0.4f,
                                   .amp_contrast = 0.1f,
                                   .psize_A = 3,
                                   .cs_A = 2.7e7f,
                                   .lambda_A = deco_wavelength_A(300)};
        deco_ctf_phase ctf = deco_ctf_prepare(v->ctf[i]);
        for (int64_t p = 0; p < P; p++) {
            const float *k = v->mask->k + 2 * p;
            double at[3], phase = -6.283185307179586476925 * ((double)k[0] * v->shift[2 * i] + (double)k[1] * v->shift[2 * i + 1]);
            for (int d = 0; d < 3; d++)
                at[d] = D * (k[0] * R[d] + k[1] * R[3 + d]);
            v->images[i * P + p] = deco_ctf_at(ctf, k[0], k[1]) * (float)value_of(at, phase, ends) + (float)noise * normal(&r);
        }
    }
}

static void views_free(views *v)
{
    free(v->images), free(v->R), free(v->shift), free(v->ctf);
    deco_mask_free(v->mask);
}

/* In batches, on `threads`. */
static void correlate(double *fsc, const views *v, int threads)
{
    deco_half_maps *h;
    deco_device *dev;
    uint8_t half[IMAGES];

    for (int i = 0; i < IMAGES; i++)
        half[i] = i % 2;
    assert_int_equal(deco_device_create(&dev, "cpu", threads), DECO_OK);
    assert_int_equal(deco_half_maps_create(&h, dev, v->mask, RADIUS), DECO_OK);
    for (int64_t i = 0; i < IMAGES; i += 77) {
        deco_half_images in = {.B = IMAGES - i < 77 ? IMAGES - i : 77,
                               .half = half + i,
                               .images = v->images + i * v->mask->P,
                               .R = v->R + 9 * i,
                               .shift = v->shift + 2 * i,
                               .ctf = v->ctf + i};
        assert_int_equal(deco_half_maps_add(h, &in), DECO_OK);
    }
    assert_int_equal(deco_half_maps_fsc(fsc, h), DECO_OK);
    deco_half_maps_free(h);
    deco_device_free(dev);
}

static void signal_is_resolved_as_far_as_it_goes(void **state)
{
    views v;
    double fsc[RADIUS + 1], again[RADIUS + 1];
    (void)state;
    look(&v, 10, 2);
    correlate(fsc, &v, 2);
    assert_in_range(deco_resolved_radius(fsc, RADIUS), 9, 11);
    assert_true(fsc[4] > 0.95 && fsc[14] < 0.3);
    correlate(again, &v, 1);
    assert_memory_equal(fsc, again, sizeof fsc);
    views_free(&v);

    look(&v, 100, 2);
    correlate(fsc, &v, 2);
    assert_int_equal(deco_resolved_radius(fsc, RADIUS), RADIUS);
    for (int i = 0; i < IMAGES; i++) /* shifts the wrong way blur what is fine */
        v.shift[2 * i] *= -1, v.shift[2 * i + 1] *= -1;
    correlate(fsc, &v, 2);
    assert_true(deco_resolved_radius(fsc, RADIUS) < 8);
    views_free(&v);

    look(&v, 0, 1);
    correlate(fsc, &v, 2);
    assert_true(deco_resolved_radius(fsc, RADIUS) < 4);
    views_free(&v);
}

static void one_low_shell_is_passed_over_and_two_are_not(void **state)
{
    const double one[] = {1, 0.9, 0.4, 0.8, 0.7, 0.49, 0.2}, all[] = {1, 0.9, 0.8}, none[] = {1, 0.1, 0.1};
    (void)state;
    assert_int_equal(deco_resolved_radius(one, 6), 4);
    assert_int_equal(deco_resolved_radius(all, 2), 2);
    assert_int_equal(deco_resolved_radius(none, 2), 0);
}

static void the_search_looks_further_by_half_at_most(void **state)
{
    deco_options *o;
    (void)state;
    assert_int_equal(deco_options_create(&o), DECO_OK);
    assert_true(deco_search_follows(o));
    assert_int_equal(deco_followed_radius(o, 20, 32, 64), 32);
    assert_int_equal(deco_followed_radius(o, 40, 32, 64), 40);
    assert_int_equal(deco_followed_radius(o, 60, 32, 64), 48);
    assert_int_equal(deco_followed_radius(o, 60, 48, 64), 60);
    assert_int_equal(deco_followed_radius(o, 90, 48, 64), 64);
    assert_int_equal(deco_followed_radius(o, 33, 60, 64), 33);
    assert_int_equal(deco_options_put(o, "pose_search_engine", "exact", DECO_FROM_COMMAND), DECO_OK);
    assert_false(deco_search_follows(o));
    assert_int_equal(deco_options_put(o, "pose_search_engine", "sliced", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "l_end", "32", DECO_FROM_COMMAND), DECO_OK);
    assert_false(deco_search_follows(o));
    deco_options_free(o);
}

/* Without shared images by turns; images with 1 to 7 rows each, shuffled: an image is in one half, and the halves stay even. */
static void rows_of_one_image_are_in_one_half(void **state)
{
    enum { ROWS = 80, SHARED = 24 };
    deco_image_ref image[ROWS];
    int64_t row[ROWS];
    uint8_t half[ROWS], of[SHARED];
    int count[2] = {0};
    deco_random r = deco_random_at(1, 1, 1);
    (void)state;
    deco_random_permutation(&r, row, ROWS);
    for (int i = 0; i < ROWS; i++)
        image[i] = (deco_image_ref){.stack = i % 3, .index = i / 3};
    assert_int_equal(deco_half_maps_deal(half, image, row, ROWS), DECO_OK);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(half[i], i % 2);
    for (int i = 0, next = 0, left = 1; i < ROWS; i++, left--) {
        if (!left)
            next++, left = 1 + next % 7;
        image[i] = (deco_image_ref){.stack = next % 2, .index = next / 2};
    }
    memset(of, 9, sizeof of);
    assert_int_equal(deco_half_maps_deal(half, image, row, ROWS), DECO_OK);
    for (int i = 0; i < ROWS; i++) {
        int number = 2 * (int)image[row[i]].index + (int)image[row[i]].stack;
        assert_true(number < SHARED);
        assert_true(of[number] == 9 || of[number] == half[i]);
        of[number] = half[i];
        count[half[i]]++;
    }
    assert_in_range(count[0], ROWS / 2 - 7, ROWS / 2 + 7);
}

/* The memory forecast of an epoch that measures how far to look has the half maps in it, and they take what it says. */
static void half_maps_are_in_the_forecast_of_memory(void **state)
{
    deco_options *o;
    deco_half_maps *h = NULL;
    deco_mask *mask = NULL;
    deco_device *dev = NULL;
    const deco_hypervolume shape = {.L = 129, .pe_dim = 8, .H = 32, .n = 1, .Z = 2, .layer_norm = true};
    size_t with, without;
    (void)state;
    assert_int_equal(deco_options_create(&o), DECO_OK);
    assert_int_equal(deco_options_put(o, "pose_search_engine", "sliced", DECO_FROM_COMMAND), DECO_OK);
    with = deco_train_bytes(o, &shape, NULL, 1000, 128, 2);
    assert_int_equal(deco_options_put(o, "l_end", "64", DECO_FROM_COMMAND), DECO_OK); /* as far as it could look, and nothing to measure */
    without = deco_train_bytes(o, &shape, NULL, 1000, 128, 2);
    deco_options_free(o);
    assert_int_equal(with - without, deco_half_maps_bytes(129 * 129, 64));

    assert_int_equal(deco_device_create(&dev, "cpu", 1), DECO_OK);
    assert_int_equal(deco_mask_create(&mask, 129, 64), DECO_OK);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(deco_half_maps_create(&h, dev, mask, 64), DECO_OK);
    size_t taken = mallinfo2().uordblks + mallinfo2().hblkhd - before, said = deco_half_maps_bytes(mask->P, 64);
    const size_t rounding = (size_t)2 * (4 << 20); /* two arrays on the device, whole pages of 2 MiB and aligned to them */
    if (taken)                                     /* a sanitizer's own allocator tells nothing */
        assert_in_range(taken, said, said + rounding + said / 100);
    deco_half_maps_free(h);
    deco_mask_free(mask);
    deco_device_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signal_is_resolved_as_far_as_it_goes), cmocka_unit_test(one_low_shell_is_passed_over_and_two_are_not),
        cmocka_unit_test(the_search_looks_further_by_half_at_most), cmocka_unit_test(half_maps_are_in_the_forecast_of_memory),
        cmocka_unit_test(rows_of_one_image_are_in_one_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
