/* Conformance of tables and optimisers. */
#include "conformance/trial.h"

typedef struct table_case {
    int64_t N, W, B;
} table_case;

static const table_case table_cases[] = {{1, 1, 1}, {7, 3, 12}, {1000, 17, 1030}, {50, 128, 64}, {5, 4, 0}};

static deco_status call_gather(deco_device *dev, const deco_array *a, const void *extra) { return deco_rows_gather(dev, a[0], a[1], a[2]); }
static deco_status call_put(deco_device *dev, const deco_array *a, const void *extra) { return deco_rows_put(dev, a[0], a[1], a[2]); }

static void rows_are_taken_and_put(void **state)
{
    for (size_t i = 0; i < sizeof table_cases / sizeof *table_cases; i++) {
        const table_case *c = &table_cases[i];
        deco_array table = deco_f32_2(NULL, c->N, c->W), some = deco_f32_2(NULL, c->B, c->W);
        trial g = trial_begin(call_gather, c, "rows_gather %lld of %lldx%lld", (long long)c->B, (long long)c->N, (long long)c->W);
        trial p = trial_begin(call_put, c, "rows_put %lld into %lldx%lld", (long long)c->B, (long long)c->N, (long long)c->W);
        float *before;
        double *y = trial_out(&g, "y", some, 0), *put = trial_inout(&p, "table", table, 1, 0, &before);
        float *from = trial_in(&g, "table", table, 1), *x = trial_in(&p, "x", some, 1);
        int64_t *rg = trial_in(&g, "row", deco_i64_1(NULL, c->B), 0), *rp = trial_in(&p, "row", deco_i64_1(NULL, c->B), 0);
        for (int64_t k = 0; k < c->N * c->W; k++)
            put[k] = before[k];
        for (int64_t b = 0; b < c->B; b++) {
            rg[b] = rp[b] = (int64_t)deco_random_below(&p.random, (uint64_t)c->N); /* many come twice: the last stays */
            for (int64_t w = 0; w < c->W; w++) {
                y[b * c->W + w] = from[rg[b] * c->W + w];
                put[rp[b] * c->W + w] = x[b * c->W + w];
            }
        }
        trial_end(&g);
        trial_end(&p);
    }
}

static void rows_beyond_the_table_are_refused(void **state)
{
    float table[6] = {0}, x[2] = {0};
    int64_t row[] = {3};
    deco_array t = deco_f32_2(table, 3, 2), r = deco_i64_1(row, 1), v = deco_f32_2(x, 1, 2);
    assert_int_equal(deco_rows_gather(trial_device[0], v, t, r), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "row[0] is 3; the table has rows 0 to 2"));
    row[0] = -1;
    deco_adam_step h = {1e-3, 0.9, 0.999, 1e-8, 0, 1};
    deco_array hyper = {&h, DECO_BYTES, 1, {1, 1, 1, 1}, sizeof h};
    assert_int_equal(deco_adam_rows(trial_device[0], t, v, r, t, t, hyper), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "row[0] is -1; the table has rows 0 to 2"));
    assert_int_equal(deco_rows_put(trial_device[0], t, v, r), DECO_E_ARGUMENT);
}

static deco_status call_clear(deco_device *dev, const deco_array *a, const void *extra) { return deco_clear(dev, a[0]); }

static void clear_leaves_zeros_of_any_type(void **state)
{
    const deco_array shapes[] = {deco_f32_1(NULL, 1), deco_f32_2(NULL, 301, 257), deco_f64_1(NULL, 9001),
                                 deco_array_of(NULL, DECO_U8, 1, 65537, 1, 1, 1)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        trial t = trial_begin(call_clear, NULL, "clear %zu bytes", trial_bytes(shapes[i]));
        trial_out(&t, "x", shapes[i], 0);
        trial_end(&t);
    }
}

/* ---- Adam -------------------------------------------------------------------------------------------------------- */

typedef struct adam_case {
    int64_t n;
    deco_adam_step hyper;
} adam_case;

static const adam_case adam_cases[] = {
    {1, {1e-4, 0.9, 0.999, 1e-8, 0.01, 1}},
    {16385, {1e-4, 0.9, 0.999, 1e-8, 0.01, 3}},
    {1021, {1e-2, 0.9, 0.999, 1e-8, 0, 1000}},
    {77, {0, 0.9, 0.999, 1e-8, 0, 7}}, /* a rate of 0 still moves the moments */
};

static deco_status call_adam(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_adam(dev, a[0], a[1], a[2], a[3], a[4]);
}

/* METHOD.md section 5 and PyTorch's AdamW in double; x in f32 costs a rounding of x, the update a few of its own size. */
static void adam_is_pytorch_s(void **state)
{
    for (size_t i = 0; i < sizeof adam_cases / sizeof *adam_cases; i++) {
        const adam_case *c = &adam_cases[i];
        deco_array shape = deco_f32_1(NULL, c->n);
        deco_adam_step h = c->hyper;
        float *x0, *m0, *v0;
        trial t = trial_begin(call_adam, NULL, "adam %lld, step %lld, decay %g", (long long)c->n, (long long)h.step, h.decay);
        double *x = trial_inout(&t, "x", shape, 0.1, 2 * ROUNDING, &x0);
        float *g = trial_in(&t, "g", shape, 1e-3);
        double *m = trial_inout(&t, "m", shape, 1e-3, 4 * ROUNDING, &m0), *v = trial_inout(&t, "v", shape, 1e-3, 4 * ROUNDING, &v0);
        deco_array one = {NULL, DECO_BYTES, 1, {1, 1, 1, 1}, sizeof h};
        memcpy(trial_in(&t, "hyper", one, 0), &h, sizeof h);
        for (int64_t k = 0; k < c->n; k++) {
            v0[k] *= v0[k];
            m[k] = h.beta1 * m0[k] + (1 - h.beta1) * g[k];
            v[k] = h.beta2 * v0[k] + (1 - h.beta2) * g[k] * g[k];
            double mhat = m[k] / (1 - pow(h.beta1, (double)h.step)), vhat = v[k] / (1 - pow(h.beta2, (double)h.step));
            x[k] = x0[k] * (1 - h.lr * h.decay) - h.lr * mhat / (sqrt(vhat) + h.eps);
        }
        trial_end(&t);
    }
}

/* ---- Adam on a table ---------------------------------------------------------------------------------------------- */

static deco_status call_adam_rows(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_adam_rows(dev, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Dense: a row outside the batch has no gradient and moves by its old moments; one that comes twice has the sum of its gradients. */
static void adam_moves_all_rows_of_a_table(void **state)
{
    for (size_t i = 0; i < sizeof table_cases / sizeof *table_cases; i++) {
        const table_case *c = &table_cases[i];
        deco_array shape = deco_f32_2(NULL, c->N, c->W), one = {NULL, DECO_BYTES, 1, {1, 1, 1, 1}, sizeof(deco_adam_step)};
        const deco_adam_step h = {1e-2, 0.9, 0.999, 1e-8, 0, 5};
        int64_t n = c->N * c->W;
        float *x0, *m0, *v0;
        trial t = trial_begin(call_adam_rows, NULL, "adam_rows %lld of %lldx%lld", (long long)c->B, (long long)c->N, (long long)c->W);
        double *x = trial_inout(&t, "x", shape, 0.1, 2 * ROUNDING, &x0), *all = calloc((size_t)n, sizeof *all);
        float *g = trial_in(&t, "g", deco_f32_2(NULL, c->B, c->W), 1e-3);
        int64_t *row = trial_in(&t, "row", deco_i64_1(NULL, c->B), 0);
        /* Of a dozen gradients in one row, each sum costs a rounding. */
        double *m = trial_inout(&t, "m", shape, 1e-3, 8 * ROUNDING, &m0), *v = trial_inout(&t, "v", shape, 1e-3, 16 * ROUNDING, &v0);
        memcpy(trial_in(&t, "hyper", one, 0), &h, sizeof h);
        for (int64_t b = 0; b < c->B; b++) {
            row[b] = (int64_t)deco_random_below(&t.random, (uint64_t)c->N);
            for (int64_t w = 0; w < c->W; w++)
                all[row[b] * c->W + w] += g[b * c->W + w];
        }
        for (int64_t k = 0; k < n; k++) {
            v0[k] *= v0[k];
            m[k] = h.beta1 * m0[k] + (1 - h.beta1) * all[k];
            v[k] = h.beta2 * v0[k] + (1 - h.beta2) * all[k] * all[k];
            double mhat = m[k] / (1 - pow(h.beta1, (double)h.step)), vhat = v[k] / (1 - pow(h.beta2, (double)h.step));
            x[k] = x0[k] - h.lr * mhat / (sqrt(vhat) + h.eps);
        }
        free(all);
        trial_end(&t);
    }
}

/* ---- running mean ------------------------------------------------------------------------------------------------ */

static deco_status call_blend(deco_device *dev, const deco_array *a, const void *extra) { return deco_blend(dev, a[0], a[1], a[2]); }

static void blend_moves_by_its_weight(void **state)
{
    static const int64_t sizes[] = {1, 1021, 16385};
    static const float weights[] = {0, 0.004f, 1};
    for (size_t i = 0; i < 3; i++) {
        float *y0;
        trial t = trial_begin(call_blend, NULL, "blend %lld by %g", (long long)sizes[i], (double)weights[i]);
        double *y = trial_inout(&t, "y", deco_f32_1(NULL, sizes[i]), 1, 4 * ROUNDING, &y0);
        float *x = trial_in(&t, "x", deco_f32_1(NULL, sizes[i]), 1), *w = trial_in(&t, "weight", deco_f32_1(NULL, 1), 0);
        *w = weights[i];
        for (int64_t k = 0; k < sizes[i]; k++)
            y[k] = y0[k] + (double)*w * ((double)x[k] - y0[k]);
        trial_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_taken_and_put),         cmocka_unit_test(rows_beyond_the_table_are_refused),
        cmocka_unit_test(clear_leaves_zeros_of_any_type), cmocka_unit_test(adam_is_pytorch_s),
        cmocka_unit_test(adam_moves_all_rows_of_a_table), cmocka_unit_test(blend_moves_by_its_weight),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
