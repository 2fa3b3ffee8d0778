/* Do the particles of two clusters make different maps? Told by half sets: a difference that both halves show is no noise of theirs. (Latents fitted to an image follow
 * its noise as well, a little, so small numbers mean nothing.) */
#ifndef DECO_ANALYSIS_DIFFERENCE_H
#define DECO_ANALYSIS_DIFFERENCE_H

#include "analysis/backproject.h"

enum { DECO_DIFFERENCE_SHELLS = 12 };

/* The low shells of a cluster's half maps, and of its decoder map. */
typedef struct deco_low_shells {
    int64_t points;
    uint8_t *shell; /* [points] */
    float *half[2]; /* [points] */
    float *decoded; /* [points]; NULL: there is none */
} deco_low_shells;

/* decoded [D,D,D] or NULL. Fails: MEMORY, DEVICE. */
deco_status deco_low_shells_take(deco_low_shells *out, const deco_back_projection *b, const float *decoded, deco_device *dev);
void deco_low_shells_free(deco_low_shells *s);

/* Correlation of a's difference from b (after the scale that makes them most alike) in one half set with that in the other: 1 a sure difference, 0 none. */
double deco_difference(const deco_low_shells *a, const deco_low_shells *b);

/* Of the way from b's particles to a's, how far a's decoder map has come, in shells up to `last`: 1 it shows its own, 0 it might be b's. NAN: they do not differ, or there
 * is no decoder map. */
double deco_way_from(const deco_low_shells *a, const deco_low_shells *b, int64_t last);

#endif
