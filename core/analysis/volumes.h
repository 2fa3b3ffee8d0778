/* Density maps of several states, as files. */
#ifndef DECO_ANALYSIS_VOLUMES_H
#define DECO_ANALYSIS_VOLUMES_H

#include "analysis/map_shape.h"
#include "base/monitor.h"
#include "model/model.h"

/* vol_000.mrc … of the latents z [n,Z] (Z may be 0) into `directory`, or with `mirror` their mirror images, shaped as `shape` (NULL: as they are), each
 * with its central slices as vol_000.png …, and open_all.cxc, which opens them in ChimeraX. One step of the progress line each; a map that is negative in its middle is warned of.
 * Fails: STOPPED, and as deco_model_decode and deco_mrc_write_volume. */
deco_status deco_volumes_write(const char *directory, deco_model *model, const double *z, int64_t n, bool mirror,
                               const deco_map_shape *shape, deco_monitor *m);

/* A line of Z numbers a state, to nine digits: what a float32 needs. Whole or absent. */
deco_status deco_latents_write(const char *directory, const char *name, const double *z, int64_t n, int64_t Z);

#endif
