/* Conformance of the layers: linear, LayerNorm, ReLU, encoding, latents. */
#include "conformance/trial.h"
#include "conformance/reference.h"

/* A sum of n products in f32, in any order: roundings add like the steps of a random walk, to some sqrt(n) of them. */
static double sum_bound(int64_t n) { return (4 + sqrt((double)n)) * ROUNDING; }

/* ---- linear ----------------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    int64_t M, I, O;
    bool bias;
    deco_activation act;
} linear_case;

static const linear_case linear_cases[] = {
    {1, 1, 1, true, DECO_LINEAR},                                      /* the smallest */
    {0, 5, 4, true, DECO_RELU},                                        /* no rows */
    {3, 7, 5, false, DECO_LINEAR},     {193, 31, 39, true, DECO_RELU}, /* one row into the second tile */
    {501, 48, 1, true, DECO_LINEAR},                                   /* the last layer */
    {3301, 13, 17, true, DECO_LINEAR},                                 /* several chunks of gradients, the last one short */
    {200, 388, 256, true, DECO_RELU},
};

static deco_status call_linear(deco_device *dev, const deco_array *a, const void *extra)
{
    const linear_case *c = extra;
    return deco_linear(dev, a[0], a[1], a[2], a[3], c->act);
}

static void linear_is_a_product_with_bias(void **state)
{
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++) {
        const linear_case *c = &linear_cases[i];
        trial t = trial_begin(call_linear, c, "linear %lldx%lldx%lld", (long long)c->M, (long long)c->I, (long long)c->O);
        double *y = trial_out(&t, "y", deco_f32_2(NULL, c->M, c->O), sum_bound(c->I));
        number *x = ref_numbers(trial_in(&t, "x", deco_f32_2(NULL, c->M, c->I), 1), c->M * c->I);
        number *w = ref_numbers(trial_in(&t, "w", deco_f32_2(NULL, c->O, c->I), 1), c->O * c->I), *b = NULL;
        if (c->bias)
            b = ref_numbers(trial_in(&t, "b", deco_f32_1(NULL, c->O), 1), c->O);
        else
            trial_none(&t);
        number *r = malloc((size_t)(c->M * c->O + 1) * sizeof *r);
        ref_linear(r, x, w, b, c->M, c->I, c->O);
        for (int64_t k = 0; k < c->M * c->O; k++)
            y[k] = creal(c->act == DECO_RELU ? ref_relu(r[k]) : r[k]);
        trial_end(&t);
        free(r), free(x), free(w), free(b);
    }
}

typedef struct linear_scalar {
    const linear_case *c;
    number *x, *w, *b, *y;
    const float *dy;
} linear_scalar;

static number linear_of(void *context)
{
    linear_scalar *s = context;
    ref_linear(s->y, s->x, s->w, s->b, s->c->M, s->c->I, s->c->O);
    return ref_dot(s->y, s->dy, s->c->M * s->c->O);
}

static deco_status call_linear_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_linear_backward(dev, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void linear_backward_is_its_gradient(void **state)
{
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++) {
        const linear_case *c = &linear_cases[i];
        int64_t M = c->M, I = c->I, O = c->O;
        trial t = trial_begin(call_linear_backward, c, "linear_backward %lldx%lldx%lld", (long long)M, (long long)I, (long long)O);
        double *dx = trial_out(&t, "dx", deco_f32_2(NULL, M, I), sum_bound(O));
        double *dw = trial_out(&t, "dw", deco_f32_2(NULL, O, I), sum_bound(M)), *db = NULL;
        if (c->bias)
            db = trial_out(&t, "db", deco_f32_1(NULL, O), sum_bound(M));
        else
            trial_none(&t);
        linear_scalar s = {.c = c};
        s.dy = trial_in(&t, "dy", deco_f32_2(NULL, M, O), 1);
        s.x = ref_numbers(trial_in(&t, "x", deco_f32_2(NULL, M, I), 1), M * I);
        s.w = ref_numbers(trial_in(&t, "w", deco_f32_2(NULL, O, I), 1), O * I);
        s.b = calloc((size_t)O, sizeof *s.b);
        s.y = malloc((size_t)(M * O + 1) * sizeof *s.y);
        int64_t samples = M * I * O > 1000000 ? 12 : 40;
        ref_gradient(dx, s.x, M * I, samples, linear_of, &s);
        ref_gradient(dw, s.w, O * I, samples, linear_of, &s);
        if (db)
            ref_gradient(db, s.b, O, samples, linear_of, &s);
        trial_end(&t);
        free(s.x), free(s.w), free(s.b), free(s.y);
    }
}

/* ---- LayerNorm --------------------------------------------------------------------------------------------------- */

typedef struct norm_case {
    int64_t M, C;
    double offset; /* of x: a mean that is large beside the spread */
} norm_case;

static const norm_case norm_cases[] = {{1, 5, 0}, {0, 4, 0}, {5, 39, 0}, {193, 17, 3}, {450, 256, 0}, {7, 128, 100}};

static float *norm_input(trial *t, const norm_case *c)
{
    float *x = trial_in(t, "x", deco_f32_2(NULL, c->M, c->C), 1);
    for (int64_t i = 0; i < c->M * c->C; i++)
        x[i] += (float)c->offset;
    return x;
}

static deco_status call_norm(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_layer_norm(dev, a[0], a[1], a[2], a[3], a[4], 1e-5f);
}

/* x - mean loses |mean|/σ roundings of the mean, here one of 100. */
static double norm_bound(const norm_case *c) { return (8 + 4 * c->offset) * ROUNDING; }

static void layer_norm_has_mean_beta_and_spread_gamma(void **state)
{
    for (size_t i = 0; i < sizeof norm_cases / sizeof *norm_cases; i++) {
        const norm_case *c = &norm_cases[i];
        int64_t M = c->M, C = c->C;
        trial t = trial_begin(call_norm, c, "layer_norm %lldx%lld", (long long)M, (long long)C);
        double *y = trial_out(&t, "y", deco_f32_2(NULL, M, C), norm_bound(c));
        double *stats = trial_out(&t, "stats", deco_f32_2(NULL, M, 2), norm_bound(c));
        number *x = ref_numbers(norm_input(&t, c), M * C);
        number *gamma = ref_numbers(trial_in(&t, "gamma", deco_f32_1(NULL, C), 1), C);
        number *beta = ref_numbers(trial_in(&t, "beta", deco_f32_1(NULL, C), 1), C), *r = malloc((size_t)(M * C + 1) * sizeof *r);
        ref_layer_norm(r, x, gamma, beta, M, C, 1e-5);
        ref_real(y, r, M * C);
        for (int64_t m = 0; m < M; m++) {
            double mean = 0, variance = 0;
            for (int64_t k = 0; k < C; k++)
                mean += creal(x[m * C + k]) / (double)C;
            for (int64_t k = 0; k < C; k++)
                variance += pow(creal(x[m * C + k]) - mean, 2) / (double)C;
            stats[2 * m] = mean, stats[2 * m + 1] = 1 / sqrt(variance + 1e-5);
        }
        trial_end(&t);
        free(x), free(gamma), free(beta), free(r);
    }
}

typedef struct norm_scalar {
    const norm_case *c;
    number *x, *gamma, *beta, *y;
    const float *dy;
} norm_scalar;

static number norm_of(void *context)
{
    norm_scalar *s = context;
    ref_layer_norm(s->y, s->x, s->gamma, s->beta, s->c->M, s->c->C, 1e-5);
    return ref_dot(s->y, s->dy, s->c->M * s->c->C);
}

static deco_status call_norm_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_layer_norm_backward(dev, a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
}

static void layer_norm_backward_is_its_gradient(void **state)
{
    for (size_t i = 0; i < sizeof norm_cases / sizeof *norm_cases; i++) {
        const norm_case *c = &norm_cases[i];
        int64_t M = c->M, C = c->C;
        trial t = trial_begin(call_norm_backward, c, "layer_norm_backward %lldx%lld", (long long)M, (long long)C);
        double bound = norm_bound(c) + sum_bound(M);
        double *dx = trial_out(&t, "dx", deco_f32_2(NULL, M, C), 2 * norm_bound(c) + sum_bound(C));
        double *dgamma = trial_out(&t, "dgamma", deco_f32_1(NULL, C), bound), *dbeta = trial_out(&t, "dbeta", deco_f32_1(NULL, C), bound);
        norm_scalar s = {.c = c, .dy = trial_in(&t, "dy", deco_f32_2(NULL, M, C), 1)};
        s.x = ref_numbers(norm_input(&t, c), M * C);
        float *stats = trial_in(&t, "stats", deco_f32_2(NULL, M, 2), 1);
        s.gamma = ref_numbers(trial_in(&t, "gamma", deco_f32_1(NULL, C), 1), C);
        s.beta = calloc((size_t)C, sizeof *s.beta);
        s.y = malloc((size_t)(M * C + 1) * sizeof *s.y);
        for (int64_t m = 0; m < M; m++) {
            double mean = 0, variance = 0;
            for (int64_t k = 0; k < C; k++)
                mean += creal(s.x[m * C + k]) / (double)C;
            for (int64_t k = 0; k < C; k++)
                variance += pow(creal(s.x[m * C + k]) - mean, 2) / (double)C;
            stats[2 * m] = (float)mean, stats[2 * m + 1] = (float)(1 / sqrt(variance + 1e-5));
        }
        ref_gradient(dx, s.x, M * C, 60, norm_of, &s);
        ref_gradient(dgamma, s.gamma, C, 40, norm_of, &s);
        ref_gradient(dbeta, s.beta, C, 40, norm_of, &s);
        trial_end(&t);
        free(s.x), free(s.gamma), free(s.beta), free(s.y);
    }
}

/* ---- sums and ReLU ----------------------------------------------------------------------------------------------- */

static const int64_t lengths[] = {1, 1021, 16384, 40001};

static deco_status call_add(deco_device *dev, const deco_array *a, const void *extra) { return deco_add(dev, a[0], a[1], a[2]); }
static deco_status call_add_relu(deco_device *dev, const deco_array *a, const void *extra) { return deco_add_relu(dev, a[0], a[1], a[2]); }
static deco_status call_add_in_place(deco_device *dev, const deco_array *a, const void *extra) { return deco_add(dev, a[0], a[0], a[1]); }
static deco_status call_relu_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_relu_backward(dev, a[0], a[1], a[2]);
}

static void sums_and_relu_are_exact(void **state)
{
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int64_t n = lengths[i];
        deco_array shape = deco_f32_1(NULL, n);
        trial sum = trial_begin(call_add, NULL, "add %lld", (long long)n);
        trial relu = trial_begin(call_add_relu, NULL, "add_relu %lld", (long long)n);
        trial back = trial_begin(call_relu_backward, NULL, "relu_backward %lld", (long long)n);
        trial alone = trial_begin(call_add_relu, NULL, "add_relu %lld, no r", (long long)n);
        trial place = trial_begin(call_add_in_place, NULL, "add %lld, in place", (long long)n);
        double *y = trial_out(&sum, "y", shape, 0), *yr = trial_out(&relu, "y", shape, 0), *dx = trial_out(&back, "dx", shape, 0);
        double *ya = trial_out(&alone, "y", shape, 0);
        float *start, *x = trial_in(&sum, "x", shape, 1), *r = trial_in(&sum, "r", shape, 1);
        float *xr = trial_in(&relu, "x", shape, 1), *rr = trial_in(&relu, "r", shape, 1);
        float *dy = trial_in(&back, "dy", shape, 1), *yb = trial_in(&back, "y", shape, 1), *xa = trial_in(&alone, "x", shape, 1);
        double *yp = trial_inout(&place, "y", shape, 1, 0, &start);
        float *rp = trial_in(&place, "r", shape, 1);
        trial_none(&alone);
        for (int64_t k = 0; k < n; k++) {
            yb[k] = fmaxf(yb[k], 0);
            y[k] = x[k] + r[k];
            yr[k] = fmaxf(xr[k] + rr[k], 0);
            ya[k] = fmaxf(xa[k], 0);
            dx[k] = yb[k] > 0 ? dy[k] : 0;
            yp[k] = start[k] + rp[k];
        }
        trial_end(&sum), trial_end(&relu), trial_end(&back), trial_end(&alone), trial_end(&place);
    }
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

typedef struct encoding_case {
    int64_t M, pe, L, Z, B;
} encoding_case;

static const encoding_case encoding_cases[] = {{1, 1, 3, 1, 1}, {66, 5, 31, 7, 3}, {386, 8, 33, 4, 2}, {200, 64, 129, 128, 1}};

static deco_status call_encoding(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_positional_encoding(dev, a[0], a[1], a[2], ((const encoding_case *)extra)->L);
}
static deco_status call_encoding_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_positional_encoding_backward(dev, a[0], a[1], a[2], a[3], ((const encoding_case *)extra)->L);
}

typedef struct encoding_scalar {
    const encoding_case *c;
    number *x, *freqs, *y;
    const float *dy;
} encoding_scalar;

static number encoding_of(void *context)
{
    encoding_scalar *s = context;
    int64_t F = 3 * s->c->pe;
    for (int64_t m = 0; m < s->c->M; m++)
        ref_encoding(s->y + 2 * F * m, s->x + 3 * m, s->freqs, F, s->c->L);
    return ref_dot(s->y, s->dy, 2 * F * s->c->M);
}

/* The phase is a float of up to half_L·|x|·|f|, some 2 half_L: it is that much off before the sine is taken. */
static double phase_bound(const encoding_case *c) { return (4 + 4.0 * (double)(c->L / 2)) * ROUNDING; }

static void encoding_and_its_gradient(void **state)
{
    for (size_t i = 0; i < sizeof encoding_cases / sizeof *encoding_cases; i++) {
        const encoding_case *c = &encoding_cases[i];
        int64_t M = c->M, F = 3 * c->pe;
        trial t = trial_begin(call_encoding, c, "positional_encoding %lldx%lld", (long long)M, (long long)F);
        trial g = trial_begin(call_encoding_backward, c, "positional_encoding_backward %lldx%lld", (long long)M, (long long)F);
        encoding_scalar s = {.c = c};
        double *pe = trial_out(&t, "pe", deco_f32_2(NULL, M, 2 * F), phase_bound(c));
        double *dx = trial_out(&g, "dx", deco_f32_2(NULL, M, 3), phase_bound(c));
        s.dy = trial_in(&g, "dpe", deco_f32_2(NULL, M, 2 * F), 1);
        float *x = trial_in(&t, "x", deco_f32_2(NULL, M, 3), 0.25), *freqs = trial_in(&t, "freqs", deco_f32_2(NULL, F, 3), 0.5);
        memcpy(trial_in(&g, "x", deco_f32_2(NULL, M, 3), 1), x, (size_t)(3 * M) * sizeof *x);
        memcpy(trial_in(&g, "freqs", deco_f32_2(NULL, F, 3), 1), freqs, (size_t)(3 * F) * sizeof *x);
        s.x = ref_numbers(x, 3 * M), s.freqs = ref_numbers(freqs, 3 * F), s.y = malloc((size_t)(2 * F * M) * sizeof *s.y);
        encoding_of(&s);
        ref_real(pe, s.y, 2 * F * M);
        ref_gradient(dx, s.x, 3 * M, 100, encoding_of, &s);
        trial_end(&t);
        trial_end(&g);
        free(s.x), free(s.freqs), free(s.y);
    }
}

static deco_status call_append(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_append_latent(dev, a[0], a[1], a[2]);
}
static deco_status call_append_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_append_latent_backward(dev, a[0], a[1], a[2]);
}

static void latents_stand_behind_their_image_s_features(void **state)
{
    for (size_t i = 0; i < sizeof encoding_cases / sizeof *encoding_cases; i++) {
        const encoding_case *c = &encoding_cases[i];
        int64_t B = c->B, P = c->M / B, F = 6 * c->pe, Z = c->Z;
        deco_array all = deco_f32_3(NULL, B, P, F + Z), some = deco_f32_3(NULL, B, P, F);
        trial t =
            trial_begin(call_append, c, "append_latent %lldx%lldx(%lld+%lld)", (long long)B, (long long)P, (long long)F, (long long)Z);
        trial g = trial_begin(call_append_backward, c, "append_latent_backward %lldx%lldx(%lld+%lld)", (long long)B, (long long)P,
                              (long long)F, (long long)Z);
        double *y = trial_out(&t, "y", all, 0), *dx = trial_out(&g, "dx", some, 0);
        double *dz = trial_out(&g, "dz", deco_f32_2(NULL, B, Z), 2 * ROUNDING); /* summed in double */
        float *x = trial_in(&t, "x", some, 1), *z = trial_in(&t, "z", deco_f32_2(NULL, B, Z), 1), *dy = trial_in(&g, "dy", all, 1);
        for (int64_t k = 0; k < B * P * (F + Z); k++) {
            int64_t m = k / (F + Z), f = k % (F + Z);
            y[k] = f < F ? x[m * F + f] : z[m / P * Z + f - F];
            if (f < F)
                dx[m * F + f] = dy[k];
            else
                dz[m / P * Z + f - F] += dy[k];
        }
        trial_end(&t);
        trial_end(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_is_a_product_with_bias),
        cmocka_unit_test(linear_backward_is_its_gradient),
        cmocka_unit_test(layer_norm_has_mean_beta_and_spread_gamma),
        cmocka_unit_test(layer_norm_backward_is_its_gradient),
        cmocka_unit_test(sums_and_relu_are_exact),
        cmocka_unit_test(encoding_and_its_gradient),
        cmocka_unit_test(latents_stand_behind_their_image_s_features),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
