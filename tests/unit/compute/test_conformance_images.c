/* Conformance of what images pass through: slices, CTF, shifts, loss, Hartley transforms, masks. */
#include "conformance/trial.h"
#include "conformance/reference.h"

/* Symmetric points, as of a mask: k[P-1-p] = -k[p]; P even. */
static void fill_points(float *k, int64_t P, deco_random *random)
{
    for (int64_t p = 0; p < P / 2; p++)
        for (int a = 0; a < 2; a++) {
            k[2 * p + a] = (float)(deco_random_uniform(random) - 0.5);
            k[2 * (P - 1 - p) + a] = -k[2 * p + a];
        }
}

/* ---- CTF -------------------------------------------------------------------------------------------------------- */

typedef struct ctf_case {
    int64_t B, P;
    double defocus_A, astigmatism_A, psize_A, bfactor_A2;
} ctf_case;

static const ctf_case ctf_cases[] = {
    {1, 2, 10000, 0, 2, 0},         /* the smallest */
    {3, 1022, 15000, 900, 1.3, 50}, /* a multiple of no tile */
    {2, 4098, 12000, 300, 3.1, 0},  /* two points into the third tile */
    {2, 78, 60000, 2000, 0.7, 20},  /* γ near 900 rad, where a phase in f32 fails */
};

static deco_status call_ctf(deco_device *dev, const deco_array *a, const void *extra) { return deco_ctf_values(dev, a[0], a[1], a[2]); }

/* γ is held in double, its sine taken in f32: a rounding of the reduced phase (π) and some of the sine and the B factor. */
static void ctf_is_that_of_the_method(void **state)
{
    for (size_t i = 0; i < sizeof ctf_cases / sizeof *ctf_cases; i++) {
        const ctf_case *c = &ctf_cases[i];
        trial t = trial_begin(call_ctf, c, "ctf_values %lldx%lld, defocus %g A", (long long)c->B, (long long)c->P, c->defocus_A);
        double *out = trial_out(&t, "out", deco_f32_2(NULL, c->B, c->P), 8 * ROUNDING);
        deco_array rows = {NULL, DECO_BYTES, 1, {c->B, 1, 1, 1}, sizeof(deco_ctf_row)};
        deco_ctf_row *row = trial_in(&t, "ctf", rows, 0);
        float *k = trial_in(&t, "k", deco_f32_2(NULL, c->P, 2), 1);
        fill_points(k, c->P, &t.random);
        for (int64_t b = 0; b < c->B; b++) {
            deco_ctf_row r = {
                .defocus_u_A = (float)(c->defocus_A + 137.0 * (double)b), .amp_contrast = 0.1f, .bfactor_A2 = (float)c->bfactor_A2};
            r.defocus_v_A = r.defocus_u_A - (float)c->astigmatism_A;
            r.astig_rad = (float)(0.3 + (double)b);
            r.phase_rad = b % 2 ? 1.57f : 0.0f;
            r.psize_A = (float)c->psize_A;
            r.cs_A = 2.7e7f;
            r.lambda_A = deco_wavelength_A(300);
            row[b] = r;
            for (int64_t p = 0; p < c->P; p++)
                out[b * c->P + p] = ref_ctf(r.defocus_u_A, r.defocus_v_A, r.astig_rad, 300, 2.7, r.amp_contrast, r.phase_rad, r.bfactor_A2,
                                            r.psize_A, k[2 * p], k[2 * p + 1]);
        }
        trial_end(&t);
    }
}

/* ---- slices and shifts ------------------------------------------------------------------------------------------ */

typedef struct points_case {
    int64_t B, P;
    double shift; /* pixels */
} points_case;

static const points_case points_cases[] = {{1, 2, 1}, {3, 1022, 3}, {2, 4098, 20}, {5, 440, 0}};

typedef struct points_scalar {
    const points_case *c;
    number *R, *t, *y;
    const float *k, *x, *dy;
} points_scalar;

static number slices_of(void *context)
{
    points_scalar *s = context;
    for (int64_t i = 0; i < s->c->B * s->c->P; i++)
        ref_slice_point(s->y + 3 * i, s->R + i / s->c->P * 9, s->k + i % s->c->P * 2);
    return ref_dot(s->y, s->dy, 3 * s->c->B * s->c->P);
}

static deco_status call_slices(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_slice_points(dev, a[0], a[1], a[2]);
}
static deco_status call_slices_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_slice_points_backward(dev, a[0], a[1], a[2]);
}

static void slices_are_rows_times_rotations(void **state)
{
    for (size_t i = 0; i < sizeof points_cases / sizeof *points_cases; i++) {
        const points_case *c = &points_cases[i];
        int64_t B = c->B, P = c->P;
        trial t = trial_begin(call_slices, c, "slice_points %lldx%lld", (long long)B, (long long)P);
        trial g = trial_begin(call_slices_backward, c, "slice_points_backward %lldx%lld", (long long)B, (long long)P);
        double *x = trial_out(&t, "x", deco_f32_3(NULL, B, P, 3), 3 * ROUNDING);
        double *dR = trial_out(&g, "dR", deco_f32_3(NULL, B, 3, 3), 2 * ROUNDING); /* summed in double */
        float *k = trial_in(&t, "k", deco_f32_2(NULL, P, 2), 1);
        points_scalar s = {.c = c, .k = k};
        fill_points(k, P, &t.random);
        s.R = ref_numbers(trial_in(&t, "R", deco_f32_3(NULL, B, 3, 3), 1), 9 * B);
        s.dy = trial_in(&g, "dx", deco_f32_3(NULL, B, P, 3), 1);
        memcpy(trial_in(&g, "k", deco_f32_2(NULL, P, 2), 1), k, (size_t)(2 * P) * sizeof *k);
        s.y = malloc((size_t)(3 * B * P) * sizeof *s.y);
        slices_of(&s);
        ref_real(x, s.y, 3 * B * P);
        ref_gradient(dR, s.R, 9 * B, 100, slices_of, &s);
        trial_end(&t);
        trial_end(&g);
        free(s.R), free(s.y);
    }
}

static number shifts_of(void *context)
{
    points_scalar *s = context;
    int64_t P = s->c->P;
    for (int64_t i = 0; i < s->c->B * P; i++) {
        int64_t b = i / P, p = i % P;
        s->y[i] = ref_shifted(s->x[i], s->x[b * P + P - 1 - p], s->k + 2 * p, s->t + 2 * b);
    }
    return ref_dot(s->y, s->dy, s->c->B * P);
}

static deco_status call_shift(deco_device *dev, const deco_array *a, const void *extra) { return deco_shift(dev, a[0], a[1], a[2], a[3]); }
static deco_status call_shift_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_shift_backward(dev, a[0], a[1], a[2], a[3], a[4]);
}

/* The phase is reduced in double: a rounding of π at most, and those of two products. */
static void shifts_turn_the_phase(void **state)
{
    for (size_t i = 0; i < sizeof points_cases / sizeof *points_cases; i++) {
        const points_case *c = &points_cases[i];
        int64_t B = c->B, P = c->P;
        deco_array image = deco_f32_2(NULL, B, P);
        trial f = trial_begin(call_shift, c, "shift %lldx%lld by %g", (long long)B, (long long)P, c->shift);
        trial g = trial_begin(call_shift_backward, c, "shift_backward %lldx%lld by %g", (long long)B, (long long)P, c->shift);
        double *y = trial_out(&f, "y", image, 8 * ROUNDING), *dt = trial_out(&g, "dt", deco_f32_2(NULL, B, 2), 8 * ROUNDING);
        float *x = trial_in(&f, "x", image, 1), *t = trial_in(&f, "t", deco_f32_2(NULL, B, 2), c->shift);
        float *k = trial_in(&f, "k", deco_f32_2(NULL, P, 2), 1);
        fill_points(k, P, &f.random);
        points_scalar s = {.c = c, .k = k, .x = x, .dy = trial_in(&g, "dy", image, 1)};
        memcpy(trial_in(&g, "x", image, 1), x, (size_t)(B * P) * sizeof *x);
        memcpy(trial_in(&g, "t", deco_f32_2(NULL, B, 2), 1), t, (size_t)(2 * B) * sizeof *t);
        memcpy(trial_in(&g, "k", deco_f32_2(NULL, P, 2), 1), k, (size_t)(2 * P) * sizeof *k);
        s.t = ref_numbers(t, 2 * B), s.y = malloc((size_t)(B * P) * sizeof *s.y);
        shifts_of(&s);
        ref_real(y, s.y, B * P);
        ref_gradient(dt, s.t, 2 * B, 100, shifts_of, &s);
        trial_end(&f);
        trial_end(&g);
        free(s.t), free(s.y);
    }
}

/* ---- products and the loss --------------------------------------------------------------------------------------- */

static const int64_t lengths[] = {1, 1021, 16385, 40001};

static deco_status call_multiply(deco_device *dev, const deco_array *a, const void *extra) { return deco_multiply(dev, a[0], a[1], a[2]); }
static deco_status call_error(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_squared_error(dev, a[0], a[1], a[2], a[3]);
}

static void products_and_the_loss(void **state)
{
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int64_t n = lengths[i];
        deco_array shape = deco_f32_1(NULL, n);
        trial m = trial_begin(call_multiply, NULL, "multiply %lld", (long long)n);
        trial e = trial_begin(call_error, NULL, "squared_error %lld", (long long)n);
        double *y = trial_out(&m, "y", shape, 0);
        double *loss = trial_out(&e, "loss", deco_f64_1(NULL, 1), 2 * ROUNDING); /* of pred - target; the sum is double */
        double *dpred = trial_out(&e, "dpred", shape, 3 * ROUNDING);
        float *x = trial_in(&m, "x", shape, 1), *c = trial_in(&m, "c", shape, 1);
        float *pred = trial_in(&e, "pred", shape, 1), *target = trial_in(&e, "target", shape, 1);
        for (int64_t k = 0; k < n; k++) {
            double d = (double)pred[k] - target[k];
            y[k] = x[k] * c[k];
            loss[0] += d * d / (double)n;
            dpred[k] = 2 * d / (double)n;
        }
        trial_end(&m);
        trial_end(&e);
    }
}

/* ---- transforms -------------------------------------------------------------------------------------------------- */

typedef struct box_case {
    int64_t B, D;
    bool inverse;
} box_case;

static const box_case box_cases[] = {{1, 2, false}, {1, 1, true}, {3, 15, false}, {5, 30, false}, {2, 32, true}, {2, 33, true}};
static const box_case cube_cases[] = {{1, 1, false}, {1, 2, true}, {1, 9, false}, {1, 12, true}, {1, 18, false}};

static deco_status call_hartley_2d(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_hartley_2d(dev, a[0], a[1], ((const box_case *)extra)->inverse);
}
static deco_status call_hartley_3d(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_hartley_3d(dev, a[0], a[1], ((const box_case *)extra)->inverse);
}
static deco_status call_hartley_in_place(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_hartley_2d(dev, a[0], a[0], ((const box_case *)extra)->inverse);
}

/* A fast transform rounds some log2 D times an axis. */
static void hartley_of_images(void **state)
{
    for (size_t i = 0; i < sizeof box_cases / sizeof *box_cases; i++) {
        const box_case *c = &box_cases[i];
        int64_t B = c->B, D = c->D;
        deco_array shape = deco_f32_3(NULL, B, D, D);
        float *start;
        trial t = trial_begin(call_hartley_2d, c, "hartley_2d %lldx%lld%s", (long long)B, (long long)D, c->inverse ? " inverse" : "");
        trial p = trial_begin(call_hartley_in_place, c, "hartley_2d %lldx%lld in place", (long long)B, (long long)D);
        double *y = trial_out(&t, "y", shape, 12 * ROUNDING), *yp = trial_inout(&p, "y", shape, 1, 12 * ROUNDING, &start);
        float *x = trial_in(&t, "x", shape, 1);
        for (int64_t b = 0; b < B; b++) {
            ref_hartley(y + b * D * D, x + b * D * D, D, 2, c->inverse);
            ref_hartley(yp + b * D * D, start + b * D * D, D, 2, c->inverse);
        }
        trial_end(&t);
        trial_end(&p);
    }
}

static void hartley_of_volumes(void **state)
{
    for (size_t i = 0; i < sizeof cube_cases / sizeof *cube_cases; i++) {
        const box_case *c = &cube_cases[i];
        int64_t D = c->D;
        trial t = trial_begin(call_hartley_3d, c, "hartley_3d %lld%s", (long long)D, c->inverse ? " inverse" : "");
        double *y = trial_out(&t, "y", deco_f32_3(NULL, D, D, D), 18 * ROUNDING);
        ref_hartley(y, trial_in(&t, "x", deco_f32_3(NULL, D, D, D), 1), D, 3, c->inverse);
        trial_end(&t);
    }
}

static deco_status call_gather(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_mask_gather(dev, a[0], a[1], a[2], a[3]);
}
static deco_status call_sums(deco_device *dev, const deco_array *a, const void *extra) { return deco_lattice_sums(dev, a[0], a[1]); }

static void masks_and_sums_see_the_symmetrised_lattice(void **state)
{
    for (size_t i = 0; i < sizeof box_cases / sizeof *box_cases; i++) {
        int64_t B = box_cases[i].B, D = box_cases[i].D, P = (D + 1) * (D + 1);
        trial t = trial_begin(call_gather, NULL, "mask_gather %lldx%lld", (long long)B, (long long)D);
        trial s = trial_begin(call_sums, NULL, "lattice_sums %lldx%lld", (long long)B, (long long)D);
        double *y = trial_out(&t, "y", deco_f32_2(NULL, B, P), ROUNDING);
        double *sums = trial_out(&s, "out", deco_array_of(NULL, DECO_F64, 2, B, 2, 1, 1), 1e-14); /* all in double */
        float *x = trial_in(&t, "x", deco_f32_3(NULL, B, D, D), 1);
        int32_t *index = trial_in(&t, "index", deco_array_of(NULL, DECO_I32, 1, P, 1, 1, 1), 0);
        float *scale = trial_in(&t, "scale", deco_f32_1(NULL, B), 1), *xs = trial_in(&s, "x", deco_f32_3(NULL, B, D, D), 1);
        for (int64_t k = 0; k < P; k++)
            index[k] = (int32_t)(P - 1 - k); /* every point once: edges and corners too */
        for (int64_t k = 0; k < B * P; k++) {
            int64_t b = k / P, at = k % P;
            double v = ref_lattice(xs + b * D * D, D, at);
            y[k] = scale[b] * ref_lattice(x + b * D * D, D, index[at]);
            sums[2 * b] += v, sums[2 * b + 1] += v * v;
        }
        trial_end(&t);
        trial_end(&s);
    }
}

static void points_beyond_the_lattice_are_refused(void **state)
{
    float x[4] = {0}, y[2], scale[1] = {1};
    int32_t index[] = {0, 9};
    deco_array points = deco_array_of(index, DECO_I32, 1, 2, 1, 1, 1);
    assert_int_equal(deco_mask_gather(trial_device[0], deco_f32_2(y, 1, 2), deco_f32_3(x, 1, 2, 2), points, deco_f32_1(scale, 1)),
                     DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "mask point 1 is 9; the lattice has points 0 to 8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ctf_is_that_of_the_method),
        cmocka_unit_test(slices_are_rows_times_rotations),
        cmocka_unit_test(shifts_turn_the_phase),
        cmocka_unit_test(products_and_the_loss),
        cmocka_unit_test(hartley_of_images),
        cmocka_unit_test(hartley_of_volumes),
        cmocka_unit_test(masks_and_sums_see_the_symmetrised_lattice),
        cmocka_unit_test(points_beyond_the_lattice_are_refused),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
