/* Training: the phases of METHOD.md section 5, one step at a time (step.h). */
#ifndef DECO_TRAINING_TRAIN_H
#define DECO_TRAINING_TRAIN_H

#include "base/monitor.h"
#include "config/options.h"
#include "model/model.h"
#include "particles/loader.h"
#include "training/changes.h"

/* How many epochs of which kind, and why: METHOD.md section 5. */
typedef struct deco_schedule {
    int64_t search_epochs;   /* as many as search_radii has; else max(2, n_imgs_pose_search // N + 1). None with refine_gt_poses */
    int64_t sgd_epochs;      /* as many as refine_radii has in a box of D; else epochs_sgd. Known poses take no notice of those lists */
    int64_t total;           /* with known poses all of them are of that kind */
    int64_t pretrain_images; /* of epoch -1, before them; 0: there is none (n_imgs_pretrain = 0) */
    int64_t pretrain_batch;
} deco_schedule;
deco_schedule deco_schedule_of(const deco_options *o, int64_t N, int64_t D);

typedef enum deco_epoch_kind {
    DECO_EPOCH_PRETRAIN,
    DECO_EPOCH_FIXED,  /* poses as they stand: known ones, or those a search left */
    DECO_EPOCH_SEARCH, /* a search of each batch, then training on it */
    DECO_EPOCH_REFINE, /* Gauss-Newton from the poses before, then training */
    DECO_EPOCH_TABLE   /* the pose table is trained with decoder and latents */
} deco_epoch_kind;

/* One epoch: what is done in it, up to which Fourier radius, in what pieces. */
typedef struct deco_epoch_plan {
    deco_epoch_kind kind;
    int64_t images, batch; /* of the epoch; of a gradient step */
    int64_t radius;        /* of the mask in training */
    bool exact;            /* is the search the exact engine's? */
    int64_t search_batch;  /* images searched at once; 0 without */
    int64_t search_radius; /* l_end; at most `radius` */
    int64_t n_iter;
    int64_t mended; /* steps by which the sliced search was mended: training/search_agreement.h */
    bool latents_frozen;
    bool initial_model;  /* pretraining on poses of an initial model, which is made first */
    double lr, lr_poses; /* of the decoder, and of the pose table where it is trained */
} deco_epoch_plan;
deco_epoch_plan deco_epoch_plan_of(const deco_options *o, int64_t N, int64_t D, int64_t epoch);

/* The same after so many steps of mending: training/search_agreement.h. */
void deco_epoch_plan_mend(deco_epoch_plan *e, const deco_options *o, int64_t N, int64_t mended);

/* The same where the search looks to this radius, unless it is 0: training/search_resolution.h. */
void deco_epoch_plan_follow(deco_epoch_plan *e, int64_t search_radius);

/* The same with so many workers: batches are of all together, each with one of its own unless batch_is_global. */
void deco_epoch_plan_share(deco_epoch_plan *e, const deco_options *o, int64_t N, int workers);

/* Does a run with these options train its pose table? Then its model holds moments for it. */
bool deco_trains_poses(const deco_options *o);

/* The poses of a fresh model: those of the input where they are asked for (use_gt_poses, refine_gt_poses, use_gt_trans); the others stay as they were drawn.
 * Fails: ARGUMENT (asked for, and there are none), MEMORY. */
deco_status deco_poses_start(deco_model *m, const deco_particles *p, const deco_options *o);

/* lr·½(1 + cos(πe/30)) for 0 <= e < 30, then the minimum: the latent table. And the encoder's. e: fractional epoch. METHOD.md section 5. */
double deco_lr_latents(double lr, double min, double epochs, double e);
double deco_lr_encoder(double lr, double min, double warm_up, double total, double e);

/* One epoch's record. */
typedef struct deco_epoch_record {
    int64_t epoch, images;
    int64_t images_before; /* of them before this process took the epoch up; loss and images are of all, seconds of the others */
    double loss;
    double seconds, seconds_waiting;         /* of the epoch; of these, waiting for images */
    double seconds_step;                     /* in steps ... */
    double seconds_slices;                   /* ... and of these, in slices and their gradients: decoding and backward */
    double lr_decoder, lr_latents, lr_poses; /* of its last batch; 0 of what was not trained. lr_latents: of the table, or the encoder */
    deco_epoch_kind kind;
    int64_t radius;
    double seconds_search, seconds_snapshots;
    deco_change moved; /* since the epoch before */
} deco_epoch_record;

/* Between two batches: the epoch so far. */
typedef struct deco_batch_record {
    const deco_epoch_record *so_far; /* its seconds; loss and images are not worked out */
    const deco_epoch_plan *plan;
    const deco_position *at; /* its epoch and step are those before this batch */
    int64_t images, left;    /* of the epoch: done since it was taken up, and still to be done */
} deco_batch_record;

/* Called after each epoch, with the model at rest (for checkpoints and maps). */
typedef deco_status (*deco_epoch_done)(void *context, const deco_epoch_record *r, const deco_position *at);

/* Who watches a training; any function may be NULL. A failure of one ends the training with it. */
typedef struct deco_watch {
    void *context;
    void (*batch_done)(void *context, const deco_batch_record *b);
    deco_epoch_done epoch_done;
    bool (*wants_checkpoint)(void *context); /* asked between two batches, so it has to be quick */
    /* Then called, with the model at rest and its losses seen to be sound. */
    deco_status (*checkpoint)(void *context, const deco_position *at);
} deco_watch;

/* From at->epoch + 1 to the end; poses change in the model's table. The model's radius becomes that of the epoch, so that maps hold no shell
 * that was not trained. With workers (m->comm) all of them call this, with the same model and position; `watch` is asked at the first.
 * Fails: STOPPED (the model is whole, *at says where), DIVERGED, FILE, FORMAT, DEVICE. */
deco_status deco_train(deco_model *m, deco_position *at, const deco_particles *p, const deco_image_stats *stats, const deco_options *o,
                       const deco_watch *watch, deco_monitor *mon);

/* What the search (or refinement) of an epoch takes on this machine, measured on empty images: seconds of new snapshots, and of an image. For the forecast. */
deco_status deco_search_seconds(double *snapshots, double *image, deco_model *m, const deco_particles *p, const deco_options *o,
                                const deco_epoch_plan *e);

/* What an epoch holds beside the model; one of two may come to less than is said, but their difference is what the larger takes more. */
size_t deco_epoch_bytes(const deco_options *o, const deco_epoch_plan *e, const deco_hypervolume *h, const deco_vit *encoder, int64_t N,
                        int64_t D, int threads);

/* Bytes of host memory that training takes, for the forecast; `encoder` NULL: none. */
size_t deco_train_bytes(const deco_options *o, const deco_hypervolume *h, const deco_vit *encoder, int64_t N, int64_t D, int threads);

#endif
