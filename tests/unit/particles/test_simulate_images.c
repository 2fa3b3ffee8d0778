/* The images of the simulator against sums written from METHOD.md section 2, and its densities against what they are made of. */
#include "compute/ops.h"
#include "formats/mrc.h"
#include "formulas/rotation.h"
#include "particles/simulate_parts.h"
#include "support/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_device *dev;

static int start(void **state)
{
    (void)state;
    return deco_device_create(&dev, "cpu", 2);
}

static int stop(void **state)
{
    (void)state;
    deco_device_free(dev);
    return 0;
}

/* A map without symmetry: three blobs off the middle, one near the edge of the box. */
static void fill_map(float *v, int D)
{
    static const double blob[3][5] = {{1.5, -2, 0.5, 1, 1.3}, {-2.5, 1, 3, 0.7, 1.1}, {0.3, 0.42, -0.35, 0, 1}};
    for (int z = 0; z < D; z++)
        for (int y = 0; y < D; y++)
            for (int x = 0; x < D; x++) {
                double sum = 0;
                for (int k = 0; k < 3; k++) {
                    double s = k == 2 ? D : 1, a = x - D / 2 - s * blob[k][0], b = y - D / 2 - s * blob[k][1],
                           c = z - D / 2 - s * blob[k][2];
                    sum += (1 + blob[k][3]) * exp(-(a * a + b * b + c * c) / (2 * blob[k][4] * blob[k][4]));
                }
                v[(z * D + y) * D + x] = (float)sum;
            }
}

/* Re F and Im F of the map at p cycles per pixel, origin at voxel D/2. */
static void transform_at(double out[2], const float *v, int D, const double p[3])
{
    out[0] = out[1] = 0;
    for (int z = 0; z < D; z++)
        for (int y = 0; y < D; y++)
            for (int x = 0; x < D; x++) {
                double a = 2 * acos(-1) * (p[0] * (x - D / 2) + p[1] * (y - D / 2) + p[2] * (z - D / 2));
                out[0] += v[(z * D + y) * D + x] * cos(a);
                out[1] -= v[(z * D + y) * D + x] * sin(a);
            }
}

static double ctf_at(const deco_ctf_row *c, double x, double y)
{
    double sx = x / c->psize_A, sy = y / c->psize_A, s2 = sx * sx + sy * sy, pi = acos(-1), w = c->amp_contrast;
    double df = 0.5 * (c->defocus_u_A + c->defocus_v_A + (c->defocus_u_A - c->defocus_v_A) * cos(2 * (atan2(sy, sx) - c->astig_rad)));
    double g = 2 * pi * (-0.5 * df * c->lambda_A * s2 + 0.25 * c->cs_A * pow(c->lambda_A, 3) * s2 * s2);
    return sqrt(1 - w * w) * sin(g) - w * cos(g);
}

static void slice_is_the_transform_at_c_R_times_ctf_moved_by_minus_shift(void **state)
{
    enum { D = 14 };
    static float v[D * D * D], slice[4 * D * D];
    const double axis[3] = {0.7, -1.1, 1.9};
    sim_particle p = {
        .shift = {1.25f, -0.75f},
        .contrast = 1.1f,
        .ctf = {.defocus_u_A = 14000, .defocus_v_A = 11000, .astig_rad = 0.6f, .amp_contrast = 0.1f, .psize_A = 3, .cs_A = 2.7e7f}};
    float *h;
    double largest = 0, worst = 0;
    (void)state;

    p.ctf.lambda_A = deco_wavelength_A(300);
    deco_rotation_from_axis_angle(p.R, axis);
    fill_map(v, D);
    assert_int_equal(sim_transform_make(&h, v, D, dev), DECO_OK);
    sim_slice(slice, h, D, &p);
    free(h);
    for (int ky = -D; ky < D; ky++)
        for (int kx = -D; kx < D; kx++) {
            double x = kx / (2.0 * D), y = ky / (2.0 * D), f[2], want = 0;
            if (kx * kx + ky * ky < D * D) {
                const double q[3] = {x * p.R[0] + y * p.R[3], x * p.R[1] + y * p.R[4], x * p.R[2] + y * p.R[5]};
                /* at centre - shift: F(k) exp(+2πi k·shift) */
                double a = 2 * acos(-1) * (x * p.shift[0] + y * p.shift[1]);
                transform_at(f, v, D, q);
                want = p.contrast * ctf_at(&p.ctf, x, y) * ((f[0] * cos(a) - f[1] * sin(a)) - (f[0] * sin(a) + f[1] * cos(a)));
            }
            worst = fmax(worst, fabs(slice[(ky + D) * 2 * D + kx + D] - want));
            largest = fmax(largest, fabs(want));
        }
    /* the kernel's own error: 4.5e-4 an axis at the edge of the box, where one blob is */
    if (worst > 3 * 4.5e-4 * largest)
        fail_msg("off by %.2e of the largest", worst / largest);
}

static sim_settings settings_of(const deco_options *o, int64_t D, double psize_A)
{
    return (sim_settings){.o = o,
                          .D = D,
                          .N = 1,
                          .maps = 1,
                          .stacks = 1,
                          .micrographs = 1,
                          .psize_A = psize_A,
                          .resolution_A = 2.2 * psize_A,
                          .mask_radius_px = (double)D / 2 - 2};
}

/* With amplitude contrast 1 and no defocus the CTF is -1 everywhere: an image is the projection turned dark. */
static void atom_at_x_darkens_the_image_at_R_x_minus_shift(void **state)
{
    enum { D = 32 };
    static float v[D * D * D];
    double place[3] = {14, -9, 11}, centre[3] = {0, 0, 0}, best = 0;
    float weight = 6, *h;
    int64_t row = 0, at[2] = {0, 0};
    double signal;
    const float *image;
    sim_imager *g;
    deco_options *o;
    (void)state;

    assert_int_equal(deco_options_create(&o), DECO_OK);
    sim_settings s = settings_of(o, D, 2);
    sim_atoms a = {1, 1, place, &weight};
    sim_particle p = {.shift = {2, -3}, .contrast = 1, .ctf = {.amp_contrast = 1, .psize_A = 2, .lambda_A = 0.02}};
    const double axis[3] = {-0.4, 0.9, 1.3};
    deco_rotation_from_axis_angle(p.R, axis);
    assert_int_equal(sim_density_of_atoms(v, &s, &a, centre, dev), DECO_OK);
    assert_int_equal(sim_transform_make(&h, v, D, dev), DECO_OK);
    assert_int_equal(sim_imager_create(&g, &s, &h, &p, dev), DECO_OK);
    assert_int_equal(sim_images_make(&image, &signal, g, &row, 1, false), DECO_OK);
    for (int64_t y = 0; y < D; y++)
        for (int64_t x = 0; x < D; x++)
            if (image[y * D + x] < best)
                best = image[y * D + x], at[0] = x, at[1] = y;
    for (int c = 0; c < 2; c++) {
        double want = D / 2 + (p.R[3 * c] * place[0] + p.R[3 * c + 1] * place[1] + p.R[3 * c + 2] * place[2]) / 2 - p.shift[c];
        assert_true(fabs((double)at[c] - want) <= 0.5 + 1e-3);
    }
    assert_true(signal > 0);
    sim_imager_free(g);
    free(h);
    deco_options_free(o);
}

static void density_has_the_atoms_weight_place_and_resolution(void **state)
{
    enum { D = 24 };
    static float v[D * D * D];
    double place[3] = {1, 2, 3}, centre[3] = {-1, 0, 3};
    float weight = 8;
    double sum = 0, middle[3] = {0}, spread = 0;
    (void)state;

    sim_settings s = settings_of(NULL, D, 2);
    s.resolution_A = 12; /* well above two pixels: the band limit takes nothing */
    sim_atoms a = {1, 1, place, &weight};
    assert_int_equal(sim_density_of_atoms(v, &s, &a, centre, dev), DECO_OK);
    for (int i = 0; i < D * D * D; i++) {
        const int x[3] = {i % D - D / 2, i / D % D - D / 2, i / D / D - D / 2};
        sum += v[i];
        for (int c = 0; c < 3; c++)
            middle[c] += x[c] * (double)v[i];
    }
    for (int c = 0; c < 3; c++)
        assert_float_equal(middle[c] / sum * 2, place[c] - centre[c], 1e-3);
    for (int i = 0; i < D * D * D; i++)
        spread += v[i] * pow(2 * (i % D - D / 2) - (place[0] - centre[0]), 2) / sum;
    /* a Gaussian whose transform is 1/e at 1/12 Å */
    assert_float_equal(sqrt(spread), 12 / (acos(-1) * sqrt(2)), 1e-2);
}

static void map_of_smaller_voxels_is_brought_to_the_box(void **state)
{
    enum { FINE = 36, D = 24 }; /* 36 voxels of 2 Å are 24 of 3 Å */
    static float fine[FINE * FINE * FINE], v[D * D * D];
    deco_options *o;
    double worst = 0, scale = pow((double)FINE / D, 3);
    (void)state;

    assert_int_equal(deco_options_create(&o), DECO_OK);
    for (int i = 0; i < FINE * FINE * FINE; i++) {
        double x = i % FINE - 18 - 3, y = i / FINE % FINE - 18, z = i / FINE / FINE - 18 + 3;
        fine[i] = (float)exp(-(x * x + y * y + z * z) / (2 * 3 * 3));
    }
    assert_int_equal(deco_mrc_write_volume(scratch("fine.mrc"), fine, FINE, FINE, FINE, 2, "fine"), DECO_OK);
    sim_settings s = settings_of(o, D, 3);
    assert_int_equal(sim_density_of_map(v, &s, scratch("fine.mrc"), dev), DECO_OK);
    for (int i = 0; i < D * D * D; i++) {
        double x = i % D - 12 - 2, y = i / D % D - 12, z = i / D / D - 12 + 2;
        worst = fmax(worst, fabs(v[i] - scale * exp(-(x * x + y * y + z * z) / (2 * 2 * 2))));
    }
    /* a Gaussian of 2 voxels is exp(-2π² · 4 · 0.45²) = 1e-7 where the band limit begins; at the edge of the box it is exp(-12.5) */
    assert_true(worst < 1e-4 * scale);

    s.psize_A = 2.9;
    assert_int_equal(sim_density_of_map(v, &s, scratch("fine.mrc"), dev), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "--psize_A 2 --box 36 fits"));
    assert_int_equal(deco_mrc_write_volume(scratch("flat.mrc"), fine, FINE, FINE, 2, 2, "flat"), DECO_OK);
    assert_int_equal(sim_density_of_map(v, &s, scratch("flat.mrc"), dev), DECO_E_FORMAT);
    deco_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slice_is_the_transform_at_c_R_times_ctf_moved_by_minus_shift),
        cmocka_unit_test(atom_at_x_darkens_the_image_at_R_x_minus_shift),
        cmocka_unit_test(density_has_the_atoms_weight_place_and_resolution),
        cmocka_unit_test(map_of_smaller_voxels_is_brought_to_the_box),
    };
    return cmocka_run_group_tests_name("simulate_images", tests, start, stop);
}
