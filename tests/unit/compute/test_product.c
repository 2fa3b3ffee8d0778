/* The decoder's and the encoder's matrix products, and gradients of weights: every kernel this processor runs, against sums in double, at sizes that fit no tile. */
#include "base/processor.h"
#include "compute/cpu/product_gradient.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const cpu_products *kernels[4];
static int kernels_here;

static void find_kernels(void)
{
    kernels[kernels_here++] = &cpu_products_plain;
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX2)
        kernels[kernels_here++] = &cpu_products_avx2;
    if (deco_processor_kind() >= DECO_AVX512)
        kernels[kernels_here++] = &cpu_products_avx512;
    if (deco_processor_kind() >= DECO_AMX)
        kernels[kernels_here++] = &cpu_products_amx;
#endif
}

static float *random_floats(int64_t n, unsigned seed)
{
    float *p = aligned_alloc(64, ((size_t)n * sizeof *p + 63) / 64 * 64);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
    return p;
}

typedef struct way {
    int64_t M, N, K;
    bool a_by_columns, b_by_columns, bias, onto, panels;
} way;

/* Values lie in ±1: rounding of K products and of their sum. */
static void one_product(const cpu_products *k, way w)
{
    enum { GAP = 5 };
    const int roundings = k->halves > 2 ? 6 : 1; /* of pieces, by number */
    int64_t ldc = w.N + GAP, panels = w.panels ? k->columns : w.N;
    float *a = random_floats(w.M * w.K, 1), *b = random_floats(w.K * w.N, 2), *bias = random_floats(w.N, 3);
    float *c = random_floats(w.M * ldc, 4), *before = random_floats(w.M * ldc, 4),
          *packed = random_floats(cpu_product_packed(k, w.K, w.N), 5);
    cpu_product_side side = {b, w.b_by_columns ? 1 : w.N, w.b_by_columns ? w.K : 1, w.K, w.N};
    cpu_product p = {
        .M = w.M, .N = w.N, .K = w.K, .c = c, .onto = w.onto ? c : NULL, .ldc = ldc, .a = a, .row = w.K, .step = 1, .b = packed};

    if (w.a_by_columns)
        p.row = 1, p.step = w.M;
    if (w.bias)
        p.bias = bias;
    for (int64_t n = 0; n < w.N; n += panels)
        k->pack(packed, &side, n, n + panels);
    k->multiply(&p);
    for (int64_t m = 0; m < w.M; m++)
        for (int64_t n = 0; n < ldc; n++) {
            double sum = w.onto ? (double)before[m * ldc + n] : 0;
            for (int64_t i = 0; n < w.N && i < w.K; i++)
                sum += (double)a[m * p.row + i * p.step] * (double)b[i * side.row + n * side.column];
            if (n >= w.N)
                assert_true(c[m * ldc + n] == before[m * ldc + n]); /* between the rows nothing is written */
            else if (fabs(c[m * ldc + n] - sum - (w.bias ? (double)bias[n] : 0)) > 6e-8 * (double)(w.K * roundings + 4))
                fail_msg("%s: %lld x %lld x %lld: [%lld,%lld] is %g, not %g", k->name, (long long)w.M, (long long)w.N, (long long)w.K,
                         (long long)m, (long long)n, (double)c[m * ldc + n], sum);
        }
    free(a), free(b), free(bias), free(c), free(before), free(packed);
}

static void products_are_right_at_any_size(void **state)
{
    static const int64_t M[] = {1, 2, 3, 5, 9, 10, 26, 37}, N[] = {1, 4, 16, 17, 20, 48, 52, 67, 100}, K[] = {1, 5, 16, 33};
    for (int i = 0; i < kernels_here; i++)
        for (size_t m = 0; m < sizeof M / sizeof *M; m++)
            for (size_t n = 0; n < sizeof N / sizeof *N; n++)
                for (size_t k = 0; k < sizeof K / sizeof *K; k++) {
                    unsigned r = (unsigned)(m + n * 3 + k * 7);
                    one_product(kernels[i], (way){M[m], N[n], K[k], r & 1, r & 2, r & 4, r & 8, false});
                }
}

/* Longer than one part of b: the rest is added to what the first left. */
static void long_sums_go_in_parts(void **state)
{
    for (int i = 0; i < kernels_here; i++)
        for (unsigned r = 0; r < 16; r++)
            one_product(kernels[i], (way){19, 53, 385 + 384 * (r & 1), r & 1, r & 2, r & 4, r & 8, false});
}

static void panels_may_be_packed_one_by_one(void **state)
{
    for (int i = 0; i < kernels_here; i++)
        for (unsigned r = 0; r < 4; r++)
            one_product(kernels[i], (way){7, 101, 400, r & 1, r & 2, true, false, true});
}

/* Of 1, more, and more than a part's rows; x and dw stand in wider rows. */
static void gradients_of_weights_are_right(void **state)
{
    enum { GAP = 3, MOST = 128 };
    static const int64_t T[] = {1, 40, 401}, O[] = {16, 32, 48, 128}, I[] = {5, 16, 32, 64, 75, 128};
    float *dw = random_floats(MOST * (MOST + GAP), 6);

    for (int kind = 0; kind < kernels_here; kind++)
        for (int shape = 0; shape < 3 * 4 * 6 * 2; shape++) {
            cpu_product_gradient g = {.T = T[shape % 3], .O = O[shape / 3 % 4], .I = I[shape / 12 % 6], .dw = dw, .add = shape / 72};
            g.ld = g.I + GAP;
            float *dy = random_floats(g.T * g.O, 7), *x = random_floats(g.T * g.ld, 8);
            float *panels = random_floats(cpu_product_panels(kernels[kind], g.T, g.O < g.I ? g.O : g.I), 9);
            g.dy = dy, g.x = x;
            for (int64_t i = 0; i < g.O * g.ld; i++)
                dw[i] = 1;
            cpu_product_weights(kernels[kind], &g, panels);
            for (int64_t i = 0; i < g.O * g.ld; i++) {
                double sum = g.add || i % g.ld >= g.I;
                for (int64_t t = 0; i % g.ld < g.I && t < g.T; t++)
                    sum += (double)dy[t * g.O + i / g.ld] * (double)x[t * g.ld + i % g.ld];
                if (fabs(dw[i] - sum) > 4e-7 * (double)(g.T + 1))
                    fail_msg("%s: %lld rows, %lld x %lld: [%lld,%lld] is %g, not %g", kernels[kind]->name, (long long)g.T, (long long)g.O,
                             (long long)g.I, (long long)(i / g.ld), (long long)(i % g.ld), (double)dw[i], sum);
            }
            free(dy), free(x), free(panels);
        }
    free(dw);
}

/* Attention's scores are written with the zeros that fill their last line. */
static void the_last_line_may_be_written_whole(void **state)
{
    enum { M = 11, N = 33, WIDE = 48, K = 8 };
    for (int i = 0; i < kernels_here; i++) {
        float *a = random_floats(M * K, 1), *b = random_floats(K * N, 2), *c = random_floats(M * WIDE, 3);
        float *packed = random_floats(cpu_product_packed(kernels[i], K, N), 4);
        kernels[i]->pack(packed, &(cpu_product_side){b, 1, K, K, N}, 0, N);
        kernels[i]->multiply(&(cpu_product){.M = M, .N = WIDE, .K = K, .c = c, .ldc = WIDE, .a = a, .row = K, .step = 1, .b = packed});
        for (int64_t m = 0; m < M; m++)
            for (int64_t n = 0; n < WIDE; n++) {
                double sum = 0;
                for (int64_t k = 0; n < N && k < K; k++)
                    sum += (double)a[m * K + k] * (double)b[n * K + k];
                assert_true(fabs(c[m * WIDE + n] - sum) < 6e-8 * K);
            }
        free(a), free(b), free(c), free(packed);
    }
}

static void what_is_not_a_number_stays_so(void **state)
{
    for (int i = 0; i < kernels_here; i++) {
        float a[2] = {NAN, 1}, b[2] = {1, 2}, c[2], packed[1024] __attribute__((aligned(64)));
        kernels[i]->pack(packed, &(cpu_product_side){b, 1, 1, 1, 2}, 0, 2);
        kernels[i]->multiply(&(cpu_product){.M = 2, .N = 1, .K = 1, .c = c, .ldc = 1, .a = a, .row = 1, .step = 1, .b = packed});
        assert_true(isnan(c[0]) && c[1] == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right_at_any_size),  cmocka_unit_test(long_sums_go_in_parts),
        cmocka_unit_test(panels_may_be_packed_one_by_one), cmocka_unit_test(the_last_line_may_be_written_whole),
        cmocka_unit_test(what_is_not_a_number_stays_so),   cmocka_unit_test(gradients_of_weights_are_right),
    };
    find_kernels();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
