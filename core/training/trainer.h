/* A training at work: what its epochs share (train.c) and those of a pose search add (search.c). */
#ifndef DECO_TRAINING_TRAINER_H
#define DECO_TRAINING_TRAINER_H

#include "geometry/lattice.h"
#include "training/step.h"
#include "training/train.h"

typedef struct trainer {
    deco_model *m;
    deco_position *at;
    const deco_particles *p;
    const deco_image_stats *stats;
    const deco_options *o;
    const deco_watch *watch;
    deco_monitor *mon;
    deco_schedule schedule;
    int64_t *order;    /* [N] */
    int64_t *in_files; /* [N] file_order.h, with shuffle_block; else NULL */
    deco_changes *changes;

    deco_epoch_plan plan; /* of this epoch, and what it needs */
    deco_mask *mask;
    deco_step *step;
    deco_loader *loader;
    struct trainer_search *search; /* NULL without */
    deco_ctf_row *ctf;             /* [batch]: this and what follows are a batch's rows, put together */
    float *z;                      /* [batch,Z] */
    double told_sum;               /* losses and images of this epoch that metrics.jsonl has lines of (log_interval) */
    int64_t told_images;
} trainer;

/* One gradient step on the batch, as the plan says, at the poses of the moment. `z` [B,Z]: latents of pretraining; NULL: the table's, or with
 * an encoder what it makes of the batch's pixels. */
deco_status trainer_step(trainer *t, const deco_batch *b, const float *z, double fraction, deco_epoch_record *r);

/* Between two of `batches`: a checkpoint if one is wanted; STOPPED on request. */
deco_status trainer_between(trainer *t, int64_t batches);

/* What the epochs of t->plan need; the batches of one that are still to be done, at->step counting search batches. */
deco_status trainer_search_create(trainer *t);
void trainer_search_free(trainer *t);
deco_status trainer_search_run(trainer *t, deco_epoch_record *r);
/* At the epoch's end: does the search agree with the exact one? Says so, and may mend the epochs to come. */
void trainer_search_judge(trainer *t);
/* And how far should the next one look? training/search_resolution.h */
deco_status trainer_search_follow(trainer *t);
size_t trainer_search_bytes(const deco_options *o, const deco_epoch_plan *e, int64_t N, int64_t Z);

#endif
