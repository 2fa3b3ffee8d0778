/* Some particles of a set as files that CryoSPARC and RELION take. FORMATS.md sections 4 and 5. */
#ifndef DECO_ANALYSIS_SUBSET_WRITE_H
#define DECO_ANALYSIS_SUBSET_WRITE_H

#include "analysis/subset_star.h"

typedef struct deco_subset_input {
    const deco_particles *particles;
    bool poses_estimated;   /* true: R and shift are the poses, in the place of alignments3D; false: the set's own, if it has any */
    const float *R, *shift; /* [N,9], [N,2] pixels of the training box */
    const char *analysis;   /* "analysis_99", for the description */
} deco_subset_input;

enum { DECO_SUBSET_CS = 1, DECO_SUBSET_CSG = 2, DECO_SUBSET_STAR = 4, DECO_SUBSET_ALL = 7 };

/* What all subsets of a set have in common. */
typedef struct deco_subset_source {
    deco_subset_input in;
    deco_table *columns; /* of all rows, as they are written */
    deco_star_groups groups;
    int forms;
    char created[40];
} deco_subset_source;
deco_status deco_subset_source_open(deco_subset_source *out, const deco_subset_input *in, int forms);
void deco_subset_source_close(deco_subset_source *s);

typedef struct deco_subset {
    const int64_t *row; /* [n] */
    int64_t n;
    const int32_t *label; /* [N] each row's class, from 0, for the STAR file; NULL: not known */
    const char *name, *title, *description;
} deco_subset;

/* <stem>.cs, .csg, .star, as the source's forms say: every column and uid of the rows. Each is whole or absent. */
deco_status deco_subset_write(const char *stem, const deco_subset_source *source, const deco_subset *s);

#endif
