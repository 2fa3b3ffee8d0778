/* Conformance of the encoder's operations: its primitives, and its half blocks, fused and composed. METHOD.md section 4. */
#include "conformance/trial.h"
#include "conformance/reference.h"

#include "compute/composed.h"
#include "compute/vit_parts.h"

/* A sum of n products in f32, in any order: roundings add like the steps of a random walk, to some sqrt(n) of them. */
static double sum_bound(int64_t n) { return (4 + sqrt((double)n)) * ROUNDING; }

/* The CPU's error function is within 1.5e-7 (Abramowitz and Stegun 7.1.26), its half within as much again by rounding, and a GELU of
 * negative numbers is a third of them or less. */
#define ERF_ERROR 1.5e-7

/* ---- the reference -------------------------------------------------------------------------------------------------- */

static number ref_erf(number x)
{
    double a = creal(x);
    return erf(a) + cimag(x) * 2 / sqrt(REF_PI) * exp(-a * a) * _Complex_I;
}

static number ref_gelu(number x) { return ref_times(x, 0.5 * (1 + ref_erf(x / sqrt(2)))); }

static void ref_attention(number *o, const number *qkv, int64_t B, int64_t T, int64_t C, int64_t heads)
{
    int64_t w = C / heads;
    number *p = malloc((size_t)T * sizeof *p);
    for (int64_t i = 0; i < B * heads * T; i++) {
        int64_t b = i / (heads * T), h = i / T % heads, t = i % T;
        const number *row = qkv + b * T * 3 * C + h * w, *q = row + t * 3 * C;
        number sum = 0;
        for (int64_t s = 0; s < T; s++) {
            number score = 0;
            for (int64_t c = 0; c < w; c++)
                score += ref_times(q[c], row[s * 3 * C + C + c]);
            p[s] = cexp(score / sqrt((double)w));
            sum += p[s];
        }
        for (int64_t c = 0; c < w; c++) {
            number v = 0;
            for (int64_t s = 0; s < T; s++)
                v += ref_times(p[s], row[s * 3 * C + 2 * C + c]);
            o[(b * T + t) * C + h * w + c] = v / sum;
        }
    }
    free(p);
}

static void ref_batch_norm(number *y, const number *x, const number *gamma, const number *beta, int64_t M, int64_t C, double eps)
{
    for (int64_t c = 0; c < C; c++) {
        number mean = 0, variance = 0;
        for (int64_t m = 0; m < M; m++)
            mean += x[m * C + c] / M;
        for (int64_t m = 0; m < M; m++)
            variance += ref_times(x[m * C + c] - mean, x[m * C + c] - mean) / M;
        for (int64_t m = 0; m < M; m++)
            y[m * C + c] = ref_times((x[m * C + c] - mean) / csqrt(variance + eps), gamma[c]) + beta[c];
    }
}

/* stats [2,C] as the operations take them. */
static void ref_stats(double *stats, const float *x, int64_t M, int64_t C, double eps)
{
    for (int64_t c = 0; c < C; c++) {
        double mean = 0, variance = 0;
        for (int64_t m = 0; m < M; m++)
            mean += x[m * C + c] / (double)M;
        for (int64_t m = 0; m < M; m++)
            variance += (x[m * C + c] - mean) * (x[m * C + c] - mean) / (double)M;
        stats[c] = mean, stats[C + c] = 1 / sqrt(variance + eps);
    }
}

/* ---- bytes to tokens -------------------------------------------------------------------------------------------------- */

static deco_status call_patches(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_patches(dev, a[0], a[1], *(const int64_t *)extra);
}

static void patches_are_pixels_in_order(void **state)
{
    static const int64_t cases[][3] = {{1, 14, 14}, {2, 28, 14}, {3, 15, 3}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t B = cases[i][0], side = cases[i][1], p = cases[i][2], grid = side / p;
        trial t = trial_begin(call_patches, &cases[i][2], "patches %lldx%lld of %lld", (long long)B, (long long)side, (long long)p);
        double *rows = trial_out(&t, "rows", deco_f32_2(NULL, B * grid * grid, p * p), 4 * ROUNDING);
        unsigned char *pixels = trial_in(&t, "pixels", deco_array_of(NULL, DECO_U8, 3, B, side, side, 1), 1);
        for (int64_t k = 0; k < B * side * side; k++)
            pixels[k] = (unsigned char)deco_random_below(&t.random, 256);
        for (int64_t k = 0; k < B * side * side; k++) {
            int64_t b = k / side / side, y = k / side % side, x = k % side, patch = (b * grid + y / p) * grid + x / p;
            rows[patch * p * p + y % p * p + x % p] = (pixels[k] / 255. - 0.549995056189533) / 0.11784453744259035;
        }
        trial_end(&t);
    }
}

static deco_status call_tokens(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_tokens(dev, a[0], a[1], a[2], a[3]);
}

static deco_status call_tokens_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_tokens_backward(dev, a[0], a[1]);
}

static deco_status call_class(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_status st = deco_class_token(dev, a[0], a[2]);
    return st ? st : deco_class_token_backward(dev, a[1], a[3]);
}

static const int64_t token_cases[][3] = {{1, 5, 24}, {3, 2, 4}, {2, 257, 20}, {1, 1, 4}}; /* B, T, C */

static void tokens_stand_behind_the_class_token(void **state)
{
    for (size_t i = 0; i < sizeof token_cases / sizeof *token_cases; i++) {
        int64_t B = token_cases[i][0], T = token_cases[i][1], C = token_cases[i][2];
        trial t = trial_begin(call_tokens, NULL, "tokens %lldx%lldx%lld", (long long)B, (long long)T, (long long)C);
        double *x = trial_out(&t, "x", deco_f32_3(NULL, B, T, C), 2 * ROUNDING);
        const float *patch = trial_in(&t, "patch", deco_f32_2(NULL, B * (T - 1), C), 1), *cls = trial_in(&t, "cls", deco_f32_1(NULL, C), 1);
        const float *pos = trial_in(&t, "pos", deco_f32_2(NULL, T, C), 1);
        for (int64_t k = 0; k < B * T * C; k++) {
            int64_t b = k / C / T, at = k / C % T, c = k % C;
            x[k] = (double)(at ? patch[(b * (T - 1) + at - 1) * C + c] : cls[c]) + pos[at * C + c];
        }
        trial_end(&t);

        t = trial_begin(call_tokens_backward, NULL, "tokens_backward %lldx%lldx%lld", (long long)B, (long long)T, (long long)C);
        double *dcls = trial_out(&t, "dcls", deco_f32_1(NULL, C), sum_bound(B));
        const float *dx = trial_in(&t, "dx", deco_f32_3(NULL, B, T, C), 1);
        for (int64_t k = 0; k < B * C; k++)
            dcls[k % C] += dx[k / C * T * C + k % C];
        trial_end(&t);

        t = trial_begin(call_class, NULL, "class_token %lldx%lldx%lld", (long long)B, (long long)T, (long long)C);
        double *y = trial_out(&t, "y", deco_f32_2(NULL, B, C), 0), *back = trial_out(&t, "dx", deco_f32_3(NULL, B, T, C), 0);
        const float *from = trial_in(&t, "x", deco_f32_3(NULL, B, T, C), 1), *dy = trial_in(&t, "dy", deco_f32_2(NULL, B, C), 1);
        for (int64_t k = 0; k < B * C; k++) {
            y[k] = from[k / C * T * C + k % C];
            back[k / C * T * C + k % C] = dy[k];
        }
        trial_end(&t);
    }
}

/* ---- GELU ------------------------------------------------------------------------------------------------------------- */

static deco_status call_gelu(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_status st = deco_gelu(dev, a[0], a[2]);
    return st ? st : deco_gelu_backward(dev, a[1], a[3], a[2]);
}

static void gelu_is_exact(void **state)
{
    static const struct {
        int64_t n;
        double scale;
    } cases[] = {{7, 1}, {17, 1}, {20001, 3}, {39, 1e-4}, {33, 30}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t n = cases[i].n;
        trial t = trial_begin(call_gelu, NULL, "gelu of %lld, spread %g", (long long)n, cases[i].scale);
        double *y = trial_out(&t, "y", deco_f32_1(NULL, n), 4 * ERF_ERROR), *dx = trial_out(&t, "dx", deco_f32_1(NULL, n), 8 * ERF_ERROR);
        const float *x = trial_in(&t, "x", deco_f32_1(NULL, n), cases[i].scale), *dy = trial_in(&t, "dy", deco_f32_1(NULL, n), 1);
        for (int64_t k = 0; k < n; k++) {
            y[k] = creal(ref_gelu(x[k]));
            dx[k] = dy[k] * cimag(ref_gelu(x[k] + 1e-30 * _Complex_I)) / 1e-30;
        }
        trial_end(&t);
    }
}

/* ---- BatchNorm ---------------------------------------------------------------------------------------------------------- */

typedef struct norm_case {
    int64_t M, C;
    double offset; /* of x: a mean that is large beside the spread */
} norm_case;

static const norm_case norm_cases[] = {{3, 4, 0}, {5, 24, 0}, {257, 39, 1}, {1021, 17, 100}, {1, 8, 0}};

static deco_status call_statistics(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_status st = deco_batch_statistics(dev, a[0], a[1], a[3], 1e-5f, 0.1f);
    return st ? st : deco_running_statistics(dev, a[2], a[1], 1e-5f);
}

static void statistics_are_of_all_rows_and_run(void **state)
{
    for (size_t i = 0; i < sizeof norm_cases / sizeof *norm_cases; i++) {
        const norm_case *c = &norm_cases[i];
        int64_t M = c->M, C = c->C;
        double bound = sum_bound(64) * (1 + c->offset);
        trial t = trial_begin(call_statistics, c, "batch_statistics %lldx%lld offset %g", (long long)M, (long long)C, c->offset);
        float *run;
        double *stats = trial_out(&t, "stats", deco_f32_2(NULL, 2, C), bound);
        double *after = trial_inout(&t, "running", deco_f32_2(NULL, 2, C), 1, bound, &run);
        double *of_running = trial_out(&t, "of running", deco_f32_2(NULL, 2, C), bound);
        float *x = trial_in(&t, "x", deco_f32_2(NULL, M, C), 1);
        for (int64_t k = 0; k < M * C; k++)
            x[k] += (float)c->offset;
        for (int64_t k = C; k < 2 * C; k++)
            run[k] = 1 + fabsf(run[k]);
        ref_stats(stats, x, M, C, 1e-5);
        for (int64_t k = 0; k < C; k++) {
            double variance = 1 / (stats[C + k] * stats[C + k]) - 1e-5,
                   unbiased = M > 1 ? variance * (double)M / (double)(M - 1) : variance;
            after[k] = 0.9 * run[k] + 0.1 * stats[k];
            after[C + k] = 0.9 * run[C + k] + 0.1 * unbiased;
            of_running[k] = after[k], of_running[C + k] = 1 / sqrt(after[C + k] + 1e-5);
        }
        trial_end(&t);
    }
}

static deco_status call_norm(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_batch_norm(dev, a[0], a[1], a[2], a[3], a[4]);
}

static deco_status call_norm_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_batch_norm_backward(dev, a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
}

typedef struct norm_scalar {
    int64_t M, C;
    number *x, *gamma, *beta, *y;
    const float *dy;
} norm_scalar;

static number norm_of(void *context)
{
    norm_scalar *s = context;
    ref_batch_norm(s->y, s->x, s->gamma, s->beta, s->M, s->C, 1e-5);
    return ref_dot(s->y, s->dy, s->M * s->C);
}

static void batch_norm_and_its_gradient(void **state)
{
    for (size_t i = 0; i < sizeof norm_cases / sizeof *norm_cases; i++) {
        const norm_case *c = &norm_cases[i];
        int64_t M = c->M, C = c->C;
        double offset = 1 + c->offset, wide[2 * 39];
        norm_scalar s = {.M = M, .C = C};

        if (M < 2)
            continue; /* a single row is its own mean */
        s.y = malloc((size_t)(M * C) * sizeof(number));
        trial t = trial_begin(call_norm_backward, c, "batch_norm_backward %lldx%lld", (long long)M, (long long)C);
        double *dx = trial_out(&t, "dx", deco_f32_2(NULL, M, C), 16 * offset * ROUNDING);
        double *dgamma = trial_out(&t, "dgamma", deco_f32_1(NULL, C), sum_bound(M) * offset),
               *dbeta = trial_out(&t, "dbeta", deco_f32_1(NULL, C), sum_bound(M));
        s.dy = trial_in(&t, "dy", deco_f32_2(NULL, M, C), 1);
        float *x = trial_in(&t, "x", deco_f32_2(NULL, M, C), 1), *stats = trial_in(&t, "stats", deco_f32_2(NULL, 2, C), 0);
        for (int64_t k = 0; k < M * C; k++)
            x[k] += (float)c->offset;
        ref_stats(wide, x, M, C, 1e-5);
        for (int64_t k = 0; k < 2 * C; k++)
            stats[k] = (float)wide[k];
        s.x = ref_numbers(x, M * C);
        s.gamma = ref_numbers(trial_in(&t, "gamma", deco_f32_1(NULL, C), 1), C);
        s.beta = calloc((size_t)C, sizeof *s.beta);
        ref_gradient(dx, s.x, M * C, 60, norm_of, &s);
        ref_gradient(dgamma, s.gamma, C, 40, norm_of, &s);
        ref_gradient(dbeta, s.beta, C, 40, norm_of, &s);
        trial_end(&t);

        t = trial_begin(call_norm, c, "batch_norm %lldx%lld", (long long)M, (long long)C);
        double *y = trial_out(&t, "y", deco_f32_2(NULL, M, C), 16 * offset * ROUNDING);
        x = trial_in(&t, "x", deco_f32_2(NULL, M, C), 1);
        stats = trial_in(&t, "stats", deco_f32_2(NULL, 2, C), 1);
        const float *gamma = trial_in(&t, "gamma", deco_f32_1(NULL, C), 1), *beta = trial_in(&t, "beta", deco_f32_1(NULL, C), 1);
        for (int64_t k = 0; k < M * C; k++)
            y[k] = ((double)x[k] - stats[k % C]) * stats[C + k % C] * gamma[k % C] + beta[k % C];
        trial_end(&t);
        free(s.x), free(s.gamma), free(s.beta), free(s.y);
    }
}

/* ---- attention ------------------------------------------------------------------------------------------------------------ */

typedef struct vit_case {
    int64_t B, T, C, heads;
    double spread; /* of the scores: a large one makes a softmax of one token */
    bool composed;
} vit_case;

/* 5 tokens of width 24 in a batch of one; one token; 257 tokens are two tiles of queries, 300 three. */
static const vit_case attention_cases[] = {{1, 5, 24, 2, 1, false},  {2, 1, 4, 1, 1, false},    {3, 33, 20, 5, 1, false},
                                           {2, 257, 8, 2, 1, false}, {1, 300, 12, 1, 1, false}, {1, 21, 16, 2, 6, false}};

static deco_status call_attention(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_attention(dev, a[0], a[1], a[2], ((const vit_case *)extra)->heads);
}

static deco_status call_attention_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    const vit_case *c = extra;
    float *o = NULL, *log_sum = NULL;
    deco_status st = DECO_OK;
    TRY(deco_device_alloc(dev, &o, (size_t)(c->B * c->T * c->C) * sizeof *o, "o"));
    TRY(deco_device_alloc(dev, &log_sum, (size_t)(c->B * c->heads * c->T) * sizeof *o, "log_sum"));
    TRY(deco_attention(dev, deco_f32_3(o, c->B, c->T, c->C), deco_f32_3(log_sum, c->B, c->heads, c->T), a[2], c->heads));
    TRY(deco_attention_backward(dev, a[0], a[1], a[2], deco_f32_3(o, c->B, c->T, c->C), deco_f32_3(log_sum, c->B, c->heads, c->T),
                                c->heads));
out:
    deco_device_release(dev, o);
    deco_device_release(dev, log_sum);
    return st;
}

typedef struct attention_scalar {
    const vit_case *c;
    number *qkv, *o;
    const float *dout;
} attention_scalar;

static number attention_of(void *context)
{
    attention_scalar *s = context;
    const vit_case *c = s->c;
    ref_attention(s->o, s->qkv, c->B, c->T, c->C, c->heads);
    return ref_dot(s->o, s->dout, c->B * c->T * c->C);
}

static void attention_is_a_softmax_of_products(void **state)
{
    for (size_t i = 0; i < sizeof attention_cases / sizeof *attention_cases; i++) {
        const vit_case *c = &attention_cases[i];
        int64_t n = c->B * c->T * c->C, w = c->C / c->heads;
        double bound = sum_bound(c->T + w) * (1 + c->spread * c->spread);
        attention_scalar s = {.c = c, .o = malloc((size_t)n * sizeof(number))};
        trial t = trial_begin(call_attention, c, "attention %lldx%lldx%lld", (long long)c->B, (long long)c->T, (long long)c->C);
        double *o = trial_out(&t, "o", deco_f32_3(NULL, c->B, c->T, c->C), bound),
               *log_sum = trial_out(&t, "log_sum", deco_f32_3(NULL, c->B, c->heads, c->T), bound);
        s.qkv = ref_numbers(trial_in(&t, "qkv", deco_f32_3(NULL, c->B, c->T, 3 * c->C), c->spread), 3 * n);
        ref_attention(s.o, s.qkv, c->B, c->T, c->C, c->heads);
        ref_real(o, s.o, n);
        for (int64_t k = 0; k < c->B * c->heads * c->T; k++) {
            const number *row = s.qkv + k / (c->heads * c->T) * c->T * 3 * c->C + k / c->T % c->heads * w, *q = row + k % c->T * 3 * c->C;
            double sum = 0;
            for (int64_t j = 0; j < c->T; j++) {
                double score = 0;
                for (int64_t m = 0; m < w; m++)
                    score += creal(q[m]) * creal(row[j * 3 * c->C + c->C + m]);
                sum += exp(score / sqrt((double)w));
            }
            log_sum[k] = log(sum);
        }
        trial_end(&t);
        free(s.qkv);

        t = trial_begin(call_attention_backward, c, "attention_backward %lldx%lldx%lld", (long long)c->B, (long long)c->T, (long long)c->C);
        double *dqkv = trial_out(&t, "dqkv", deco_f32_3(NULL, c->B, c->T, 3 * c->C), 4 * bound);
        s.dout = trial_in(&t, "dout", deco_f32_3(NULL, c->B, c->T, c->C), 1);
        s.qkv = ref_numbers(trial_in(&t, "qkv", deco_f32_3(NULL, c->B, c->T, 3 * c->C), c->spread), 3 * n);
        ref_gradient(dqkv, s.qkv, 3 * n, 24, attention_of, &s);
        trial_end(&t);
        free(s.qkv), free(s.o);
    }
}

/* ---- half blocks ----------------------------------------------------------------------------------------------------------- */

static const vit_case block_cases[] = {{1, 5, 24, 2, 1, false}, {1, 5, 24, 2, 1, true}, {3, 17, 20, 5, 1, false},
                                       {3, 17, 20, 5, 1, true}, {2, 1, 8, 1, 1, false}, {40, 257, 4, 1, 1, false}};

typedef struct block_scalar {
    const vit_case *c;
    number *x, *params, *y;
    const float *dy;
} block_scalar;

static void ref_attention_half(number *y, const number *x, const number *p, const vit_case *c)
{
    int64_t M = c->B * c->T, C = c->C;
    number *normal = malloc((size_t)(M * C) * sizeof *normal), *qkv = calloc((size_t)(3 * M * C), sizeof *qkv);
    const number *w = p + 2 * C, *proj = w + 3 * C * C + 3 * C;
    ref_layer_norm(normal, x, p, p + C, M, C, 1e-6);
    ref_linear(qkv, normal, w, w + 3 * C * C, M, C, 3 * C);
    ref_attention(normal, qkv, c->B, c->T, C, c->heads);
    ref_linear(y, normal, proj, proj + C * C, M, C, C);
    for (int64_t i = 0; i < M * C; i++)
        y[i] += x[i];
    free(normal), free(qkv);
}

static void ref_mlp_half(number *y, const number *x, const number *p, const vit_case *c)
{
    int64_t M = c->B * c->T, C = c->C;
    number *normal = malloc((size_t)(M * C) * sizeof *normal), *wide = malloc((size_t)(4 * M * C) * sizeof *wide);
    const number *w = p + 2 * C, *fc2 = w + 4 * C * C + 4 * C;
    ref_batch_norm(normal, x, p, p + C, M, C, 1e-5);
    ref_linear(wide, normal, w, w + 4 * C * C, M, C, 4 * C);
    for (int64_t i = 0; i < 4 * M * C; i++)
        wide[i] = ref_gelu(wide[i]);
    ref_linear(y, wide, fc2, fc2 + 4 * C * C, M, 4 * C, C);
    for (int64_t i = 0; i < M * C; i++)
        y[i] += x[i];
    free(normal), free(wide);
}

static number attention_half_of(void *context)
{
    block_scalar *s = context;
    ref_attention_half(s->y, s->x, s->params, s->c);
    return ref_dot(s->y, s->dy, s->c->B * s->c->T * s->c->C);
}

static number mlp_half_of(void *context)
{
    block_scalar *s = context;
    ref_mlp_half(s->y, s->x, s->params, s->c);
    return ref_dot(s->y, s->dy, s->c->B * s->c->T * s->c->C);
}

/* y, dx, dparams of dy, x, params (and stats): forward with what is kept, its backward, and forward once more without keeping, which must
 * not differ by a bit. */
static deco_status call_half(deco_device *dev, const deco_array *a, const vit_case *c, bool mlp)
{
    deco_status st = DECO_OK;
    int64_t M = c->B * c->T, n = mlp ? deco_vit_mlp_saved(c->C, M) : deco_vit_attention_saved(c->C, c->heads, M);
    float *kept = NULL, *again = NULL;
    TRY(deco_device_alloc(dev, &kept, (size_t)n * sizeof *kept, "kept"));
    TRY(deco_device_alloc(dev, &again, (size_t)(M * c->C) * sizeof *again, "again"));
    deco_array saved = deco_f32_1(kept, n), y2 = deco_f32_3(again, c->B, c->T, c->C), none = deco_none();
    if (mlp && c->composed) {
        TRY(composed_vit_mlp(dev, a[0], saved, a[4], a[6], a[5]));
        TRY(composed_vit_mlp_backward(dev, a[1], a[2], a[3], saved, a[4], a[6], a[5]));
        TRY(composed_vit_mlp(dev, y2, none, a[4], a[6], a[5]));
    } else if (mlp) {
        TRY(deco_vit_mlp(dev, a[0], none, a[4], a[6], a[5]));
        TRY(deco_vit_mlp(dev, y2, saved, a[4], a[6], a[5]));
        TRY(deco_vit_mlp_backward(dev, a[1], a[2], a[3], saved, a[4], a[6], a[5]));
    } else if (c->composed) {
        TRY(composed_vit_attention(dev, c->heads, a[0], saved, a[4], a[5]));
        TRY(composed_vit_attention_backward(dev, c->heads, a[1], a[2], a[3], saved, a[4], a[5]));
        TRY(composed_vit_attention(dev, c->heads, y2, none, a[4], a[5]));
    } else {
        TRY(deco_vit_attention(dev, c->heads, a[0], none, a[4], a[5]));
        TRY(deco_vit_attention(dev, c->heads, y2, saved, a[4], a[5]));
        TRY(deco_vit_attention_backward(dev, c->heads, a[1], a[2], a[3], saved, a[4], a[5]));
    }
    if (!trial_same(dev, again, a[0].data, (size_t)(M * c->C) * sizeof *again))
        st = deco_fail(DECO_E_DEVICE, "other bits when what backward needs is kept");
    TRY(trial_copy(dev, again, a[4].data, (size_t)(M * c->C) * sizeof *again));
    if (mlp)
        TRY(c->composed ? composed_vit_mlp(dev, y2, none, y2, a[6], a[5]) : deco_vit_mlp(dev, y2, none, y2, a[6], a[5]));
    else
        TRY(c->composed ? composed_vit_attention(dev, c->heads, y2, none, y2, a[5])
                        : deco_vit_attention(dev, c->heads, y2, none, y2, a[5]));
    if (!trial_same(dev, again, a[0].data, (size_t)(M * c->C) * sizeof *again))
        st = deco_fail(DECO_E_DEVICE, "other bits in place");
out:
    deco_device_release(dev, kept);
    deco_device_release(dev, again);
    return st;
}

static deco_status call_attention_half(deco_device *dev, const deco_array *a, const void *extra) { return call_half(dev, a, extra, false); }
static deco_status call_mlp_half(deco_device *dev, const deco_array *a, const void *extra) { return call_half(dev, a, extra, true); }

static void try_half(const vit_case *c, bool mlp)
{
    int64_t M = c->B * c->T, C = c->C, n = mlp ? deco_vit_mlp_parameters(C) : deco_vit_attention_parameters(C);
    number (*of)(void *) = mlp ? mlp_half_of : attention_half_of;
    trial t = trial_begin(mlp ? call_mlp_half : call_attention_half, c, "vit_%s%s %lldx%lldx%lld", mlp ? "mlp" : "attention",
                          c->composed ? " composed" : "", (long long)c->B, (long long)c->T, (long long)C);
    /* Sums over a width, its four-fold, the tokens; the gradients of weights over all rows. Two products and a norm stand behind one another. */
    double bound = 8 * sum_bound(4 * C + c->T) + 4 * ERF_ERROR;
    double *y = trial_out(&t, "y", deco_f32_3(NULL, c->B, c->T, C), bound),
           *dx = trial_out(&t, "dx", deco_f32_3(NULL, c->B, c->T, C), 2 * bound);
    double *dparams = trial_out(&t, "dparams", deco_f32_1(NULL, n), 2 * bound + 4 * sum_bound(M));
    block_scalar s = {.c = c, .y = malloc((size_t)(M * C) * sizeof(number))};
    s.dy = trial_in(&t, "dy", deco_f32_3(NULL, c->B, c->T, C), 1);
    const float *x = trial_in(&t, "x", deco_f32_3(NULL, c->B, c->T, C), 1);
    float *params = trial_in(&t, "params", deco_f32_1(NULL, n), 1 / sqrt((double)C));
    for (int64_t i = 0; i < C; i++)
        params[i] += 1;
    if (mlp) {
        double *wide = malloc((size_t)(2 * C) * sizeof *wide);
        float *stats = trial_in(&t, "stats", deco_f32_2(NULL, 2, C), 0);
        ref_stats(wide, x, M, C, 1e-5);
        for (int64_t i = 0; i < 2 * C; i++)
            stats[i] = (float)wide[i];
        free(wide);
    }
    s.x = ref_numbers(x, M * C);
    s.params = ref_numbers(params, n);
    of(&s);
    ref_real(y, s.y, M * C);
    ref_gradient(dx, s.x, M * C, M > 1000 ? 8 : 40, of, &s);
    ref_gradient(dparams, s.params, n, M > 1000 ? 16 : 120, of, &s);
    trial_end(&t);
    free(s.x), free(s.params), free(s.y);
}

static void half_blocks_and_their_gradients(void **state)
{
    for (size_t i = 0; i < sizeof block_cases / sizeof *block_cases; i++) {
        try_half(&block_cases[i], false);
        if (block_cases[i].B * block_cases[i].T > 2) /* two rows are one number apart, whatever they are */
            try_half(&block_cases[i], true);
    }
}

static deco_status call_class_attention(deco_device *dev, const deco_array *a, const void *extra)
{
    const vit_case *c = extra;
    return c->composed ? composed_vit_class_attention(dev, c->heads, a[0], a[1], a[2])
                       : deco_vit_class_attention(dev, c->heads, a[0], a[1], a[2]);
}

static void class_tokens_alone_are_those_of_the_whole(void **state)
{
    for (size_t i = 0; i < sizeof block_cases / sizeof *block_cases; i++) {
        const vit_case *c = &block_cases[i];
        int64_t M = c->B * c->T, C = c->C, n = deco_vit_attention_parameters(C);
        trial t = trial_begin(call_class_attention, c, "vit_class_attention%s %lldx%lldx%lld", c->composed ? " composed" : "",
                              (long long)c->B, (long long)c->T, (long long)C);
        double *y = trial_out(&t, "y", deco_f32_2(NULL, c->B, C), 8 * sum_bound(4 * C + c->T));
        number *x = ref_numbers(trial_in(&t, "x", deco_f32_3(NULL, c->B, c->T, C), 1), M * C),
               *whole = malloc((size_t)(M * C) * sizeof *whole);
        number *params = ref_numbers(trial_in(&t, "params", deco_f32_1(NULL, n), 1 / sqrt((double)C)), n);
        ref_attention_half(whole, x, params, c);
        for (int64_t b = 0; b < c->B; b++)
            ref_real(y + b * C, whole + b * c->T * C, C);
        trial_end(&t);
        free(x), free(whole), free(params);
    }
}

static void wrong_shapes_are_refused(void **state)
{
    deco_device *dev = trial_device[0];
    float x[64] = {0};
    assert_int_equal(deco_attention(dev, deco_f32_3(x, 1, 2, 4), deco_none(), deco_f32_3(x, 1, 2, 12), 3), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "3 heads do not divide a width of 4"));
    assert_int_equal(deco_patches(dev, deco_f32_2(x, 1, 4), deco_array_of(x, DECO_U8, 3, 1, 3, 3, 1), 2), DECO_E_ARGUMENT);
    assert_int_equal(deco_vit_mlp(dev, deco_f32_3(x, 1, 1, 4), deco_none(), deco_f32_3(x, 1, 1, 4), deco_f32_2(x, 2, 4), deco_f32_1(x, 5)),
                     DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "params is f32 [5]; it must be f32 [156]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_are_pixels_in_order),
        cmocka_unit_test(tokens_stand_behind_the_class_token),
        cmocka_unit_test(gelu_is_exact),
        cmocka_unit_test(statistics_are_of_all_rows_and_run),
        cmocka_unit_test(batch_norm_and_its_gradient),
        cmocka_unit_test(attention_is_a_softmax_of_products),
        cmocka_unit_test(half_blocks_and_their_gradients),
        cmocka_unit_test(class_tokens_alone_are_those_of_the_whole),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
