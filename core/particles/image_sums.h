/* The scale of a set's images, from sums of each: METHOD.md 1.5. */
#ifndef DECO_PARTICLES_IMAGE_SUMS_H
#define DECO_PARTICLES_IMAGE_SUMS_H

#include "particles/particles.h"

typedef struct image_sums {
    double sum, squares; /* over the L×L values of an image's transform, without its sign */
} image_sums;

/* hartley [D,D]. The last row and column of the lattice repeat the first: those count twice, their corner four times. */
image_sums image_sums_of(const float *hartley, int64_t D);

/* Of all rows, in their order whatever the order the sums were worked out in; sums of row i: s[number[i]], or s[i] where number is NULL.
 * Fails: FORMAT (no common scale). */
deco_status image_sums_scale(double *mean, double *std, const image_sums *s, const int64_t *number, const deco_particles *p);

#endif
