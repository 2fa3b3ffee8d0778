/* The particles of each cluster as files that CryoSPARC and RELION take. */
#ifndef DECO_ANALYSIS_SUBSETS_H
#define DECO_ANALYSIS_SUBSETS_H

#include "analysis/clustering.h"
#include "analysis/subset_write.h"

/* cluster_<i>.cs, .csg and .star in `directory` for each cluster: every column and uid of the input's rows, in the input's order. */
deco_status deco_subsets_write(const char *directory, const deco_subset_input *in, const deco_clustering *c);

#endif
