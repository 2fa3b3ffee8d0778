/* A traversal as a volume series: its maps in one archive, and the particles of each frame. */
#ifndef DECO_ANALYSIS_SERIES_H
#define DECO_ANALYSIS_SERIES_H

#include "analysis/subset_write.h"
#include "base/monitor.h"
#include "base/threads.h"

/* series.zip of the maps vol_000.mrc … vol_<n - 1>.mrc in `directory`. */
deco_status deco_series_write(const char *directory, int64_t n, deco_monitor *m);

/* Where the particles stand along a component: place [N] in frames, from 0, of n frames evenly spaced between first and last of their scores
 * [N,Z]; beyond the ends too. With first = last all are at 0. */
void deco_places_along(double *place, const float *scores, int64_t N, int64_t Z, int64_t component, double first, double last, int64_t n);

/* The same along a way through n latents [n,Z]: the nearest point of the way. NAN: farther from it than half the mean length of its `lines`
 * lines from stop to stop, so not of the way. */
deco_status deco_places_on_way(double *place, const float *x, int64_t N, int64_t Z, const double *way, int64_t n, int64_t lines,
                               deco_pool *pool);

/* frames.npy (f4 [N], the places) and frames_cs/frame_<i>.cs, .csg: the particles less than one frame from frame i, so that each is in two
 * neighbours. A frame without any has none, and is warned of. `name`: what is said of the way, "pc1_10". */
deco_status deco_frames_write(const char *directory, const char *name, const deco_subset_input *in, const double *place, int64_t n,
                              deco_monitor *m);

#endif
