/* What a run is made of, timed on this machine on numbers made up for it. */
#include "job/forecast_measure.h"
#include "geometry/lattice.h"
#include "training/initial_model.h"
#include "training/step.h"
#include <math.h>
#include <stdlib.h>

enum { MEASURED_STEPS = 3 };

static deco_status toy_model(deco_model **out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p, int64_t N,
                             deco_device *dev)
{
    return deco_model_create(out, dev,
                             &(deco_model_config){.shape = *shape,
                                                  .feat_sigma = o->feat_sigma,
                                                  .psize_A = p->psize_A,
                                                  .std = 1,
                                                  .D = p->D,
                                                  .radius = p->D / 2,
                                                  .N = N,
                                                  .seed = 1});
}

deco_status forecast_step_seconds(double *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                                  const deco_epoch_plan *e, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_model *model = NULL;
    deco_mask *mask = NULL;
    deco_step *step = NULL;
    float *images = NULL, *R = NULL, *shift = NULL;
    deco_ctf_row *ctf = NULL;
    int64_t *row = NULL, B = e->batch < p->N ? e->batch : p->N;

    TRY(toy_model(&model, shape, o, p, B, dev));
    TRY(deco_mask_create(&mask, p->D + 1, e->radius));
    TRY(deco_step_create(&step, model, mask, B));
    TRY(deco_alloc(&images, (size_t)(B * mask->P), sizeof *images, "images"));
    TRY(deco_alloc(&R, (size_t)B * 9, sizeof *R, "rotations"));
    TRY(deco_alloc(&shift, (size_t)B * 2, sizeof *shift, "shifts"));
    TRY(deco_alloc(&ctf, (size_t)B, sizeof *ctf, "CTF rows"));
    TRY(deco_alloc(&row, (size_t)B, sizeof *row, "row numbers"));
    for (int64_t i = 0; i < B; i++) {
        row[i] = i;
        ctf[i] = p->ctf[i];
        R[9 * i] = R[9 * i + 4] = R[9 * i + 8] = 1;
    }
    *out = INFINITY;
    for (int i = 0; i < MEASURED_STEPS; i++) {
        double mean, start = deco_seconds();
        int64_t n;
        TRY(deco_step_run(step, &(deco_step_input){.B = B, .row = row, .images = images, .ctf = ctf, .R = R, .shift = shift}));
        TRY(deco_step_loss(step, &mean, &n));
        *out = fmin(*out, (deco_seconds() - start) / (double)(B * mask->P));
    }
out:
    deco_step_free(step);
    deco_mask_free(mask);
    deco_model_free(model);
    free(images);
    free(R);
    free(shift);
    free(ctf);
    free(row);
    return st;
}

deco_status forecast_search_seconds(double *snapshots, double *image, const deco_hypervolume *shape, const deco_options *o,
                                    const deco_particles *p, const deco_epoch_plan *e, deco_device *dev)
{
    deco_model *model = NULL;
    deco_status st = toy_model(&model, shape, o, p, p->N, dev);

    if (!st)
        st = deco_search_seconds(snapshots, image, model, p, o, e);
    deco_model_free(model);
    return st;
}

deco_status forecast_initial_seconds(double *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                                     deco_device *dev)
{
    deco_model *model = NULL;
    deco_status st = toy_model(&model, shape, o, p, p->N, dev);

    if (!st)
        st = deco_initial_model_seconds(out, model, p, o);
    deco_model_free(model);
    return st;
}

deco_status forecast_encoder_seconds(double *trained, double *encoded, const deco_vit *v, const deco_options *o, deco_device *dev)
{
    enum { IMAGES = 4 };
    deco_status st = DECO_OK;
    int64_t first = deco_encoder_first(v, o->finetune_strategy, o->finetune_layer_num);
    deco_encoder *e = NULL;
    deco_encoder_pass *pass = NULL;
    float *z = NULL, *gradient = NULL;
    unsigned char *pixels = NULL;

    TRY(deco_encoder_allocate(&e, dev, v, first, false));
    TRY(deco_encoder_draw(e, 1, false));
    TRY(deco_encoder_pass_create(&pass, e, IMAGES, true, o->gradient_checkpointing));
    TRY(deco_device_alloc(dev, &z, (size_t)(IMAGES * v->Z) * sizeof *z, "latents"));
    TRY(deco_device_alloc(dev, &gradient, (size_t)(e->count - first) * sizeof *gradient, "gradients"));
    TRY(deco_alloc(&pixels, IMAGES, (size_t)(v->side * v->side), "images"));
    for (int i = 0; i < 2; i++) { /* the first prepares products */
        double start = deco_seconds(), middle;
        TRY(deco_encoder_forward(pass, z, pixels, IMAGES, DECO_ENCODER_EVAL));
        TRY(deco_device_wait(dev));
        middle = deco_seconds();
        TRY(deco_encoder_forward(pass, z, pixels, IMAGES, DECO_ENCODER_TRAIN));
        TRY(deco_encoder_backward(pass, gradient, z));
        TRY(deco_device_wait(dev));
        *encoded = (middle - start) / IMAGES;
        *trained = (deco_seconds() - middle) / IMAGES;
    }
out:
    deco_encoder_pass_free(pass);
    deco_encoder_free(e);
    deco_device_release(dev, z);
    deco_device_release(dev, gradient);
    free(pixels);
    return st;
}
