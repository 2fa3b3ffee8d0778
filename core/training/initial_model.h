/* A first model from images alone, and with it first poses, where METHOD.md begins with random ones.
 *
 * Expectation-maximisation over small batches: each image is laid back into densities on voxels at all poses that fit it, weighted by their
 * likelihood, first into one density for all images, then into several, one a state. Several such starts from other seeds are held against
 * each other: what two of them find alike was in the images. The states' densities are turned into one frame at the end. */
#ifndef DECO_TRAINING_INITIAL_MODEL_H
#define DECO_TRAINING_INITIAL_MODEL_H

#include "base/monitor.h"
#include "config/options.h"
#include "model/model.h"
#include "particles/loader.h"

/* What came of it, for the log, metrics.jsonl and the verdict at the run's end. */
typedef struct deco_initial_result {
    int64_t starts;   /* that were made */
    double agreement; /* share of the poses within 20 degrees of those of the start most like it, in the best frame
                       * and hand, beyond what chance gives; 0 with one start */
    double spread;    /* effective number of poses of an image at the end */
    int64_t states;   /* with particles */
} deco_initial_result;

/* Two starts that agree on less than this, beyond chance, did not both find the structure. Of 43 runs on simulated sets, those whose starts
 * agreed on 88 % and more ended with over 90 % of the poses within 10 degrees, but for 1 of 31; of those with less, 9 of 12 did not, and the
 * two clearest of the others had one start astray, which a third one settles. */
#define DECO_INITIAL_AGREES 0.85

/* With less than this they have nothing to do with each other: two of pure noise agreed on 16 %. */
#define DECO_INITIAL_RELATED 0.4

/* Radii of the passes over the images, starts and states are the options initial_radii, initial_starts, initial_states, initial_state_radii;
 * at most initial_images particles take part, the others get their poses from the finished densities. Leaves poses in the model's table: a
 * function of the seed and the particles alone. Fails: STOPPED, FILE, FORMAT, MEMORY, DIVERGED. */
deco_status deco_initial_model_run(deco_initial_result *out, deco_model *m, const deco_particles *p, const deco_image_stats *stats,
                                   const deco_options *o, uint64_t seed, deco_monitor *mon);

/* What it takes, for the forecast: bytes; and seconds on this machine, from a search measured on empty images. */
size_t deco_initial_model_bytes(const deco_options *o, int64_t N, int64_t D);
deco_status deco_initial_model_seconds(double *out, deco_model *m, const deco_particles *p, const deco_options *o);

#endif
