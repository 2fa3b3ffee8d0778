/* Fourier radii of the levels of a pose search. METHOD.md section 6. */
#ifndef DECO_GEOMETRY_LEVELS_H
#define DECO_GEOMETRY_LEVELS_H

#include <stdint.h>

/* Mask radius in lattice steps of level 0 … n_iter: from l_start to l_end in equal steps, cut to whole numbers, at most L // 2. A search
 * without refinements has its one level at l_end. */
static inline int64_t deco_level_radius(int level, int n_iter, int64_t l_start, int64_t l_end, int64_t L)
{
    int64_t l = n_iter > 0 ? l_start + level * (l_end - l_start) / n_iter : l_end;

    return l < L / 2 ? l : L / 2;
}

#endif
