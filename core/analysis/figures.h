/* The pictures of an analysis. */
#ifndef DECO_ANALYSIS_FIGURES_H
#define DECO_ANALYSIS_FIGURES_H

#include "analysis/clustering.h"

/* Where particles are drawn: the first two components of their latents, or their UMAP. */
typedef struct deco_plane {
    const float *at; /* [N,stride], of which the first two count; with stride 1 a figure is a histogram */
    int64_t N, stride;
    char label[2][64]; /* of the axes */
    const char *what;  /* "principal components" */
} deco_plane;
deco_plane deco_plane_of_components(const deco_pca *p, const float *scores, int64_t N);
deco_plane deco_plane_of_umap(const float *umap, int64_t N);

/* Coloured by cluster, with the clusters' sizes and numbers. */
deco_status deco_figure_clusters(const char *path, const deco_plane *p, const deco_clustering *c);

/* All particles in grey, with the numbered places xy [2,points] (all x, then all y) of maps along component `component`, or (`nearest`) of the
 * particles nearest to those. */
deco_status deco_figure_traversal(const char *path, const deco_plane *p, int64_t component, const double *xy, int64_t points, bool nearest);

/* All particles: coloured by how crowded it is around them; counted in hexagons, with the clusters' numbers where `c` is not NULL; and the
 * hexagons with how many there are along either axis. With one dimension all are the histogram. */
deco_status deco_figure_density(const char *path, const deco_plane *p);
deco_status deco_figure_hexagons(const char *path, const deco_plane *p, const deco_clustering *c);
deco_status deco_figure_marginals(const char *path, const deco_plane *p);

/* The tree that clusters were numbered along: centres [K,Z], and sizes [K] of the clusters. */
deco_status deco_figure_dendrogram(const char *path, const double *centres, const int64_t *size, int64_t K, int64_t Z);

/* Curves over epochs, at most eight; what is not finite is left out. Nothing is written when nothing is left. */
typedef struct deco_epoch_line {
    const char *name; /* at most 31 bytes */
    const double *y;
} deco_epoch_line;
deco_status deco_figure_epochs(const char *path, const char *title, const char *label, bool log, const double *epoch, int64_t epochs,
                               const deco_epoch_line *line, int lines);

/* What cannot be drawn here (no fonts) does not end an analysis: such a failure becomes a warning. */
deco_status deco_figure_optional(deco_status st, deco_monitor *m);

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
