/* The clusters of an analysis: found, numbered and each with the particle that stands for it. METHOD.md section 7. */
#ifndef DECO_ANALYSIS_CLUSTERING_H
#define DECO_ANALYSIS_CLUSTERING_H

#include "analysis/analysis.h"

typedef struct deco_clustering {
    deco_clusters found; /* numbered in the order of the dendrogram; none is empty */
    int64_t *row, *size; /* [K] the particle nearest to the mean latent; members */
    const char *method;  /* "Gaussian mixture" */
    const char *note;    /* what was clustered when that is not the latents themselves; NULL */
} deco_clustering;

/* Clusters z [N,Z] as `o` says (clustering_type, k_num, k_init). Latents of more than umap_dim dimensions are clustered as `narrow` [N,umap_dim], their
 * UMAP; else it may be NULL. */
deco_status deco_clustering_find(deco_clustering *out, const float *z, const float *narrow, int64_t N, int64_t Z, const deco_options *o,
                                 uint64_t seed, deco_pool *pool, deco_monitor *m);
void deco_clustering_free(deco_clustering *c);

#endif
