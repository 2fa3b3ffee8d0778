/* The variance of the noise by Fourier shell, and images whitened by it: from then on a squared difference counts in units of the noise, so
 * that a score is a log likelihood. */
#ifndef DECO_TRAINING_NOISE_SPECTRUM_H
#define DECO_TRAINING_NOISE_SPECTRUM_H

#include "formulas/ctf.h"
#include "geometry/lattice.h"

typedef struct deco_noise_spectrum {
    int64_t radius, known;    /* shells beyond `known` have no estimate yet */
    double *variance, *total; /* [radius + 1] of the noise of a Hartley value; of the images, which is the most it can be */
} deco_noise_spectrum;

/* No noise known yet: variance 1. Fails: MEMORY. */
deco_status deco_noise_create(deco_noise_spectrum *n, int64_t radius);
void deco_noise_free(deco_noise_spectrum *n);

/* Which shell a point of a mask belongs to, [P]. Fails: MEMORY. */
deco_status deco_noise_shells(int32_t **out, const deco_mask *mask);

/* Shells of the mask that have no estimate yet start from the images' own power. images [B,P]. */
void deco_noise_start(deco_noise_spectrum *n, const float *images, int64_t B, const deco_mask *mask, const int32_t *shell);

/* One step of a running mean towards what images minus their models left: power and points by shell [radius + 1], of whitened images. */
void deco_noise_follow(deco_noise_spectrum *n, const double *power, const double *points, int64_t radius, double step);

/* Fails: MEMORY. */
deco_status deco_noise_copy(deco_noise_spectrum *out, const deco_noise_spectrum *n);

/* out [P] = image over the deviation of the noise; ctf [P] the same of the CTF. */
void deco_noise_whiten(float *out, float *ctf, const deco_noise_spectrum *n, const float *image, deco_ctf_row row, const deco_mask *mask,
                       const int32_t *shell);

#endif
