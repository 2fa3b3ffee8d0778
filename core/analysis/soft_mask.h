/* A soft mask about the density of a map, made from the map itself. */
#ifndef DECO_ANALYSIS_SOFT_MASK_H
#define DECO_ANALYSIS_SOFT_MASK_H

#include "compute/device.h"

typedef struct deco_soft_mask {
    float *value;     /* [D,D,D], 0 … 1 */
    double share;     /* of the box's volume, each voxel counted by its value */
    double threshold; /* density at its core's surface, in the map's units, after the low-pass */
    double low_pass;  /* shell */
    double edge_px;   /* width of its soft edge */
    bool sphere;      /* no density stood out of the noise: the sphere that fits into the box */
} deco_soft_mask;

/* Both halves' mean is the map. It is low-passed at shell `low_pass`; what stands out of the noise (the halves' difference) by five standard deviations, and
 * of the highest density by a tenth, is the core; half an element of resolution is added about it, and an edge of a whole one. Fails: MEMORY, DEVICE. */
deco_status deco_soft_mask_make(deco_soft_mask *out, const float *half0, const float *half1, int64_t D, double low_pass, deco_device *dev);
void deco_soft_mask_free(deco_soft_mask *m);

/* Squared distance of every voxel from the nearest with in[i] set, in pixels (a large number when there is none). Felzenszwalb & Huttenlocher, Theory of
 * Computing 8 (2012). */
deco_status deco_distance2(float *out, const uint8_t *in, int64_t D, deco_pool *pool);

#endif
