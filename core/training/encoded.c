/* The encoder at work in a training step: images in, latents out; gradients of latents in, AdamW. */
#include "training/encoded.h"

#include <stdlib.h>
#include <string.h>

struct deco_encoded {
    deco_model *m;
    deco_encoder_pass *pass;
    float *gradient;      /* [count - first] on the device; NULL without training */
    deco_adam_step *adam; /* [1] on the device */
    uint8_t *squares;     /* [batch,side,side] on the host: a batch with zeros around its circles */
    int32_t circle[DECO_ENCODER_PIXELS];
};

enum { SQUARE = DECO_ENCODER_SIDE * DECO_ENCODER_SIDE };

deco_status deco_encoded_create(deco_encoded **out, deco_model *m, int64_t batch, bool training, bool checkpointing)
{
    deco_status st = DECO_OK;
    deco_encoded *e = NULL;
    const deco_encoder *encoder = m->encoder;

    *out = NULL;
    if (encoder->shape.side != DECO_ENCODER_SIDE || encoder->shape.Z != m->shape.Z)
        return deco_fail(DECO_E_ARGUMENT, "an encoder of images of %lld pixels and latents of %lld does not go with this decoder",
                         (long long)encoder->shape.side, (long long)encoder->shape.Z);
    TRY(deco_alloc(&e, 1, sizeof *e, "the encoder's batches"));
    e->m = m;
    deco_encoder_circle(e->circle);
    TRY(deco_encoder_pass_create(&e->pass, m->encoder, batch, training, checkpointing));
    TRY(deco_alloc(&e->squares, (size_t)batch, SQUARE, "the encoder's images"));
    if (training) {
        TRY(deco_device_alloc(m->dev, &e->gradient, (size_t)(encoder->count - encoder->first) * sizeof(float), "the encoder's gradient"));
        TRY(deco_device_alloc(m->dev, &e->adam, sizeof *e->adam, "the encoder's gradient"));
    }
    *out = e;
    e = NULL;
out:
    deco_encoded_free(e);
    return st;
}

void deco_encoded_free(deco_encoded *e)
{
    if (!e)
        return;
    deco_encoder_pass_free(e->pass);
    deco_device_release(e->m->dev, e->gradient);
    deco_device_release(e->m->dev, e->adam);
    free(e->squares);
    free(e);
}

size_t deco_encoded_bytes(const deco_vit *v, int64_t first, int64_t batch, bool training, bool checkpointing)
{
    size_t gradient = training ? (size_t)(deco_vit_parameters(v) - first) * sizeof(float) : 0;
    return sizeof(deco_encoded) + gradient + (size_t)batch * SQUARE + deco_encoder_pass_bytes(v, first, batch, training, checkpointing);
}

deco_status deco_encoded_run(deco_encoded *e, float *z, const uint8_t *pixels, int64_t B, deco_encoder_mode mode)
{
    for (int64_t b = 0; b < B; b++) /* what lies outside the circle was 0 from the start */
        for (int64_t i = 0; i < DECO_ENCODER_PIXELS; i++)
            e->squares[b * SQUARE + e->circle[i]] = pixels[b * DECO_ENCODER_PIXELS + i];
    return deco_encoder_forward(e->pass, z, e->squares, B, mode);
}

deco_status deco_encoded_train(deco_encoded *e, const float *dz, double lr)
{
    deco_status st = DECO_OK;
    deco_encoder *x = e->m->encoder;
    int64_t n = x->count - x->first;
    const deco_adam_step adam = {.lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0, .step = ++x->steps};
    deco_array hyper = deco_array_of(e->adam, DECO_BYTES, 1, 1, 1, 1, 1);

    hyper.item = sizeof adam;
    TRY(deco_encoder_backward(e->pass, e->gradient, dz));
    TRY(deco_comm_sum_on(e->m->comm, e->m->dev, e->gradient, n, 1, "the encoder's gradient"));
    TRY(deco_device_upload(e->m->dev, e->adam, &adam, sizeof adam));
    TRY(deco_adam(e->m->dev, deco_f32_1(x->x + x->first, n), deco_f32_1(e->gradient, n), deco_f32_1(x->m, n), deco_f32_1(x->v, n), hyper));
out:
    return st;
}

deco_array deco_encoded_gradient(deco_encoded *e)
{
    const deco_encoder *x = e->m->encoder;
    return e->gradient ? deco_f32_1(e->gradient, x->count - x->first) : deco_none();
}
