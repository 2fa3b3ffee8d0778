/* Training: the phases of METHOD.md section 5, one step at a time (step.h). */
#ifndef DECO_TRAINING_TRAIN_H
#define DECO_TRAINING_TRAIN_H

#include "base/monitor.h"
#include "config/options.h"
#include "model/model.h"
#include "particles/loader.h"

/* How many epochs of which kind, and why: METHOD.md section 5. */
typedef struct deco_schedule {
    int64_t search_epochs; /* max(2, n_imgs_pose_search // N + 1) */
    int64_t sgd_epochs;
    int64_t total;           /* with known poses all of them are of that kind */
    int64_t pretrain_images; /* of epoch -1, before them; 0: there is none (n_imgs_pretrain = 0) */
    int64_t pretrain_batch;
} deco_schedule;
deco_schedule deco_schedule_of(const deco_options *o, int64_t N);

/* lr·½(1 + cos(πe/30)) for 0 <= e < 30, then the minimum: the latent table. And the encoder's. e: fractional epoch. METHOD.md section 5. */
double deco_lr_latents(double lr, double min, double epochs, double e);
double deco_lr_encoder(double lr, double min, double warm_up, double total, double e);

/* One epoch's record. */
typedef struct deco_epoch_record {
    int64_t epoch, images;
    double loss;
    double seconds, seconds_waiting; /* of the epoch; of these, waiting for images */
    double seconds_step;             /* in steps ... */
    double seconds_slices;           /* ... and of these, in slices and their gradients: decoding and backward */
    double lr_decoder, lr_latents;   /* of its last batch */
} deco_epoch_record;

/* Called after each epoch, with the model at rest (for checkpoints and maps). */
typedef deco_status (*deco_epoch_done)(void *context, const deco_epoch_record *r, const deco_position *at);

/* Known poses, from at->epoch + 1 to the end. Fails: STOPPED (the model is whole, *at says where), DIVERGED, FILE, FORMAT, DEVICE. */
deco_status deco_train(deco_model *m, deco_position *at, const deco_particles *p, const deco_image_stats *stats, const deco_options *o,
                       deco_epoch_done done, void *context, deco_monitor *mon);

/* Bytes of host memory that training takes, for the forecast. */
size_t deco_train_bytes(const deco_options *o, const deco_hypervolume *h, int64_t N, int64_t D, int threads);

#endif
