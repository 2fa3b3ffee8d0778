/* A density map straight from images at their poses, no decoder between: a weighted back-projection in two half sets. */
#ifndef DECO_ANALYSIS_BACKPROJECT_H
#define DECO_ANALYSIS_BACKPROJECT_H

#include "analysis/gridding.h"
#include "base/monitor.h"
#include "particles/loader.h"
#include "particles/particles.h"

/* Which half each of N rows is in. */
typedef struct deco_half_sets {
    uint8_t *of; /* [N] 0 or 1 */
    bool drawn;  /* by us; else they are the input's alignments3D/split */
} deco_half_sets;

/* The input's own half sets, where it has any and both have rows; or drawn, evenly in each cluster: label [N] (NULL: all are one). Rows that share an
 * image, as after symmetry expansion, are in one half set, or both maps would have its noise. Fails: MEMORY. */
deco_status deco_half_sets_find(deco_half_sets *out, const deco_particles *p, const int32_t *label, uint64_t seed);
void deco_half_sets_free(deco_half_sets *h);

/* Whose images, and where from they were seen. */
typedef struct deco_back_projection_input {
    const deco_particles *particles; /* with their stacks */
    const deco_mask *mask;
    const float *R, *shift; /* [N,9], [N,2] pixels */
    const float *weight;    /* [N]; NULL: all 1 */
    const uint8_t *half;    /* [N] */
    const int64_t *row;     /* [n] */
    int64_t n;
    const deco_image_stats *images; /* where they are read from and how they are rounded; NULL: from the stacks, to float16 */
} deco_back_projection_input;

/* Maps [D,D,D] in the units of the images, positive density. */
typedef struct deco_back_projection {
    int64_t D, images[2];
    float *map;     /* of all images, by Wiener's filter with the half maps' signal-to-noise ratio */
    float *half[2]; /* unfiltered */
    double *fsc;    /* [D/2 + 1] of the half maps, without a mask */
} deco_back_projection;

/* Each image is read once. Fails: FILE, FORMAT (an image), STOPPED, MEMORY, DEVICE. */
deco_status deco_back_project(deco_back_projection *out, const deco_back_projection_input *in, deco_device *dev, deco_monitor *m);
void deco_back_projection_free(deco_back_projection *b);

#endif
