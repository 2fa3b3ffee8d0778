/* The benchmark's cases: a product, and the decoder going forward and in training, at the default and at a small size. */
#include "compute/bench.h"
#include "base/philox.h"
#include "compute/ops.h"
#include "geometry/lattice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOX = 128, MOST_ARRAYS = 16, BENCH_SEED = 1 };

/* One case at work: its memory on the device, and one round of it. */
typedef struct work {
    deco_device *dev;
    deco_random random;
    void *held[MOST_ARRAYS];
    int holds;
    deco_hypervolume h;
    int64_t B, P, radius;
    deco_array a, b, c;                                        /* the product */
    deco_array out, loss, params, freqs, x, R, z, ctf, target; /* the decoder */
    deco_array dparams, dz, moment, square, hyper;
} work;

typedef struct shape_of_case {
    const char *unit;
    deco_hypervolume h;
    int64_t B, P, radius; /* points: those of the mask of this radius, or 0: any */
    int64_t card_B, card_P, card_radius;
    deco_status (*prepare)(work *w);
    deco_status (*round)(work *w);
} shape_of_case;

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static deco_status hold(work *w, deco_array *x, deco_dtype dtype, int64_t a, int64_t b, int64_t c)
{
    int dims = c ? 3 : b ? 2 : 1;
    void *p = NULL;
    deco_array shape = deco_array_of(NULL, dtype, dims, a, b ? b : 1, c ? c : 1, 1);
    deco_status st = deco_device_alloc(w->dev, &p, (size_t)(a * shape.shape[1] * shape.shape[2]) * shape.item, "benchmark");
    if (st)
        return st;
    w->held[w->holds++] = p;
    shape.data = p;
    *x = shape;
    return DECO_OK;
}

/* An array of random numbers in ±range. */
static deco_status hold_random(work *w, deco_array *x, double range, int64_t a, int64_t b, int64_t c)
{
    deco_status st = DECO_OK;
    float *host = NULL;
    TRY(hold(w, x, DECO_F32, a, b, c));
    int64_t n = deco_array_count(*x);
    TRY(deco_alloc(&host, (size_t)n, sizeof *host, "benchmark"));
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)(range * (2 * deco_random_uniform(&w->random) - 1));
    TRY(deco_device_upload(w->dev, x->data, host, (size_t)n * sizeof *host));
out:
    free(host);
    return st;
}

static void let_go(work *w)
{
    for (int i = 0; i < w->holds; i++)
        deco_device_release(w->dev, w->held[i]);
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

enum { PRODUCT = 1024 };

static deco_status prepare_product(work *w)
{
    deco_status st = DECO_OK;
    TRY(hold_random(w, &w->a, 1, PRODUCT, PRODUCT, 0));
    TRY(hold_random(w, &w->b, 1, PRODUCT, PRODUCT, 0));
    TRY(hold(w, &w->c, DECO_F32, PRODUCT, PRODUCT, 0));
out:
    return st;
}

static deco_status multiply(work *w) { return deco_linear(w->dev, w->c, w->a, w->b, deco_none(), DECO_LINEAR); }

/* Weights as training starts them. */
static deco_status hold_params(work *w)
{
    deco_status st = DECO_OK;
    float *host = NULL;
    int64_t n = deco_hypervolume_parameters(&w->h);
    TRY(deco_alloc(&host, (size_t)n, sizeof *host, "benchmark"));
    for (int64_t i = 0; i < deco_hypervolume_tensors(&w->h); i++) {
        deco_parameter p = deco_hypervolume_tensor(&w->h, i);
        double range = p.fan_in ? 1 / sqrt((double)p.fan_in) : 0, middle = p.fan_in || i % 2 ? 0 : 1;
        for (int64_t j = 0; j < p.count; j++)
            host[p.offset + j] = (float)(middle + range * (2 * deco_random_uniform(&w->random) - 1));
    }
    TRY(hold(w, &w->params, DECO_F32, n, 0, 0));
    TRY(deco_device_upload(w->dev, w->params.data, host, (size_t)n * sizeof *host));
out:
    free(host);
    return st;
}

static deco_status prepare_decoder(work *w)
{
    deco_status st = DECO_OK;
    TRY(hold_params(w));
    TRY(hold_random(w, &w->freqs, 0.9, 3 * w->h.pe_dim, 3, 0)); /* the default's deviation, 0.5 */
    TRY(hold_random(w, &w->z, 1.7, w->B, w->h.Z, 0));           /* a deviation of 1 */
out:
    return st;
}

/* Points of slices, k [P,2] and R [B,3,3]. An odd number has the centre with them, which masks leave out. */
static deco_status hold_slices(work *w)
{
    deco_status st = DECO_OK;
    deco_mask *m = NULL;
    TRY(hold_random(w, &w->R, 1, w->B, 3, 3));
    TRY(hold_random(w, &w->x, 0.5, w->P, 2, 0));
    if (!w->radius)
        goto out;
    TRY(deco_mask_create(&m, w->h.L, w->radius));
    if (m->P != w->P - w->P % 2) {
        st = deco_fail(DECO_E_ARGUMENT, "bench: radius %lld has %lld points, not %lld", (long long)w->radius, (long long)m->P,
                       (long long)w->P);
        goto out;
    }
    float *x = w->x.data;
    size_t half = (size_t)m->P * sizeof *m->k; /* P/2 points of two numbers */
    static const float centre[2] = {0, 0};
    TRY(deco_device_upload(w->dev, x, m->k, half));
    if (w->P % 2)
        TRY(deco_device_upload(w->dev, x + m->P, centre, sizeof centre));
    TRY(deco_device_upload(w->dev, x + 2 * (w->P - m->P / 2), m->k + m->P, half));
out:
    deco_mask_free(m);
    return st;
}

static deco_status prepare_evaluation(work *w)
{
    deco_status st = DECO_OK;
    TRY(prepare_decoder(w));
    TRY(hold_slices(w));
    TRY(hold(w, &w->out, DECO_F32, w->B, w->P, 0));
out:
    return st;
}

static deco_status evaluate(work *w)
{
    return deco_hypervolume_values(w->dev, &w->h, w->out, deco_none(), w->params, w->freqs, w->x, w->R, w->z);
}

static deco_status prepare_training(work *w)
{
    static const deco_adam_step adam = {.lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01, .step = 1};
    deco_status st = DECO_OK;
    void *hyper = NULL;
    TRY(prepare_decoder(w));
    int64_t n = deco_array_count(w->params);
    TRY(hold_slices(w));
    TRY(hold_random(w, &w->ctf, 1, w->B, w->P, 0));
    TRY(hold_random(w, &w->target, 1, w->B, w->P, 0));
    TRY(hold(w, &w->loss, DECO_F64, 1, 0, 0));
    TRY(hold(w, &w->dparams, DECO_F32, n, 0, 0));
    TRY(hold(w, &w->dz, DECO_F32, w->B, w->h.Z, 0));
    TRY(hold(w, &w->moment, DECO_F32, n, 0, 0));
    TRY(hold(w, &w->square, DECO_F32, n, 0, 0));
    TRY(deco_device_alloc(w->dev, &hyper, sizeof adam, "benchmark"));
    w->held[w->holds++] = hyper;
    TRY(deco_device_upload(w->dev, hyper, &adam, sizeof adam));
    w->hyper = (deco_array){hyper, DECO_BYTES, 1, {1, 1, 1, 1}, sizeof adam};
out:
    return st;
}

static deco_status train(work *w)
{
    deco_status st = DECO_OK;
    TRY(deco_slice_loss(w->dev, &w->h, w->loss, w->dparams, w->dz, deco_none(), deco_none(), w->params, w->freqs, w->x, w->R, w->z, w->ctf,
                        w->target));
    TRY(deco_adam(w->dev, w->params, w->dparams, w->moment, w->square, w->hyper));
out:
    return st;
}

#define DEFAULT_DECODER \
    { \
        BOX + 1, 64, 256, 3, 128, true \
    }

/* The first three have their namesakes in what users would run instead. Masks hold opposite points in pairs, which the CPU works out
 * together; the next two show what that gives. The last is the size that a small set is trained at. */
static const shape_of_case shapes[DECO_DECODER_CASES] = {
    {"GFLOP/s", {0}, 0, 0, 0, 0, 0, 0, prepare_product, multiply},
    {"points/s", DEFAULT_DECODER, 4, 3209, 32, 192, 12852, 64, prepare_evaluation, evaluate},
    {"points/s", DEFAULT_DECODER, 2, 12852, 64, 48, 12852, 64, prepare_training, train},
    {"points/s", DEFAULT_DECODER, 4, 3209, 0, 192, 12852, 0, prepare_evaluation, evaluate},
    {"points/s", DEFAULT_DECODER, 2, 12852, 0, 48, 12852, 0, prepare_training, train},
    {"points/s", {33, 32, 128, 2, 4, true}, 8, 796, 16, 192, 796, 16, prepare_training, train},
};

bool deco_bench_on_card(const deco_device *dev) { return strcmp(deco_device_name(dev), "cpu") != 0; }

/* ---- running ---------------------------------------------------------------------------------------------------- */

deco_status deco_bench_stopped(const deco_bench_case *c, deco_monitor *m)
{
    return deco_monitor_stopped(m) ? deco_fail(DECO_E_STOPPED, "bench: stopped in %s", c->name) : DECO_OK;
}

/* The highest amount a second over rounds that last about `seconds` together. */
static deco_status best_rate(double *out, const deco_bench_case *c, work *w, double amount, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const shape_of_case *shape = c->what;
    double best = 0, begin, now;
    TRY(shape->round(w)); /* primitives, packed weights and chunks are made */
    TRY(deco_device_wait(w->dev));
    begin = deco_seconds();
    do {
        double t = deco_seconds();
        TRY(shape->round(w));
        TRY(deco_device_wait(w->dev));
        now = deco_seconds();
        best = fmax(best, amount / fmax(now - t, 1e-9));
        TRY(deco_bench_stopped(c, m));
    } while (now - begin < seconds);
out:
    *out = best;
    return st;
}

static deco_status run_case(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const shape_of_case *s = c->what;
    work w = {
        .dev = dev, .random = deco_random_at(BENCH_SEED, DECO_STREAM_SAMPLE, 0), .h = s->h, .B = s->B, .P = s->P, .radius = s->radius};
    if (deco_bench_on_card(dev))
        w.B = s->card_B, w.P = s->card_P, w.radius = s->card_radius;
    double product = 2.0 * PRODUCT * PRODUCT * PRODUCT / 1e9;
    TRY(s->prepare(&w));
    TRY(best_rate(&out->value, c, &w, w.P ? (double)(w.B * w.P) : product, seconds, m));
    out->unit = s->unit;
    if (w.P)
        snprintf(out->shape, sizeof out->shape, "\"batch\": %lld, \"points\": %lld, \"z_dim\": %lld", (long long)w.B, (long long)w.P,
                 (long long)s->h.Z);
    else
        snprintf(out->shape, sizeof out->shape, "\"n\": %d", PRODUCT);
out:
    let_go(&w);
    return st;
}

const deco_bench_case deco_decoder_cases[DECO_DECODER_CASES] = {
    {"sgemm", run_case, &shapes[0]},
    {"decoder_eval", run_case, &shapes[1]},
    {"decoder_train", run_case, &shapes[2]},
    {"decoder_eval_unpaired", run_case, &shapes[3]},
    {"decoder_train_unpaired", run_case, &shapes[4]},
    {"decoder_train_small", run_case, &shapes[5]},
};
