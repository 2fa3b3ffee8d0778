/* Fourier shell correlation: how far two maps are the same. Maps come as centred Hartley transforms [D,D,D] (the sums over a shell are those of the
 * Fourier transforms); shell s holds the points at a distance that rounds to s, from 0 to D/2. */
#ifndef DECO_ANALYSIS_FSC_H
#define DECO_ANALYSIS_FSC_H

#include "compute/device.h"

static inline int64_t deco_shells(int64_t D) { return D / 2 + 1; }

/* The transform of a map [D,D,D], times `mask` [D,D,D] when that is not NULL. Free with free(). Fails: MEMORY, DEVICE. */
deco_status deco_map_transform(float **out, const float *map, const float *mask, int64_t D, deco_device *dev);
/* And back, in place. */
deco_status deco_map_untransform(float *hartley, int64_t D, deco_device *dev);

/* out [shells]; 1 at shell 0, 0 where one of the maps has nothing. */
deco_status deco_fsc(double *out, const float *a, const float *b, int64_t D, deco_pool *pool);

/* Where a curve first falls below a threshold, between two shells by a straight line. */
typedef struct deco_crossing {
    double shell;
    bool at_limit; /* it never does up to `last`: shell is `last` */
} deco_crossing;
deco_crossing deco_fsc_crossing(const double *fsc, int64_t last, double threshold);

/* New random phases from shell `from` on, amplitudes kept, a function of seed and point alone. Chen et al., Ultramicroscopy 135 (2013). */
void deco_phases_randomise(float *hartley, int64_t D, int64_t from, uint64_t seed);

/* What of the masked curve is not the mask's own: (masked - randomised) / (1 - randomised) from two shells beyond `from` on; the masked curve before. */
void deco_fsc_correct(double *out, const double *masked, const double *randomised, int64_t D, int64_t from);

/* The FSC of a perfect map against the mean of two half sets, from their own FSC: sqrt(2F / (1 + F)). Rosenthal & Henderson, J. Mol. Biol. 333
 * (2003). 0 where F is not above 0. */
double deco_fsc_of_whole(double half);

/* Conical FSC area ratio: the area under the FSC in the worst direction over that in the best, of 96 cones with 20 degrees from axis to side, up to
 * shell `last`. 1: the same in all directions. After the directional FSC of Tan et al., Nat. Methods 14 (2017), and CryoSPARC's cFAR. */
deco_status deco_fsc_cone_ratio(double *out, const float *a, const float *b, int64_t D, int64_t last, deco_pool *pool);

#endif
