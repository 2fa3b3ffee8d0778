#include "compute/bf16_check.h"
#include "base/philox.h"
#include "compute/ops.h"
#include "compute/vit.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS = 1000, TOKENS = 17, WIDTH = 64, HEADS = 2 };
static const deco_hypervolume decoder_shape = {.L = 33, .pe_dim = 16, .H = 128, .n = 2, .Z = 2, .layer_norm = true};

/* One operation's numbers on the device, and its result on the host in both precisions. */
typedef struct check {
    deco_device *dev;
    deco_random random;
    float *in, *params, *freqs, *z, *out;
    float *host[2];
    int64_t count; /* of the result */
} check;

static deco_status draw(check *c, float **out, int64_t n, double range)
{
    deco_status st = DECO_OK;
    float *host = NULL;
    TRY(deco_alloc(&host, (size_t)n, sizeof *host, "a check of bf16"));
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)(range * (2 * deco_random_uniform(&c->random) - 1));
    TRY(deco_device_alloc(c->dev, out, (size_t)n * sizeof *host, "a check of bf16"));
    TRY(deco_device_upload(c->dev, *out, host, (size_t)n * sizeof *host));
out:
    free(host);
    return st;
}

static deco_status decode(check *c)
{
    return deco_hypervolume_values(c->dev, &decoder_shape, deco_f32_2(c->out, 1, POINTS), deco_none(),
                                   deco_f32_1(c->params, deco_hypervolume_parameters(&decoder_shape)),
                                   deco_f32_2(c->freqs, 3 * decoder_shape.pe_dim, 3), deco_f32_3(c->in, 1, POINTS, 3), deco_none(),
                                   deco_f32_2(c->z, 1, decoder_shape.Z));
}

static deco_status attend(check *c)
{
    return deco_vit_attention(c->dev, HEADS, deco_f32_3(c->out, 1, TOKENS, WIDTH), deco_none(), deco_f32_3(c->in, 1, TOKENS, WIDTH),
                              deco_f32_1(c->params, deco_vit_attention_parameters(WIDTH)));
}

static double difference(const check *c)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < c->count; i++) {
        double error = fabs((double)c->host[0][i] - c->host[1][i]);
        most = error > most || isnan(error) ? error : most; /* once a NaN, always one */
        largest = fmax(largest, fabs((double)c->host[0][i]));
    }
    return largest > 0 ? most / largest : INFINITY;
}

static deco_status both_ways(double *error, check *c, deco_status (*call)(check *))
{
    deco_status st = DECO_OK;
    bool before = deco_device_bf16(c->dev);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        deco_device_use_bf16(c->dev, bf16);
        TRY(call(c));
        TRY(deco_alloc(&c->host[bf16], (size_t)c->count, sizeof **c->host, "a check of bf16"));
        TRY(deco_device_download(c->dev, c->host[bf16], c->out, (size_t)c->count * sizeof **c->host));
    }
    *error = difference(c);
out:
    deco_device_use_bf16(c->dev, before);
    return st;
}

static void let_go(check *c)
{
    float *const held[] = {c->in, c->params, c->freqs, c->z, c->out};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        deco_device_release(c->dev, held[i]);
    free(c->host[0]);
    free(c->host[1]);
}

deco_status deco_bf16_check(double *decoder, double *encoder, deco_device *dev)
{
    deco_status st = DECO_OK;
    check d = {.dev = dev, .random = deco_random_at(1, DECO_STREAM_SAMPLE, 0), .count = POINTS};
    check e = {.dev = dev, .random = deco_random_at(1, DECO_STREAM_SAMPLE, 1), .count = (int64_t)TOKENS * WIDTH};
    bool before = deco_device_use_bf16(dev, true), has = deco_device_bf16(dev);

    *decoder = *encoder = 0;
    deco_device_use_bf16(dev, before);
    if (!has)
        return DECO_OK;
    TRY(draw(&d, &d.in, (int64_t)POINTS * 3, 0.5));
    TRY(draw(&d, &d.params, deco_hypervolume_parameters(&decoder_shape), 0.2));
    TRY(draw(&d, &d.freqs, 9 * decoder_shape.pe_dim, 0.5));
    TRY(draw(&d, &d.z, decoder_shape.Z, 1));
    TRY(draw(&d, &d.out, d.count, 0));
    TRY(both_ways(decoder, &d, decode));
    TRY(draw(&e, &e.in, e.count, 1));
    TRY(draw(&e, &e.params, deco_vit_attention_parameters(WIDTH), 0.2));
    TRY(draw(&e, &e.out, e.count, 0));
    TRY(both_ways(encoder, &e, attend));
out:
    let_go(&d);
    let_go(&e);
    return st;
}
