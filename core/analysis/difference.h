/* Do the particles of two clusters make different maps? Told by half sets: a difference that both halves show is no noise of theirs. (Latents fitted to an image follow
 * its noise as well, a little, so small numbers mean nothing.) */
#ifndef DECO_ANALYSIS_DIFFERENCE_H
#define DECO_ANALYSIS_DIFFERENCE_H

#include "analysis/backproject.h"

enum { DECO_DIFFERENCE_SHELLS = 12 };

/* The low shells of a cluster's half maps. */
typedef struct deco_low_shells {
    int64_t points;
    float *half[2]; /* [points] */
} deco_low_shells;

/* Fails: MEMORY, DEVICE. */
deco_status deco_low_shells_take(deco_low_shells *out, const deco_back_projection *b, deco_device *dev);
void deco_low_shells_free(deco_low_shells *s);

/* Correlation of a's difference from b (after the scale that makes them most alike) in one half set with that in the other: 1 a sure difference, 0 none. */
double deco_difference(const deco_low_shells *a, const deco_low_shells *b);

#endif
