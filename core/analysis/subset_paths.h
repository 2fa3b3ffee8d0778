/* Paths of particles that come from an export, or from several projects. */
#ifndef DECO_ANALYSIS_SUBSET_PATHS_H
#define DECO_ANALYSIS_SUBSET_PATHS_H

#include "particles/particles.h"

/* Paths count from an input's project, or, with a '>' in front, from the folder of an exported file. Files written elsewhere are to name what is there,
 * wherever they are read: in all columns of `t` (a view of p's) whose name ends in "path" the exported ones, where they are found, and those of
 * rows of another project than the first input's become absolute. Fails: FILE, MEMORY. */
deco_status deco_subset_paths(deco_table *t, const deco_particles *p);

#endif
