/* The symmetrised lattice L = D + 1 and its circular masks. METHOD.md section 2. */
#ifndef DECO_GEOMETRY_LATTICE_H
#define DECO_GEOMETRY_LATTICE_H

#include "base/status.h"

/* The points inside a circle, DC left out, in rising order of y*L + x. kx² + ky² <= r² in whole numbers from the centre. */
typedef struct deco_mask {
    int64_t L, radius, P;
    int32_t *index; /* [P] y*L + x; index[P-1-p] is the point opposite to index[p] */
    float *k;       /* [P,2] x, y in cycles per pixel: linspace(-0.5, 0.5, L) */
} deco_mask;

deco_status deco_mask_create(deco_mask **out, int64_t L, int64_t radius);
void deco_mask_free(deco_mask *m);
int64_t deco_mask_points(int64_t radius); /* P of a mask of that radius */

/* The axis linspace(-0.5, 0.5, L), in double. */
static inline double deco_lattice_axis(int64_t L, int64_t i) { return -0.5 + (double)i / (double)(L - 1); }

/* The points of the ball kx² + ky² + kz² <= r², centre left out, in rising order of (z*L + y)*L + x. */
typedef struct deco_ball {
    int64_t L, radius, P;
    int64_t *index; /* [P] */
} deco_ball;
deco_status deco_ball_create(deco_ball **out, int64_t L, int64_t radius);
void deco_ball_free(deco_ball *b);

/* The window of METHOD.md section 1.1 for a D×D image, [D,D]. */
void deco_window_fill(float *out, int64_t D);

#endif
