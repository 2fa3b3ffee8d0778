/* The pictures of an analysis. */
#ifndef DECO_ANALYSIS_FIGURES_H
#define DECO_ANALYSIS_FIGURES_H

#include "analysis/clustering.h"

/* Scores [N,Z] on the first two components (the only one: a histogram), coloured by cluster, with the clusters' sizes. */
deco_status deco_figure_clusters(const char *path, const deco_pca *p, const float *scores, int64_t N, const deco_clustering *c);

/* The same in grey, with the numbered places [points,Z] of the maps along `component`. */
deco_status deco_figure_traversal(const char *path, const deco_pca *p, const float *scores, int64_t N, int64_t component,
                                  const double *place, int64_t points);

/* "1,234,567" */
const char *deco_grouped(char out[32], int64_t n);

#endif
