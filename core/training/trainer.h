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
    int64_t *mine;     /* [N] of these, what this worker reads, in its order; NULL without workers */
    int64_t begun;     /* images of this epoch done when it was taken up */
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

/* A batch that all workers make a step on; `n` of batches of plan.batch. */
typedef struct whole_batch {
    const int64_t *row; /* [n] */
    int64_t n;
} whole_batch;

/* This worker's part of batches of n of `whole`, and its share of a whole one: what loader, step and encoder take at once, at least 1. */
static inline int64_t trainer_part(int64_t *from, const trainer *t, int64_t n, int64_t whole)
{
    return deco_comm_part(from, t->m->comm, deco_comm_rank(t->m->comm), n, whole);
}
int64_t trainer_share(const trainer *t, int64_t whole);

/* One gradient step on `b`, this worker's part of `all`, as the plan says, at the poses of the moment. `z` [B,Z]: latents of pretraining; NULL: the table's, or with
 * an encoder what it makes of the batch's pixels. */
deco_status trainer_step(trainer *t, const deco_batch *b, const whole_batch *all, const float *z, double fraction, deco_epoch_record *r);

/* Between two of `batches`: a checkpoint if one is wanted; STOPPED on request. */
deco_status trainer_between(trainer *t, int64_t batches);
/* STOPPED, with where the epoch stands. */
deco_status trainer_stopped(const trainer *t, int64_t batches);

/* The plan, in the log; an epoch's line, in the log and in metrics.jsonl. */
void trainer_announce(const trainer *t, bool resumed);
void trainer_tell(const trainer *t, const deco_epoch_record *r);

/* After each of them: images of the epoch done by now since it was taken up, and still to be done. */
void trainer_batch_done(const trainer *t, const deco_epoch_record *r, int64_t images, int64_t left);

/* What the epochs of t->plan need; the batches of one that are still to be done, at->step counting search batches. */
deco_status trainer_search_create(trainer *t);
/* Of a search batch of n images, those of a worker: its parts of the batches that it is trained in. */
int64_t trainer_search_share(const trainer *t, int rank, int64_t n);
void trainer_search_free(trainer *t);
deco_status trainer_search_run(trainer *t, deco_epoch_record *r);
/* At the epoch's end: does the search agree with the exact one? Says so, and may mend the epochs to come. */
void trainer_search_judge(trainer *t);
/* And how far should the next one look? training/search_resolution.h */
deco_status trainer_search_follow(trainer *t);
size_t trainer_search_bytes(const deco_options *o, const deco_epoch_plan *e, int64_t N, int64_t Z);

#endif
