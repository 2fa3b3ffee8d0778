/* Golden topics a, c, d and the slices of e: transforms, symmetrised lattice, deviation, CTF, shifts. */
#include "compute/ops.h"
#include "geometry/lattice.h"
#include "support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static deco_device *dev; /* the CPU: its memory is the host's */

static int setup(void **state) { return deco_device_create(&dev, "cpu", 2) != DECO_OK; }
static int teardown(void **state)
{
    deco_device_free(dev);
    return 0;
}

static float *floats(int64_t n)
{
    float *p = calloc((size_t)n + 1, sizeof *p);
    assert_non_null(p);
    return p;
}

#define OK(call) \
    do { \
        if (call) \
            fail_msg("%s", deco_error()); \
    } while (0)

/* "<prefix><words><suffix>" for a name that begins with another prefix and has the same words. */
static const char *sibling(char out[160], const char *name, const char *prefix, const char *other)
{
    snprintf(out, 160, "%s%s", other, name + strlen(prefix));
    return out;
}

/* ---- transforms -------------------------------------------------------------------------------------------------- */

static void symmetrise(float *to, const float *x, int64_t D)
{
    for (int64_t i = 0; i < (D + 1) * (D + 1); i++)
        to[i] = x[i / (D + 1) % D * D + i % (D + 1) % D];
}

/* Mask values and sums of the operations, for every point of the lattice, against the symmetrised file. */
static void check_lattice(const char *name, float *hartley, int64_t B, int64_t D)
{
    int64_t P = (D + 1) * (D + 1);
    float *masked = floats(B * P), *scale = floats(B);
    int32_t *index = calloc((size_t)P, sizeof *index);
    for (int64_t p = 0; p < P; p++)
        index[p] = (int32_t)p;
    for (int64_t b = 0; b < B; b++)
        scale[b] = 1;
    OK(deco_mask_gather(dev, deco_f32_2(masked, B, P), deco_f32_3(hartley, B, D, D), deco_array_of(index, DECO_I32, 1, P, 1, 1, 1),
                        deco_f32_1(scale, B)));
    golden_expect_f(name, masked, B * P);
    free(masked), free(scale), free(index);
}

static void images_transform_and_symmetrise(void **state)
{
    const char **names;
    char name[160];
    int count = golden_list(&names, "a_images/img_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        golden_array x = golden_read(names[i]);
        int64_t B = x.shape[0], D = x.shape[1];
        float *h = floats(x.count);
        OK(deco_hartley_2d(dev, deco_f32_3(h, B, D, D), deco_f32_3(x.f, B, D, D), false));
        golden_expect_f(sibling(name, names[i], "a_images/img_", "a_images/hartley_"), h, x.count);
        check_lattice(sibling(name, names[i], "a_images/img_", "a_images/sym_"), h, B, D);
        free(h);
        golden_free(&x);
    }
}

static void spectra_transform_back(void **state)
{
    const char **names;
    char name[160];
    int count = golden_list(&names, "a_images/spectrum_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        golden_array x = golden_read(names[i]);
        int64_t B = x.shape[0], D = x.shape[1];
        float *y = floats(x.count);
        OK(deco_hartley_2d(dev, deco_f32_3(y, B, D, D), deco_f32_3(x.f, B, D, D), true));
        golden_expect_f(sibling(name, names[i], "a_images/spectrum_", "a_images/inverse_"), y, x.count);
        free(y);
        golden_free(&x);
    }
}

static void volumes_transform_both_ways(void **state)
{
    const char **names;
    char name[160];
    int count = golden_list(&names, "a_images/vol_", ".npy"), volumes = 0;
    for (int i = 0; i < count; i++) {
        if (strspn(names[i] + strlen("a_images/vol_"), "0123456789") == 0)
            continue; /* vol_hartley_, vol_inverse_ */
        golden_array x = golden_read(names[i]);
        int64_t D = x.shape[0];
        float *y = floats(x.count);
        OK(deco_hartley_3d(dev, deco_f32_3(y, D, D, D), deco_f32_3(x.f, D, D, D), false));
        golden_expect_f(sibling(name, names[i], "a_images/vol_", "a_images/vol_hartley_"), y, x.count);
        OK(deco_hartley_3d(dev, deco_f32_3(y, D, D, D), deco_f32_3(x.f, D, D, D), true));
        golden_expect_f(sibling(name, names[i], "a_images/vol_", "a_images/vol_inverse_"), y, x.count);
        volumes++;
        free(y);
        golden_free(&x);
    }
    assert_true(volumes > 0);
}

/* The central `to`×`to` square of a transform, from D/2 - to/2. METHOD.md section 1.2. */
static void crop(float *y, const float *x, int64_t B, int64_t D, int64_t to)
{
    int64_t first = D / 2 - to / 2;
    for (int64_t i = 0; i < B * to * to; i++)
        y[i] = x[(i / (to * to) * D + i / to % to + first) * D + i % to + first];
}

static void cropped_transforms_are_smaller_images(void **state)
{
    const char **names;
    int count = golden_list(&names, "a_images/down_", "_in.npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        char name[160];
        snprintf(name, sizeof name, "%.*s_out.npy", (int)(strlen(names[i]) - strlen("_in.npy")), names[i]);
        golden_array x = golden_read(names[i]), out = golden_read(name);
        int64_t B = x.shape[0], D = x.shape[1], to = out.shape[1];
        float *h = floats(x.count), *y = floats(out.count);
        OK(deco_hartley_2d(dev, deco_f32_3(h, B, D, D), deco_f32_3(x.f, B, D, D), false));
        crop(y, h, B, D, to);
        OK(deco_hartley_2d(dev, deco_f32_3(y, B, to, to), deco_f32_3(y, B, to, to), true));
        golden_expect_f(name, y, out.count);
        free(h), free(y);
        golden_free(&x), golden_free(&out);
    }
}

/* Window, crop, symmetrise; then mean and deviation from the sums of all images. METHOD.md sections 1.1 to 1.5. */
static void the_whole_preparation_and_its_deviation(void **state)
{
    golden_array x = golden_read("a_images/pipeline_in.npy"), out = golden_read("a_images/pipeline_hartley.npy");
    int64_t B = x.shape[0], D = x.shape[1], L = out.shape[1], to = L - 1;
    float *window = floats(D * D), *h = floats(x.count), *y = floats(B * to * to), *all = floats(out.count);
    double *sums = calloc((size_t)(2 * B), sizeof *sums), sum = 0, squares = 0, n = (double)out.count;
    deco_window_fill(window, D);
    for (int64_t i = 0; i < x.count; i++)
        h[i] = x.f[i] * window[i % (D * D)];
    OK(deco_hartley_2d(dev, deco_f32_3(h, B, D, D), deco_f32_3(h, B, D, D), false));
    crop(y, h, B, D, to);
    for (int64_t b = 0; b < B; b++)
        symmetrise(all + b * L * L, y + b * to * to, to);
    golden_expect_f("a_images/pipeline_hartley.npy", all, out.count);
    OK(deco_lattice_sums(dev, deco_array_of(sums, DECO_F64, 2, B, 2, 1, 1), deco_f32_3(y, B, to, to)));
    for (int64_t b = 0; b < B; b++)
        sum += sums[2 * b], squares += sums[2 * b + 1];
    double mean = sum / n, rms = sqrt(squares / n);
    golden_expect("a_images/pipeline_std.npy", (double[]){sqrt(squares / n - mean * mean), mean, rms}, 3);
    free(window), free(h), free(y), free(all), free(sums);
    golden_free(&x), golden_free(&out);
}

/* ---- points of a mask --------------------------------------------------------------------------------------------- */

/* Frequencies [P,2] of a list of lattice points. */
static float *frequencies(const golden_array *mask, int64_t L)
{
    float *k = floats(2 * mask->count);
    for (int64_t p = 0; p < mask->count; p++) {
        k[2 * p] = (float)deco_lattice_axis(L, (int64_t)mask->v[p] % L);
        k[2 * p + 1] = (float)deco_lattice_axis(L, (int64_t)mask->v[p] / L);
    }
    return k;
}

static void check_ctf(const char *name, const golden_array *params, float *k, int64_t P, bool bfactor)
{
    const double degree = 3.14159265358979323846 / 180;
    int64_t B = params->shape[0];
    deco_ctf_row *row = calloc((size_t)B, sizeof *row);
    float *mine = floats(B * P);
    for (int64_t b = 0; b < B; b++) {
        const double *v = params->v + 9 * b;
        row[b] = (deco_ctf_row){.psize_A = (float)v[0],
                                .defocus_u_A = (float)v[1],
                                .defocus_v_A = (float)v[2],
                                .astig_rad = (float)(v[3] * degree),
                                .lambda_A = deco_wavelength_A(v[4]),
                                .cs_A = (float)(v[5] * 1e7),
                                .amp_contrast = (float)v[6],
                                .phase_rad = (float)(v[7] * degree),
                                .bfactor_A2 = bfactor ? (float)v[8] : 0};
    }
    OK(deco_ctf_values(dev, deco_f32_2(mine, B, P), (deco_array){row, DECO_BYTES, 1, {B, 1, 1, 1}, sizeof *row}, deco_f32_2(k, P, 2)));
    golden_expect_f(name, mine, B * P);
    free(row), free(mine);
}

static void ctf_with_and_without_b_factor(void **state)
{
    const char **names;
    char name[160];
    int count = golden_list(&names, "c_ctf/params_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        golden_array params = golden_read(names[i]), mask = golden_read(sibling(name, names[i], "c_ctf/params_", "c_ctf/mask_"));
        float *k = frequencies(&mask, atoll(names[i] + strlen("c_ctf/params_")));
        check_ctf(sibling(name, names[i], "c_ctf/params_", "c_ctf/ctf_"), &params, k, mask.count, false);
        check_ctf(sibling(name, names[i], "c_ctf/params_", "c_ctf/ctf_bfactor_"), &params, k, mask.count, true);
        free(k);
        golden_free(&params), golden_free(&mask);
    }
}

/* Image b of `images` shifted by each of its `per` shifts; one list for all images, or (`own`) one shift each. */
static void check_shift(const char *name, const golden_array *images, const golden_array *t, float *k, int64_t first_images, bool own)
{
    int64_t P = images->shape[1], per = own ? 1 : t->shape[0], B = first_images * per;
    float *x = floats(B * P), *shift = floats(2 * B), *y = floats(B * P);
    for (int64_t b = 0; b < B; b++) {
        memcpy(x + b * P, images->f + b / per * P, (size_t)P * sizeof *x);
        memcpy(shift + 2 * b, t->f + 2 * (own ? b : b % per), 2 * sizeof *x);
    }
    OK(deco_shift(dev, deco_f32_2(y, B, P), deco_f32_2(x, B, P), deco_f32_2(shift, B, 2), deco_f32_2(k, P, 2)));
    golden_expect_f(name, y, B * P);
    free(x), free(shift), free(y);
}

static void shifts_of_images(void **state)
{
    const char **names, *prefix = "d_shifts/img_";
    char name[160];
    int count = golden_list(&names, prefix, ".npy");
    golden_array grid = golden_read("d_shifts/grid_base.npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        golden_array x = golden_read(names[i]), mask = golden_read(sibling(name, names[i], prefix, "d_shifts/mask_"));
        golden_array t = golden_read(sibling(name, names[i], prefix, "d_shifts/t_"));
        golden_array own = golden_read(sibling(name, names[i], prefix, "d_shifts/t_own_"));
        float *k = frequencies(&mask, atoll(names[i] + strlen(prefix)));
        check_shift(sibling(name, names[i], prefix, "d_shifts/shifted_"), &x, &t, k, x.shape[0], false);
        check_shift(sibling(name, names[i], prefix, "d_shifts/shifted_own_"), &x, &own, k, x.shape[0], true);
        sibling(name, names[i], prefix, "d_shifts/shifted_grid_");
        if (golden_has(name))
            check_shift(name, &x, &grid, k, 1, false);
        free(k);
        golden_free(&x), golden_free(&mask), golden_free(&t), golden_free(&own);
    }
    golden_free(&grid);
}

static void points_of_slices(void **state)
{
    golden_array R = golden_read("e_rotations/slice_R.npy"), out = golden_read("e_rotations/slice_coords.npy");
    int64_t B = R.shape[0], L = atoll(golden_size("shift_lat"));
    deco_mask *m = NULL;
    OK(deco_mask_create(&m, L, L / 2));
    assert_int_equal(m->P, out.shape[1]);
    float *x = floats(3 * B * m->P);
    OK(deco_slice_points(dev, deco_f32_3(x, B, m->P, 3), deco_f32_2(m->k, m->P, 2), deco_f32_3(R.f, B, 3, 3)));
    golden_expect_f("e_rotations/slice_coords.npy", x, 3 * B * m->P);
    free(x);
    deco_mask_free(m);
    golden_free(&R), golden_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_transform_and_symmetrise),
        cmocka_unit_test(spectra_transform_back),
        cmocka_unit_test(volumes_transform_both_ways),
        cmocka_unit_test(cropped_transforms_are_smaller_images),
        cmocka_unit_test(the_whole_preparation_and_its_deviation),
        cmocka_unit_test(ctf_with_and_without_b_factor),
        cmocka_unit_test(shifts_of_images),
        cmocka_unit_test(points_of_slices),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
