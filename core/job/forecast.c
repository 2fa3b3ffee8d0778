/* What a run will take, told before it starts: time from steps measured on this machine, memory and disk from its sizes. */
#include "job/forecast.h"
#include "analysis/cluster_count.h"
#include "job/heavy.h"
#include "geometry/lattice.h"
#include "particles/loader.h"
#include "training/initial_model.h"
#include "training/step.h"
#include "training/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MEASURED_STEPS = 3 };

/* The program with its libraries, as loaded. */
static const double program_bytes = 20e6;

deco_status deco_job_shape(deco_hypervolume *out, const deco_options *o, const deco_particles *p)
{
    *out = (deco_hypervolume){.L = p->D + 1,
                              .pe_dim = o->pe_dim,
                              .H = o->hypervolume_dim,
                              .n = o->hypervolume_layers,
                              .Z = o->use_conf_encoder ? o->feature_dim : o->conf_table_dim,
                              .layer_norm = o->decoder_ln};
    return deco_hypervolume_check(out);
}

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

/* Seconds an image and point of an epoch's training steps, the best of a few. */
static deco_status seconds_a_point(double *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
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

/* Seconds of new snapshots and of an image's search, or refinement, in the epoch `e`. */
static deco_status seconds_of_search(double *snapshots, double *image, const deco_hypervolume *shape, const deco_options *o,
                                     const deco_particles *p, const deco_epoch_plan *e, deco_device *dev)
{
    deco_model *model = NULL;
    deco_status st = toy_model(&model, shape, o, p, p->N, dev);

    if (!st)
        st = deco_search_seconds(snapshots, image, model, p, o, e);
    deco_model_free(model);
    return st;
}

static deco_status seconds_of_initial_model(double *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                                            deco_device *dev)
{
    deco_model *model = NULL;
    deco_status st = toy_model(&model, shape, o, p, p->N, dev);

    if (!st)
        st = deco_initial_model_seconds(out, model, p, o);
    deco_model_free(model);
    return st;
}

/* Seconds an image through the encoder, in training and on its own. */
static deco_status seconds_of_encoder(double *trained, double *encoded, const deco_vit *v, const deco_options *o, deco_device *dev)
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

/* The time of all epochs. Steps and searches go with the points of the mask, snapshots with those of the ball. */
static deco_status sum_epochs(deco_forecast *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                              const deco_vit *encoder, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_schedule s = deco_schedule_of(o, p->N);
    deco_epoch_plan first = deco_epoch_plan_of(o, p->N, p->D, 0);
    deco_epoch_plan last = deco_epoch_plan_of(o, p->N, p->D, (s.search_epochs ? s.search_epochs : s.total) - 1);
    double point = 0, snapshots = 0, image = 0, trained = 0, encoded = 0;
    const double pi = 3.14159265358979323846;

    TRY(seconds_a_point(&point, shape, o, p, &first, dev));
    if (last.search_batch)
        TRY(seconds_of_search(&snapshots, &image, shape, o, p, &last, dev));
    if (deco_epoch_plan_of(o, p->N, p->D, -1).initial_model)
        TRY(seconds_of_initial_model(&out->seconds, shape, o, p, dev));
    if (encoder)
        TRY(seconds_of_encoder(&trained, &encoded, encoder, o, dev));
    out->seconds += encoded * (double)p->N * (s.search_epochs ? 2 : 1); /* before a search, and behind the last epoch */
    for (int64_t i = s.pretrain_images ? -1 : 0; i < s.total; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(o, p->N, p->D, i);
        double images = (double)e.images, wider = e.search_batch ? (double)e.search_radius / (double)last.search_radius : 0;
        out->images += e.images;
        out->seconds += images * (point * pi * (double)(e.radius * e.radius) + (i < 0 ? encoded : trained));
        if (e.search_batch)
            out->seconds += ceil(images / (double)e.search_batch) * snapshots * pow(wider, 3);
        if (e.search_batch && e.kind == last.kind)
            out->seconds += images * image * pow(wider, 2);
    }
out:
    return st;
}

deco_status deco_forecast_measure(deco_forecast *out, const deco_options *o, const deco_particles *p, const deco_vit *encoder,
                                  deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_hypervolume shape;
    double N = (double)p->N, D = (double)p->D;

    *out = (deco_forecast){0};
    TRY(deco_job_shape(&shape, o, p));
    TRY(sum_epochs(out, &shape, o, p, encoder, dev));
    double parameters = (double)deco_hypervolume_parameters(&shape), table = 0;
    for (int64_t c = 0; c < p->rows->columns; c++)
        table += (double)p->rows->column[c].item * (double)p->rows->column[c].cells * N;
    double clusters = (double)(o->k_num ? o->k_num : DECO_MOST_CLUSTERS);
    double maps = (clusters + (double)((o->series ? 4 : 2) * 10 + 1 + deco_heavy_count(o, p->N, p->D))) * D * D * D * sizeof(float);
    double checkpoint = 16 * parameters + N * ((encoder ? 4.0 : 12.0) * (double)shape.Z + (deco_trains_poses(o) ? 96 : 32)) +
                        (encoder ? 12.0 * (double)deco_vit_parameters(encoder) : 0);
    out->memory_bytes = program_bytes + table +
                        (double)deco_train_bytes(o, &shape, encoder, p->N, p->D, deco_pool_threads(deco_device_pool(dev))) +
                        checkpoint +                   /* put together before it is written */
                        6 * D * D * D * sizeof(float); /* maps being decoded, and compared */
    /* The ends of at most three phases with their arrays, two checkpoints between them. */
    out->disk_bytes = 5 * checkpoint + 3 * N * (4.0 * (double)shape.Z + 88) + N * 8 + maps + (o->series ? 5 : 1) * table;
out:
    return st;
}

static char *rotating(void)
{
    static _Thread_local char text[4][32];
    static _Thread_local int next;
    return text[next++ % 4];
}

const char *deco_time_text(double seconds)
{
    char *out = rotating();
    if (seconds < 99.5)
        snprintf(out, 32, "%.0f s", seconds);
    else if (seconds < 99.5 * 60)
        snprintf(out, 32, "%.0f min", seconds / 60);
    else if (seconds < 72 * 3600.0)
        snprintf(out, 32, "%.1f h", seconds / 3600);
    else
        snprintf(out, 32, "%.1f days", seconds / 86400);
    return out;
}

const char *deco_size_text(double bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    char *out = rotating();
    int i = 0;
    for (; bytes >= 999.5 && i < 5; i++)
        bytes /= 1000;
    snprintf(out, 32, bytes < 9.95 && i ? "%.1f %s" : "%.0f %s", bytes, unit[i]);
    return out;
}
