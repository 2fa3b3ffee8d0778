/* The particles of each cluster as files that CryoSPARC and RELION take. FORMATS.md sections 4 and 5. */
#ifndef DECO_ANALYSIS_SUBSETS_H
#define DECO_ANALYSIS_SUBSETS_H

#include "analysis/clustering.h"

typedef struct deco_subset_input {
    const deco_particles *particles;
    const float *R, *shift; /* [N,9], [N,2] pixels of box, or NULL: the set's own poses, if it has any */
    bool poses_estimated;   /* R and shift take the place of alignments3D */
    const char *analysis;   /* "analysis_99", for the description */
} deco_subset_input;

/* cluster_<i>.cs, .csg and .star in `directory` for each cluster: every column and uid of the input's rows, in the input's order. */
deco_status deco_subsets_write(const char *directory, const deco_subset_input *in, const deco_clustering *c);

#endif
