/* How far poses and latents moved: medians of what is known, of all particles or of an even sample. */
#include "formulas/rotation.h"
#include "training/changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_device *dev;

static deco_model *make(int64_t N, int64_t Z)
{
    deco_model_config c = {.shape = {.L = 9, .pe_dim = 2, .H = 5, .n = 1, .Z = Z, .layer_norm = true},
                           .feat_sigma = 0.5,
                           .psize_A = 1,
                           .std = 1,
                           .D = 8,
                           .radius = 4,
                           .N = N,
                           .seed = 3};
    deco_model *m;
    assert_int_equal(deco_model_create(&m, dev, &c), DECO_OK);
    return m;
}

/* Row i turns by `deg(i)` about an axis of the map, its shift moves by px(i), its latent's first number by dz(i). */
static void move(deco_model *m, double (*deg)(int64_t), double px, float dz)
{
    int64_t N = m->N, Z = m->shape.Z;
    float *R = malloc((size_t)N * 9 * sizeof *R), *shift = malloc((size_t)N * 2 * sizeof *shift);
    float *z = malloc((size_t)(N * Z + 1) * sizeof *z);
    assert_int_equal(deco_poses_get(R, shift, m, NULL, N), DECO_OK);
    for (int64_t i = 0; i < N; i++) {
        double a = deg(i) * acos(-1) / 180, c = cos(a), s = sin(a);
        for (int row = 0; row < 3; row++) {
            float *r = R + 9 * i + 3 * row, x = r[0], y = r[1];
            r[0] = (float)(c * x - s * y);
            r[1] = (float)(s * x + c * y);
        }
        shift[2 * i] += (float)(0.6 * px);
        shift[2 * i + 1] -= (float)(0.8 * px);
    }
    assert_int_equal(deco_poses_put(m, NULL, N, R, shift), DECO_OK);
    if (Z) {
        assert_int_equal(deco_device_download(dev, z, m->latents.x, (size_t)(N * Z) * sizeof *z), DECO_OK);
        for (int64_t i = 0; i < N; i++)
            z[i * Z] += dz;
        assert_int_equal(deco_device_upload(dev, m->latents.x, z, (size_t)(N * Z) * sizeof *z), DECO_OK);
    }
    free(R);
    free(shift);
    free(z);
}

static double by_row(int64_t i) { return (double)(i % 101); } /* median 50 */
static double little(int64_t i) { return (void)i, 0.02; }
static double half_turn(int64_t i) { return (void)i, 180; }

static void medians_are_those_of_what_moved(void **state)
{
    (void)state;
    for (int64_t Z = 0; Z < 3; Z += 2) {
        deco_model *m = make(101, Z);
        deco_changes *c;
        deco_change moved;
        assert_int_equal(deco_changes_create(&c, m), DECO_OK);
        assert_int_equal(deco_changes_begin(c, false), DECO_OK);
        assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
        assert_true(moved.deg == 0 && moved.px == 0 && moved.latents == 0 && moved.particles == 101);
        move(m, by_row, 1.5, 0.25F);
        assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
        assert_true(fabs(moved.deg - 50) < 1e-4);
        assert_true(fabs(moved.px - 1.5) < 1e-6);
        assert_true(fabs(moved.latents - (Z ? 0.25 : 0)) < 1e-6);
        assert_int_equal(deco_changes_begin(c, false), DECO_OK);
        move(m, little, 0, 0);
        assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
        assert_true(fabs(moved.deg - 0.02) < 2e-5); /* entries in f32: a few 1e-8 of 3.5e-4 rad */
        assert_int_equal(deco_changes_begin(c, false), DECO_OK);
        move(m, half_turn, 0, 0);
        assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
        assert_true(moved.deg > 179.9);
        deco_changes_free(c);
        deco_model_free(m);
    }
}

static void of_a_large_set_a_sample_is_taken_from_all_over(void **state)
{
    deco_model *m = make(25250, 1); /* 250 times 101 */
    deco_changes *c;
    deco_change moved;
    (void)state;
    assert_int_equal(deco_changes_create(&c, m), DECO_OK);
    assert_int_equal(deco_changes_begin(c, false), DECO_OK);
    move(m, by_row, 1, 1);
    assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
    assert_int_equal(moved.particles, DECO_CHANGES_MOST);
    assert_true(fabs(moved.deg - 50) <= 2);
    deco_changes_free(c);
    deco_model_free(m);
}

static void an_epoch_taken_up_again_is_measured_from_its_beginning(void **state)
{
    deco_model *m = make(101, 2);
    deco_changes *c;
    deco_change moved;
    (void)state;
    assert_int_equal(deco_changes_create(&c, m), DECO_OK);
    assert_int_equal(deco_changes_begin(c, true), DECO_OK); /* nothing is known: from here on */
    move(m, by_row, 1.5, 0.25F);
    deco_changes_free(c); /* the run ends; its model is what a checkpoint gives back */
    assert_int_equal(deco_changes_create(&c, m), DECO_OK);
    assert_int_equal(deco_changes_begin(c, true), DECO_OK);
    assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
    assert_true(fabs(moved.deg - 50) < 1e-4 && fabs(moved.px - 1.5) < 1e-6 && fabs(moved.latents - 0.25) < 1e-6);
    assert_int_equal(deco_changes_begin(c, false), DECO_OK); /* the next epoch */
    assert_int_equal(deco_changes_end(&moved, c), DECO_OK);
    assert_true(moved.deg == 0 && moved.px == 0 && moved.latents == 0);
    deco_changes_free(c);
    deco_model_free(m);
}

static int set_up(void **state)
{
    (void)state;
    return deco_device_create(&dev, "cpu", 2);
}

static int tear_down(void **state)
{
    (void)state;
    deco_device_free(dev);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians_are_those_of_what_moved),
        cmocka_unit_test(of_a_large_set_a_sample_is_taken_from_all_over),
        cmocka_unit_test(an_epoch_taken_up_again_is_measured_from_its_beginning),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
