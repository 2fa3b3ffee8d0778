/* A fresh model: METHOD.md's start values, and numbers that are a function of the seed alone. */
#include "model/model.h"

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
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(homogeneous_model_has_no_table),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
