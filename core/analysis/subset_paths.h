/* Paths of particles that come from several projects. */
#ifndef DECO_ANALYSIS_SUBSET_PATHS_H
#define DECO_ANALYSIS_SUBSET_PATHS_H

#include "particles/particles.h"

/* Paths count from an input's project. Where the inputs have different ones, those of rows of another project than the first's become absolute in all
 * columns of `t` (a view of p's) whose name ends in "path": files written of it then name what is there, wherever they are read. */
deco_status deco_subset_paths(deco_table *t, const deco_particles *p);

#endif
