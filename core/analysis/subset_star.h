/* A subset as a RELION 3.1 STAR file. FORMATS.md section 5. */
#ifndef DECO_ANALYSIS_SUBSET_STAR_H
#define DECO_ANALYSIS_SUBSET_STAR_H

#include "formats/star.h"
#include "particles/particles.h"

/* Optics groups of a whole set: one for each (exposure group, kV, Cs, amplitude contrast, size of the images), in rising order, so that a group has
 * the same number in every subset. */
typedef struct deco_star_groups {
    int64_t count;
    deco_star_optics *optics; /* [count] */
    int32_t *of_row;          /* [N] */
} deco_star_groups;
deco_status deco_star_groups_find(deco_star_groups *out, const deco_particles *p);
void deco_star_groups_free(deco_star_groups *g);

/* The rows `row[0..n)` of p, with its columns as `t` has them. R [N,9] and shift [N,2] (pixels of p's training box) are the poses; NULL, both: there are none. label [N] is each row's
 * class, from 0; NULL: rlnClassNumber is left out. */
deco_status deco_subset_star_write(const char *path, const deco_particles *p, const deco_table *t, const float *R, const float *shift,
                                   const deco_star_groups *groups, const int32_t *label, const int64_t *row, int64_t n);

#endif
