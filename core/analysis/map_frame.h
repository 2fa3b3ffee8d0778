/* A run's maps in the frame of the truth: one rotation (of either hand) and one translation for all of them. */
#ifndef DECO_ANALYSIS_MAP_FRAME_H
#define DECO_ANALYSIS_MAP_FRAME_H

#include "base/status.h"

typedef struct deco_map_frame {
    double Q[9]; /* V(r) = V'(r Qᵀ), V' the run's map */
    double t[3]; /* voxels, x first: moved so afterwards */
} deco_map_frame;

/* Refines f->Q on the pair of the first eight of n maps and m true ones that fits best, by their correlation in at most 32 voxels, and finds t. All maps
 * [D,D,D], D even. Fails: MEMORY. */
deco_status deco_map_frame_find(deco_map_frame *f, float *const *map, int64_t n, float *const *truth, int64_t m, int64_t D);

/* out [D,D,D]: the map in that frame, zero outside the sphere of the box. May be `map`. */
deco_status deco_map_into_frame(float *out, const float *map, const deco_map_frame *f, int64_t D);

#endif
