/* The benchmark's cases of the encoder. */
#include "model/bench_encoder.h"
#include "model/encoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 4, CARD_BATCH = 192, LATENT = 128 };

typedef struct work {
    deco_device *dev;
    int batch;
    deco_encoder *e;
    deco_encoder_pass *pass;
    float *z, *gradient;
    deco_adam_step *adam;
    unsigned char *pixels;
} work;

typedef struct mode {
    bool training, checkpointing;
} mode;

static deco_status begin(work *w, deco_device *dev, mode how)
{
    static const deco_adam_step adam = {.lr = 6e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .step = 1};
    deco_status st = DECO_OK;
    deco_vit v = {.Z = LATENT};

    w->dev = dev;
    w->batch = deco_bench_on_card(dev) ? CARD_BATCH : BATCH;
    deco_encoder_named(&v, "vit_small");
    TRY(deco_encoder_allocate(&w->e, dev, &v, deco_vit_class_offset(&v), how.training));
    TRY(deco_encoder_draw(w->e, 1, false));
    TRY(deco_encoder_pass_create(&w->pass, w->e, w->batch, how.training, how.checkpointing));
    TRY(deco_device_alloc(dev, &w->z, (size_t)w->batch * LATENT * sizeof *w->z, "benchmark"));
    TRY(deco_device_alloc(dev, &w->gradient, (size_t)(w->e->count - w->e->first) * sizeof *w->gradient, "benchmark"));
    TRY(deco_device_alloc(dev, &w->adam, sizeof adam, "benchmark"));
    TRY(deco_device_upload(dev, w->adam, &adam, sizeof adam));
    TRY(deco_alloc(&w->pixels, (size_t)w->batch, (size_t)(v.side * v.side), "benchmark"));
    for (int64_t i = 0; i < w->batch * v.side * v.side; i++)
        w->pixels[i] = (unsigned char)(i * 2654435761U >> 24);
out:
    return st;
}

static void let_go(work *w)
{
    deco_encoder_pass_free(w->pass);
    deco_encoder_free(w->e);
    deco_device_release(w->dev, w->z);
    deco_device_release(w->dev, w->gradient);
    deco_device_release(w->dev, w->adam);
    free(w->pixels);
}

static deco_status one_round(work *w, mode how)
{
    deco_status st = DECO_OK;
    deco_encoder *e = w->e;
    int64_t n = e->count - e->first;
    deco_array hyper = deco_array_of(w->adam, DECO_BYTES, 1, 1, 1, 1, 1);

    hyper.item = sizeof *w->adam;
    TRY(deco_encoder_forward(w->pass, w->z, w->pixels, w->batch, how.training ? DECO_ENCODER_TRAIN : DECO_ENCODER_EVAL));
    if (how.training) { /* of the sum of squares */
        TRY(deco_encoder_backward(w->pass, w->gradient, w->z));
        TRY(deco_adam(w->dev, deco_f32_1(e->x + e->first, n), deco_f32_1(w->gradient, n), deco_f32_1(e->m, n), deco_f32_1(e->v, n), hyper));
    }
    TRY(deco_device_wait(w->dev));
out:
    return st;
}

static deco_status run_case(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const mode *how = c->what;
    work w = {0};
    double start, now, t;

    TRY(begin(&w, dev, *how));
    TRY(one_round(&w, *how)); /* products are made, memory is touched */
    start = deco_seconds();
    do {
        t = deco_seconds();
        TRY(one_round(&w, *how));
        now = deco_seconds();
        out->value = fmax(out->value, w.batch / fmax(now - t, 1e-9));
        TRY(deco_bench_stopped(c, m));
    } while (now - start < seconds);
    out->unit = "images/s";
    snprintf(out->shape, sizeof out->shape, "\"batch\": %d, \"model\": \"ViT-S/14\"", w.batch);
out:
    let_go(&w);
    return st;
}

static const mode modes[DECO_ENCODER_CASES] = {{true, false}, {true, true}, {false, false}};

const deco_bench_case deco_encoder_cases[DECO_ENCODER_CASES] = {
    {"encoder_train", run_case, &modes[0]},
    {"encoder_train_checkpointing", run_case, &modes[1]},
    {"encoder_eval", run_case, &modes[2]},
};
