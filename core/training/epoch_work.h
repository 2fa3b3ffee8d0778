/* How the work of an epoch grows: numbers that times are proportional to, so that what was measured at one radius tells another's. */
#ifndef DECO_TRAINING_EPOCH_WORK_H
#define DECO_TRAINING_EPOCH_WORK_H

#include "training/train.h"

/* The four parts of an epoch's time: reading goes with images, steps with the points of the mask, snapshots with those of a ball, poses with
 * those of the search. Units are each part's own, and the same in all epochs of a kind. */
enum { DECO_WORK_READING, DECO_WORK_STEPS, DECO_WORK_SNAPSHOTS, DECO_WORK_POSES, DECO_WORK_PARTS };
typedef struct deco_epoch_work {
    double part[DECO_WORK_PARTS];
} deco_epoch_work;

/* Of so many images of the epoch. */
deco_epoch_work deco_epoch_work_of(const deco_options *o, const deco_hypervolume *h, const deco_epoch_plan *e, int64_t images);

#endif
