/* What a run is made of, timed on this machine on numbers made up for it. */
#ifndef DECO_JOB_FORECAST_MEASURE_H
#define DECO_JOB_FORECAST_MEASURE_H

#include "config/options.h"
#include "model/model.h"
#include "particles/particles.h"
#include "training/train.h"

/* Seconds an image and point of an epoch's training steps, the best of a few. */
deco_status forecast_step_seconds(double *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                                  const deco_epoch_plan *e, deco_device *dev);

/* Seconds of new snapshots and of an image's search, or refinement, in the epoch `e`. */
deco_status forecast_search_seconds(double *snapshots, double *image, const deco_hypervolume *shape, const deco_options *o,
                                    const deco_particles *p, const deco_epoch_plan *e, deco_device *dev);

/* Seconds of the whole initial model. */
deco_status forecast_initial_seconds(double *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                                     deco_device *dev);

/* Seconds an image through the encoder, in training and on its own. */
deco_status forecast_encoder_seconds(double *trained, double *encoded, const deco_vit *v, const deco_options *o, deco_device *dev);

#endif
