/* Noise by shell: whitened by what was found, images of noise have variance 1 in every shell. */
#include "training/noise_spectrum.h"

#include "base/philox.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { L = 33, RADIUS = 10, IMAGES = 200 };

/* Coloured noise: variance 10/(1 + shell). */
static float *noise(const deco_mask *mask, const int32_t *shell)
{
    float *y = malloc((size_t)(IMAGES * mask->P) * sizeof *y);
    deco_random r = deco_random_at(2, DECO_STREAM_NOISE, 0);
    for (int64_t i = 0; i < IMAGES * mask->P; i++)
        y[i] = (float)(sqrt(10.0 / (1 + shell[i % mask->P])) * deco_random_normal(&r));
    return y;
}

static void variance_by_shell(double out[RADIUS + 1], const float *y, const deco_mask *mask, const int32_t *shell)
{
    double count[RADIUS + 1] = {0};
    memset(out, 0, (RADIUS + 1) * sizeof *out);
    for (int64_t i = 0; i < IMAGES * mask->P; i++) {
        out[shell[i % mask->P]] += (double)y[i] * y[i];
        count[shell[i % mask->P]]++;
    }
    for (int r = 1; r <= RADIUS; r++)
        out[r] /= count[r];
}

static void whitened_noise_has_variance_1_in_every_shell(void **state)
{
    deco_mask *mask;
    deco_noise_spectrum n;
    int32_t *shell;
    double of[RADIUS + 1];
    (void)state;
    assert_int_equal(deco_mask_create(&mask, L, RADIUS), DECO_OK);
    assert_int_equal(deco_noise_shells(&shell, mask), DECO_OK);
    assert_int_equal(deco_noise_create(&n, RADIUS), DECO_OK);
    float *y = noise(mask, shell), *white = malloc((size_t)(IMAGES * mask->P) * sizeof *white),
          *ctf = malloc((size_t)mask->P * sizeof *ctf);
    deco_noise_start(&n, y, IMAGES, mask, shell);
    for (int64_t i = 0; i < IMAGES; i++)
        deco_noise_whiten(white + i * mask->P, ctf, &n, y + i * mask->P,
                          (deco_ctf_row){.psize_A = 3, .lambda_A = 0.02, .amp_contrast = 0.1f}, mask, shell);
    variance_by_shell(of, white, mask, shell);
    for (int r = 1; r <= RADIUS; r++)
        assert_true(fabs(of[r] - 1) < 1e-5);
    free(y), free(white), free(ctf), free(shell);
    deco_noise_free(&n);
    deco_mask_free(mask);
}

/* What a model explains is not noise: power that fell to a half is followed there, but never above the images' own. */
static void estimates_follow_what_models_leave_and_stay_below_the_total(void **state)
{
    deco_mask *mask;
    deco_noise_spectrum n;
    int32_t *shell;
    double power[RADIUS + 1], points[RADIUS + 1];
    (void)state;
    assert_int_equal(deco_mask_create(&mask, L, RADIUS), DECO_OK);
    assert_int_equal(deco_noise_shells(&shell, mask), DECO_OK);
    assert_int_equal(deco_noise_create(&n, RADIUS), DECO_OK);
    float *y = noise(mask, shell);
    deco_noise_start(&n, y, IMAGES, mask, shell);
    double first = n.variance[3];
    for (int i = 0; i < 200; i++) { /* half of what was there at the start is explained */
        for (int r = 0; r <= RADIUS; r++)
            points[r] = 100, power[r] = points[r] * 0.5 * n.total[r] / n.variance[r];
        deco_noise_follow(&n, power, points, RADIUS, 0.1);
    }
    assert_true(fabs(n.variance[3] / first - 0.5) < 1e-6);
    for (int i = 0; i < 200; i++) {
        for (int r = 0; r <= RADIUS; r++)
            power[r] = points[r] * 9;
        deco_noise_follow(&n, power, points, RADIUS, 0.1);
    }
    assert_true(n.variance[3] <= first * (1 + 1e-12) && n.variance[3] > 0.99 * first);
    points[4] = 0, power[4] = NAN; /* a shell that no image reached stays as it is */
    double before = n.variance[4];
    deco_noise_follow(&n, power, points, RADIUS, 0.1);
    assert_true(n.variance[4] == before);
    free(y), free(shell);
    deco_noise_free(&n);
    deco_mask_free(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whitened_noise_has_variance_1_in_every_shell),
        cmocka_unit_test(estimates_follow_what_models_leave_and_stay_below_the_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
