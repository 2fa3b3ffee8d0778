/* The plots that go with each part of an analysis. What cannot be drawn here is a warning. */
#ifndef DECO_ANALYSIS_GALLERY_H
#define DECO_ANALYSIS_GALLERY_H

#include "analysis/clustering.h"

typedef struct deco_gallery {
    const float *z, *scores; /* [N,Z] latents, and on their principal components */
    const float *umap;       /* [N,2], or NULL */
    const deco_pca *pca;
    int64_t N, Z;
    deco_monitor *m;
} deco_gallery;

/* pca.png, pca_hexbin.png, pca_marginals.png, and the same of UMAP. Fails, as all here: MEMORY, FILE. */
deco_status deco_gallery_planes(const char *directory, const deco_gallery *g);

/* z_pca.png, umap_clusters.png, umap_hex.png, dendrogram.png. */
deco_status deco_gallery_clusters(const char *directory, const deco_gallery *g, const deco_clustering *c);

/* pca_traversal.png and umap_traversal.png: the places [points,Z] of maps along a component; in the second at the particles nearest to them. */
deco_status deco_gallery_traversal(const char *directory, const deco_gallery *g, int64_t component, const double *place, int64_t points);

#endif
