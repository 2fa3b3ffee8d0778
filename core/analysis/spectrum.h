/* Fourier transforms of maps as scores need them: half complex, origin first. */
#ifndef DECO_ANALYSIS_SPECTRUM_H
#define DECO_ANALYSIS_SPECTRUM_H

#include "base/status.h"
#include <complex.h>

static inline int64_t deco_spectrum_width(int64_t D) { return D / 2 + 1; }
static inline int64_t deco_frequency(int64_t i, int64_t D) { return i < D / 2 ? i : i - D; }

/* out [D,D,D/2+1] of a map [D,D,D], D even. Free with free(). */
deco_status deco_spectrum_make(float complex **out, const float *map, int64_t D);
/* And back, by D³ smaller; the spectrum is destroyed. */
deco_status deco_spectrum_back(float *map, float complex *spectrum, int64_t D);

/* The map of the same field of view with `to` voxels a side, by its transform cut or padded. Free with free(). */
deco_status deco_map_resize(float **out, const float *map, int64_t D, int64_t to);

#endif
