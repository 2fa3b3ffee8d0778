/* The same particles in another job: the rows of the full-size images that belong to particles chosen on small ones. FORMATS.md section 4. */
#ifndef DECO_ANALYSIS_SUBSET_ORIGINAL_H
#define DECO_ANALYSIS_SUBSET_ORIGINAL_H

#include "particles/particles.h"

typedef struct deco_original {
    const deco_particles *particles; /* the original job's */
    int64_t *row;                    /* [n] of them, rising */
    int64_t n;
    int64_t *chosen;   /* [n] the row of the small set that each belongs to */
    int64_t matched;   /* chosen rows that the original has; an original's row may answer to several, and one to several rows */
    int64_t recentred; /* of the n: Downsample moved their centres */
    int64_t resplit;   /* of the n: in another half set there than here */
    const char *how;   /* "uid", "sym_expand/src_uid and idx", ... */
} deco_original;

/* The rows of `original` that belong to the rows `row[0..n)` of `small`: joined on uid; where symmetry expansion made the uids, on
 * sym_expand/src_uid and idx, or src_uid alone when only one side is expanded; with `by_image` on path and index of the images. Only membership is
 * carried over: poses, shifts and all else are the original's, since Downsample may have moved the centre that a shift counts from.
 * Fails: ARGUMENT when nothing matches, with the reason, or (unless `partial`) only some, with counts; FORMAT. */
deco_status deco_original_find(deco_original *out, const deco_particles *original, const deco_particles *small, const int64_t *row,
                               int64_t n, bool by_image, bool partial, deco_monitor *m);

/* Of the small set only what deco_original_find looks at stays: of ten million particles two whole sets would not fit where one does. */
deco_status deco_original_make_room(deco_particles *small);
void deco_original_free(deco_original *o); /* frees what is in it */

#endif
