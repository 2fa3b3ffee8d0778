/* The decoder's row kernels, of every kind this processor runs, against double precision. */
#include "base/philox.h"
#include "base/processor.h"
#include "compute/cpu/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int kinds(const cpu_rows *out[3])
{
    int n = 0;
    out[n++] = &cpu_rows_plain;
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX2)
        out[n++] = &cpu_rows_avx2;
    if (deco_processor_kind() >= DECO_AVX512)
        out[n++] = &cpu_rows_avx512;
#endif
    return n;
}

static float *random_floats(uint64_t stream, int64_t n, double range)
{
    deco_random r = deco_random_at(3, DECO_STREAM_SAMPLE, stream);
    float *p = malloc((size_t)n * sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(range * (2 * deco_random_uniform(&r) - 1));
    return p;
}

static void expect(const cpu_rows *kind, const char *what, int64_t i, double is, double want, double bound)
{
    if (!(fabs(is - want) <= bound))
        fail_msg("%s: %s[%lld] is %.9g, should be %.9g within %.2g", kind->name, what, (long long)i, is, want, bound);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

/* Frequencies of one axis, so that the phase is a product exactly as the kernel forms it and only sine and cosine can be off. */
static void sine_and_cosine_are_right_to_an_ulp_at_any_phase(void **state)
{
    static const float scales[] = {1e-3f, 1, 40, 700, 5900, 1e5f, 3e8f};
    enum { F = 21, STRIDE = 32, ROWS = 4096 };
    const cpu_rows *kind[3];
    float *x = random_floats(1, 3 * ROWS, 1), *pe = malloc(ROWS * 2 * F * sizeof *pe), f[3 * STRIDE] = {0};
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
            for (int j = 0; j < F; j++)
                f[j] = scales[s] * (1 - (float)j / F);
            for (int i = 0; i < ROWS; i++)
                x[3 * i + 1] = x[3 * i + 2] = 0;
            kind[k]->encode(pe, x, ROWS, &(cpu_frequencies){f, F, STRIDE, scales[s]});
            for (int64_t i = 0; i < (int64_t)ROWS * F; i++) {
                double phase = x[3 * (i / F)] * f[i % F];
                const float *row = pe + i / F * 2 * F;
                expect(kind[k], "sine", i, row[i % F], sin(phase), 1.5e-7);
                expect(kind[k], "cosine", i, row[F + i % F], cos(phase), 1.5e-7);
            }
        }
    free(x);
    free(pe);
}

static void encoding_s_gradient_is_that_of_its_formula(void **state)
{
    enum { F = 37, STRIDE = 48, ROWS = 8 };
    const cpu_rows *kind[3];
    float *x = random_floats(1, 3 * ROWS, 0.5), *dpe = random_floats(2, ROWS * 2 * F, 1), *f = random_floats(3, 3 * STRIDE, 20);
    float pe[ROWS * 2 * F], dx[3 * ROWS];
    for (int a = 0; a < 3; a++)
        memset(f + a * STRIDE + F, 0, (STRIDE - F) * sizeof *f);
    for (int k = kinds(kind) - 1; k >= 0; k--) {
        cpu_frequencies q = {f, F, STRIDE, 35};
        kind[k]->encode(pe, x, ROWS, &q);
        kind[k]->encode_backward(dx, dpe, pe, ROWS, &q);
        for (int i = 0; i < ROWS; i++) {
            double sum[3] = {0};
            for (int j = 0; j < F; j++) {
                double phase = 0;
                for (int a = 0; a < 3; a++)
                    phase += (double)x[3 * i + a] * f[a * STRIDE + j];
                double d = dpe[i * 2 * F + j] * cos(phase) - dpe[i * 2 * F + F + j] * sin(phase);
                for (int a = 0; a < 3; a++)
                    sum[a] += d * f[a * STRIDE + j];
            }
            for (int a = 0; a < 3; a++) /* phases near 30 are off by 2e-6, times F terms near 20 */
                expect(kind[k], "dx", 3 * i + a, dx[3 * i + a], sum[a], 2e-6 * 20 * sqrt(F));
        }
    }
    free(x);
    free(dpe);
    free(f);
}

/* ---- LayerNorm --------------------------------------------------------------------------------------------------- */

enum { ROWS = 12, WIDEST = 512 };

typedef struct layer {
    int H;
    float *y, *residual, *bias, *gamma, *beta, *dx;
    double normal[ROWS * WIDEST], sd[ROWS], x[ROWS * WIDEST];
} layer;

static layer *make_layer(int H, bool residual)
{
    layer *l = calloc(1, sizeof *l);
    l->H = H;
    l->y = random_floats(1, ROWS * H, 3);
    l->residual = residual ? random_floats(2, ROWS * H, 1) : NULL;
    l->bias = random_floats(3, H, 1);
    l->gamma = random_floats(4, H, 2);
    l->beta = random_floats(5, H, 1);
    l->dx = random_floats(6, ROWS * H, 1);
    for (int i = 0; i < ROWS; i++) {
        double mean = 0, square = 0;
        for (int j = 0; j < H; j++)
            mean += (double)l->y[i * H + j] + l->bias[j];
        mean /= H;
        for (int j = 0; j < H; j++)
            square += pow((double)l->y[i * H + j] + l->bias[j] - mean, 2);
        l->sd[i] = sqrt(square / H + 1e-5);
        for (int j = 0; j < H; j++) {
            int at = i * H + j;
            l->normal[at] = ((double)l->y[at] + l->bias[j] - mean) / l->sd[i];
            double v = l->normal[at] * l->gamma[j] + l->beta[j] + (residual ? (double)l->residual[at] : 0);
            l->x[at] = v > 0 ? v : 0;
        }
    }
    return l;
}

static void free_layer(layer *l)
{
    float *all[] = {l->y, l->residual, l->bias, l->gamma, l->beta, l->dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(l);
}

static const int widths[] = {16, 48, 128, 256, 512};

/* Values are of order 1 to 10, sums of H of them are formed by halves: a few roundings of 6e-8. */
#define NORM_BOUND 4e-6

static void norm_is_right_with_and_without_residual(void **state)
{
    const cpu_rows *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int way = 0; way < 4; way++) {
                layer *l = make_layer(widths[w], way & 1);
                bool keeps = way & 2;
                int n = ROWS * l->H;
                float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y), sd[ROWS];
                memcpy(y, l->y, (size_t)n * sizeof *y);
                if (l->residual)
                    memcpy(x, l->residual, (size_t)n * sizeof *x); /* in place, as the tiles do it */
                kind[k]->norm(x, y, keeps ? sd : NULL, l->residual ? x : NULL, &(cpu_norm){l->bias, l->gamma, l->beta, ROWS, l->H});
                for (int i = 0; i < n; i++) {
                    expect(kind[k], "x", i, x[i], l->x[i], NORM_BOUND);
                    if (keeps)
                        expect(kind[k], "normal", i, y[i], l->normal[i], NORM_BOUND);
                }
                for (int i = 0; i < ROWS && keeps; i++)
                    expect(kind[k], "1/sd", i, sd[i], 1 / l->sd[i], NORM_BOUND);
                free(x);
                free(y);
                free_layer(l);
            }
}

/* In double, from what the kernel is given: sums over rows too, each added to what was there. */
static void norm_backward_is_right(void **state)
{
    const cpu_rows *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int last = 0; last < 2; last++) {
                layer *l = make_layer(widths[w], true);
                int H = l->H, n = ROWS * H;
                float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y), *g = malloc((size_t)n * sizeof *g), sd[ROWS];
                float *dout = random_floats(7, ROWS, 1), *weight = random_floats(8, H, 1), *sums = random_floats(9, 4 * H, 1);
                float *before = random_floats(9, 4 * H, 1);
                double want[4][WIDEST] = {{0}};
                for (int i = 0; i < n; i++)
                    x[i] = (float)l->x[i], y[i] = (float)l->normal[i], g[i] = l->dx[i];
                for (int i = 0; i < ROWS; i++)
                    sd[i] = (float)(1 / l->sd[i]);
                cpu_norm_backward b = {.x = x, .inverse_sd = sd, .gamma = l->gamma, .rows = ROWS, .H = H};
                b.dgamma = sums, b.dbeta = sums + H, b.dbias = sums + 2 * H;
                if (last)
                    b.dout = dout, b.w = weight, b.dw = sums + 3 * H;
                kind[k]->norm_backward(g, y, &b);
                for (int i = 0; i < ROWS; i++) {
                    double d[WIDEST], mean = 0, along = 0;
                    for (int j = 0; j < H; j++) {
                        int at = i * H + j;
                        d[j] = l->x[at] > 0 ? last ? (double)dout[i] * weight[j] : (double)l->dx[at] : 0;
                        expect(kind[k], "g", at, g[at], d[j], 1e-7);
                        mean += d[j] * l->gamma[j] / H;
                        along += d[j] * l->gamma[j] * l->normal[at] / H;
                        want[0][j] += d[j] * l->normal[at];
                        want[1][j] += d[j];
                        want[3][j] += last ? dout[i] * l->x[at] : 0;
                    }
                    for (int j = 0; j < H; j++) {
                        double dy = (d[j] * l->gamma[j] - mean - l->normal[i * H + j] * along) / l->sd[i];
                        expect(kind[k], "dy", i * H + j, y[i * H + j], dy, NORM_BOUND);
                        want[2][j] += dy;
                    }
                }
                for (int i = 0; i < 4 * H; i++)
                    expect(kind[k], "sums", i, sums[i], before[i] + want[i / H][i % H], ROWS * NORM_BOUND);
                float *all[] = {x, y, g, dout, weight, sums, before};
                for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                    free(all[i]);
                free_layer(l);
            }
}

static void last_layer_is_a_dot_product(void **state)
{
    const cpu_rows *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            int H = widths[w];
            float *x = random_floats(1, ROWS * H, 1), *weight = random_floats(2, H, 1), out[ROWS];
            kind[k]->dot(out, x, weight, 0.25f, ROWS, H);
            for (int i = 0; i < ROWS; i++) {
                double sum = 0.25;
                for (int j = 0; j < H; j++)
                    sum += (double)x[i * H + j] * weight[j];
                expect(kind[k], "out", i, out[i], sum, 6e-8 * sqrt(H) * 4);
            }
            free(x);
            free(weight);
        }
}

static void sum_and_difference_take_each_other_s_place(void **state)
{
    enum { N = 48 };
    const cpu_rows *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--) {
        float *a = random_floats(1, N, 1), *b = random_floats(2, N, 1), *a0 = random_floats(1, N, 1), *b0 = random_floats(2, N, 1);
        kind[k]->sum_and_difference(a, b, N);
        for (int i = 0; i < N; i++)
            assert_true(a[i] == a0[i] + b0[i] && b[i] == a0[i] - b0[i]);
        free(a);
        free(b);
        free(a0);
        free(b0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sine_and_cosine_are_right_to_an_ulp_at_any_phase), cmocka_unit_test(encoding_s_gradient_is_that_of_its_formula),
        cmocka_unit_test(norm_is_right_with_and_without_residual),          cmocka_unit_test(norm_backward_is_right),
        cmocka_unit_test(sum_and_difference_take_each_other_s_place),       cmocka_unit_test(last_layer_is_a_dot_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
