/* The pictures of an analysis. */
#ifndef DECO_ANALYSIS_FIGURES_H
#define DECO_ANALYSIS_FIGURES_H

#include "analysis/clustering.h"

/* Scores [N,Z] on the first two components (the only one: a histogram), coloured by cluster, with the clusters' sizes. */
deco_status deco_figure_clusters(const char *path, const deco_pca *p, const float *scores, int64_t N, const deco_clustering *c);

/* The same in grey, with the numbered places [points,Z] of the maps along `component`. */
deco_status deco_figure_traversal(const char *path, const deco_pca *p, const float *scores, int64_t N, int64_t component,
                                  const double *place, int64_t points);

/* Latents z [N,Z], Z above 0, on their first two principal components, all in one colour. */
deco_status deco_figure_latents(const char *path, const float *z, int64_t N, int64_t Z, deco_pool *pool);

/* A map [D,D,D] in one row: its three central slices, and its projections along the axes. With a scale bar in Å. */
deco_status deco_figure_map(const char *path, const float *map, int64_t D, double psize_A);

/* Where N particles were seen from, R [N,9]: the density of their view directions on the sphere (Mollweide's projection, equal areas),
 * in units of what even views would give. */
deco_status deco_figure_views(const char *path, const float *R, int64_t N);

/* Curves [shells] over the spatial frequencies of a box of `box_A`, at most eight, with the levels 0.143 and 0.5. */
typedef struct deco_fsc_line {
    const char *name; /* at most 31 bytes */
    const double *fsc;
    int64_t colour; /* of the palette */
} deco_fsc_line;
deco_status deco_figure_fsc(const char *path, const char *title, const deco_fsc_line *line, int lines, int64_t shells, double box_A);

/* "1,234,567" */
const char *deco_grouped(char out[32], int64_t n);

#endif
