/* A subset as a RELION 3.1 STAR file. FORMATS.md section 5. */
#ifndef DECO_ANALYSIS_SUBSET_STAR_H
#define DECO_ANALYSIS_SUBSET_STAR_H

#include "analysis/subsets.h"
#include "formats/star.h"

/* Optics groups of a whole set: one for each (exposure group, kV, Cs, amplitude contrast), in rising order, so that a group has
 * the same number in every subset. */
typedef struct deco_star_groups {
    int64_t count;
    deco_star_optics *optics; /* [count] */
    int32_t *of_row;          /* [N] */
} deco_star_groups;
deco_status deco_star_groups_find(deco_star_groups *out, const deco_particles *p);
void deco_star_groups_free(deco_star_groups *g);

deco_status deco_subset_star_write(const char *path, const deco_subset_input *in, const deco_star_groups *groups, const int64_t *row,
                                   int64_t n, int64_t cluster);

#endif
