/* A fresh model: METHOD.md's start values, and numbers that are a function of the seed alone. */
#include "model/model.h"

#include "formulas/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_device *dev;

static deco_model_config config(void)
{
    return (deco_model_config){.shape = {.L = 33, .pe_dim = 64, .H = 96, .n = 2, .Z = 4, .layer_norm = true},
                               .feat_sigma = 0.5,
                               .psize_A = 1.5,
                               .std = 2,
                               .D = 32,
                               .radius = 16,
                               .N = 3000,
                               .seed = 7};
}

static deco_model *make(deco_model_config c)
{
    deco_model *m;
    assert_int_equal(deco_model_create(&m, dev, &c), DECO_OK);
    return m;
}

static float *host_copy(const float *device, int64_t n)
{
    float *out = malloc((size_t)n * sizeof *out);
    assert_int_equal(deco_device_download(dev, out, device, (size_t)n * sizeof *out), DECO_OK);
    return out;
}

static void linears_are_uniform_within_one_over_root_fan_in(void **state)
{
    deco_model *m = make(config());
    float *w = host_copy(m->decoder.x, m->decoder.count);

    (void)state;
    for (int64_t i = 0; i < deco_hypervolume_tensors(&m->shape); i++) {
        deco_parameter p = deco_hypervolume_tensor(&m->shape, i);
        double bound = p.fan_in ? 1 / sqrt((double)p.fan_in) : 0, sum2 = 0, most = 0;
        for (int64_t j = 0; j < p.count; j++) {
            double v = w[p.offset + j];
            sum2 += v * v;
            most = fmax(most, fabs(v));
        }
        if (!p.fan_in) { /* a norm: 1 or 0 */
            assert_true(sum2 == 0 || sum2 == (double)p.count);
            continue;
        }
        assert_true(most <= bound * (1 + 1e-6));
        if (p.count > 5000) { /* the variance of ±b is b²/3; of 5000 numbers it is known to 1.3 %: five sigma are 7 % */
            assert_true(fabs(sum2 / (double)p.count / (bound * bound / 3) - 1) < 0.07);
            assert_true(most > 0.99 * bound);
        }
    }
    free(w);
    deco_model_free(m);
}

static double variance(const float *x, int64_t n)
{
    double sum = 0, sum2 = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
        sum2 += (double)x[i] * x[i];
    }
    return sum2 / (double)n - (sum / (double)n) * (sum / (double)n);
}

static void frequencies_and_latents_have_their_spread(void **state)
{
    deco_model *m = make(config());
    int64_t nf = 9 * m->shape.pe_dim;
    float *f = host_copy(m->freqs, nf), *z = host_copy(m->latents.x, m->latents.count);

    (void)state;
    /* The variance of n normal numbers is known to sqrt(2/n): 5.9 % of 576, 1.3 % of 12000. Five sigma. */
    assert_true(fabs(variance(f, nf) / 0.25 - 1) < 0.30);
    assert_true(fabs(variance(z, m->latents.count) / 0.01 - 1) < 0.065);
    free(f);
    free(z);
    deco_model_free(m);
}

static void row_i_starts_the_same_in_a_smaller_table(void **state)
{
    deco_model_config few = config(), other = config();
    few.N = 11;
    other.seed = 8;
    deco_model *a = make(config()), *b = make(few), *c = make(other);
    float *za = host_copy(a->latents.x, a->latents.count), *zb = host_copy(b->latents.x, b->latents.count);
    float *zc = host_copy(c->latents.x, c->latents.count);

    (void)state;
    assert_memory_equal(za, zb, 44 * sizeof *za);
    for (int i = 0; i < 44; i++)
        assert_true(za[i] != zc[i]);
    free(za);
    free(zb);
    free(zc);
    deco_model_free(a);
    deco_model_free(b);
    deco_model_free(c);
}

/* Uniform over the sphere and around it: every entry of a rotation has mean 0 and variance 1/3. */
static void poses_start_as_uniform_rotations_and_no_shift(void **state)
{
    deco_model_config c = config();
    deco_model *m = make(c);
    float *R = malloc((size_t)c.N * 9 * sizeof *R), *shift = malloc((size_t)c.N * 2 * sizeof *shift);

    (void)state;
    assert_int_equal(deco_poses_get(R, shift, m, NULL, c.N), DECO_OK);
    for (int e = 0; e < 9; e++) {
        double sum = 0, sum2 = 0, n = (double)c.N;
        for (int64_t i = 0; i < c.N; i++) {
            sum += R[9 * i + e];
            sum2 += (double)R[9 * i + e] * R[9 * i + e];
        }
        assert_true(fabs(sum / n) < 5 * sqrt(1 / 3.0 / n));             /* five sigma */
        assert_true(fabs(sum2 / n - 1 / 3.0) < 5 * sqrt(4 / 45.0 / n)); /* the square of a uniform number has variance 4/45 */
    }
    for (int64_t i = 0; i < 2 * c.N; i++)
        assert_true(shift[i] == 0);
    free(R);
    free(shift);
    deco_model_free(m);
}

/* 10 000 rows: more than go between host and device at once. Stored in f32 and made orthonormal again: an ulp or two of 1. */
static void poses_come_back_as_they_were_put(void **state)
{
    enum { N = 10000 };
    deco_model_config c = config();
    c.N = N;
    deco_model *m = make(c);
    float *R = malloc(N * 9 * sizeof *R), *shift = malloc(N * 2 * sizeof *shift), *R2 = malloc(N * 9 * sizeof *R);
    float *shift2 = malloc(N * 2 * sizeof *shift);
    int64_t *row = malloc(N * sizeof *row);
    deco_random r = deco_random_at(5, DECO_STREAM_SIMULATE, 0);

    (void)state;
    for (int64_t i = 0; i < N; i++) {
        double u[3] = {deco_random_uniform(&r), deco_random_uniform(&r), deco_random_uniform(&r)}, q[4], matrix[9];
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(matrix, q);
        for (int e = 0; e < 9; e++)
            R[9 * i + e] = (float)matrix[e];
        shift[2 * i] = (float)i, shift[2 * i + 1] = (float)-i;
        row[i] = (7 * i + 3) % N; /* 7 and N have no common factor: every row once */
    }
    assert_int_equal(deco_poses_put(m, row, N, R, shift), DECO_OK);
    assert_int_equal(deco_poses_get(R2, shift2, m, NULL, N), DECO_OK);
    for (int64_t i = 0; i < N; i++) {
        for (int e = 0; e < 9; e++)
            assert_true(fabsf(R2[9 * row[i] + e] - R[9 * i + e]) < 5e-7f);
        assert_true(shift2[2 * row[i]] == shift[2 * i] && shift2[2 * row[i] + 1] == shift[2 * i + 1]);
    }
    assert_int_equal(deco_poses_put(m, NULL, N, R, shift), DECO_OK);
    assert_int_equal(deco_poses_get(R2, shift2, m, row, N), DECO_OK);
    for (int64_t i = 0; i < N; i++)
        assert_true(shift2[2 * i] == (float)row[i] && fabsf(R2[9 * i + 8] - R[9 * row[i] + 8]) < 5e-7f);
    assert_int_equal(deco_poses_get(R2, shift2, m, NULL, N + 1), DECO_E_ARGUMENT);
    row[0] = N;
    assert_int_equal(deco_poses_put(m, row, 1, R, shift), DECO_E_ARGUMENT);
    free(R);
    free(R2);
    free(shift);
    free(shift2);
    free(row);
    deco_model_free(m);
}

/* Of a particle: 8 numbers of its pose, with two moments where they are trained, and three of each latent. */
static void tables_take_no_more_than_is_promised(void **state)
{
    (void)state;
    for (int trained = 0; trained < 2; trained++) {
        deco_model_config c = config();
        c.train_poses = trained;
        deco_model *m = make(c);
        const deco_trained *table[] = {&m->latents, &m->rotations, &m->shifts};
        int64_t bytes = 0;
        for (int i = 0; i < 3; i++)
            bytes += 4 * table[i]->count * (1 + (table[i]->m != NULL) + (table[i]->v != NULL));
        assert_true(bytes <= c.N * (12 * c.shape.Z + (trained ? 112 : 48)));
        deco_model_free(m);
    }
}

static void impossible_sizes_are_refused(void **state)
{
    deco_model *m;
    deco_model_config odd = config(), wide = config(), many = config();

    (void)state;
    odd.D = 31;
    assert_int_equal(deco_model_create(&m, dev, &odd), DECO_E_ARGUMENT);
    wide.radius = 17;
    assert_int_equal(deco_model_create(&m, dev, &wide), DECO_E_ARGUMENT);
    many.N = INT64_MAX / 8;
    assert_int_equal(deco_model_create(&m, dev, &many), DECO_E_ARGUMENT);
    assert_null(m);
}

static void homogeneous_model_has_no_table(void **state)
{
    deco_model_config c = config();
    c.shape.Z = 0;
    deco_model *m = make(c);

    (void)state;
    assert_int_equal(m->latents.count, 0);
    assert_null(m->latents.x);
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
        cmocka_unit_test(linears_are_uniform_within_one_over_root_fan_in),
        cmocka_unit_test(frequencies_and_latents_have_their_spread),
        cmocka_unit_test(row_i_starts_the_same_in_a_smaller_table),
        cmocka_unit_test(poses_start_as_uniform_rotations_and_no_shift),
        cmocka_unit_test(poses_come_back_as_they_were_put),
        cmocka_unit_test(tables_take_no_more_than_is_promised),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(homogeneous_model_has_no_table),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
