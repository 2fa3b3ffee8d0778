/* Does the sliced pose search find what the exact one would? Measured during the run on a few images, and mended where it does not.
 *
 * The exact engine takes a thousand times as long, so what it may cost is counted beforehand: in decoded points, of which it is known
 * without a clock how many a search and a gradient step take. So the same run takes the same sample on any machine, and decides alike
 * wherever it is taken up again: all that is remembered stands in the position. */
#ifndef DECO_TRAINING_SEARCH_AGREEMENT_H
#define DECO_TRAINING_SEARCH_AGREEMENT_H

#include "config/options.h"
#include "training/pose_search.h"

/* Of the work so far at most this share goes into the sample. */
static const double deco_sample_share = 0.02;

/* An image is found alike when the two rotations are this close; fewer images than this share of them, of at least so many, and the search
 * is mended. POSE_SEARCH.md section 5: two points a lattice step alone give 90 % on a trained decoder. */
static const double deco_agree_deg = 3, deco_agree_share = 0.9;
enum { DECO_AGREE_LEAST = 16, DECO_SAMPLE_MOST = 8 };

/* One step of mending after another; each keeps those before it. */
typedef enum deco_mending {
    DECO_MEND_NONE,
    DECO_MEND_OVERSAMPLING, /* two points of a snapshot a lattice step */
    DECO_MEND_CENTROIDS,    /* twice as many snapshots */
    DECO_MEND_RESCORE,      /* the decoder scores the best eight poses again */
    DECO_MEND_EXACT         /* the exact engine, where that does not double the work */
} deco_mending;

/* How the sliced engine is set up after so much mending. */
deco_search_sliced_config deco_mended_config(const deco_options *o, int64_t mended);

/* Decoded points: of one image in the exact engine; in the sliced one, as many as take its time; in a gradient step on a mask of P points
 * (backward is two more); and of new snapshots. */
double deco_exact_points(const deco_search_grid *g, int64_t L);
double deco_sliced_points(const deco_search_grid *g, const deco_hypervolume *h);
double deco_step_points(int64_t P);
double deco_snapshot_points(const deco_search_sliced_config *c, int64_t l_end);

/* How many of the next `most` images may be searched exactly too, each for `points`. */
int64_t deco_agreement_sample(const deco_position *at, double points, int64_t most);

/* Counts n images searched both ways, R [n,9] each. */
void deco_agreement_count(deco_position *at, const float *R_exact, const float *R_sliced, int64_t n);

/* A search epoch is over, in which an image cost `points` beside its exact search: the next step of mending, or at->mended as it was. Sets
 * it, and the sample begins anew. */
deco_mending deco_agreement_mend(deco_position *at, const deco_options *o, double exact_points, double points);

/* What a step of mending is called in the log. */
const char *deco_mending_name(deco_mending m);

#endif
