/* The ways to cluster besides mixtures and plain k-means, one a file. METHOD.md section 7. */
#ifndef DECO_ANALYSIS_CLUSTERING_KINDS_H
#define DECO_ANALYSIS_CLUSTERING_KINDS_H

#include "analysis/analysis.h"

typedef struct deco_to_cluster {
    const float *x; /* [N,Z] */
    int64_t N, Z, K, k_init;
    uint64_t seed;
    deco_pool *pool;
    deco_monitor *m;
} deco_to_cluster;

/* k-means++ to k_init clusters, then the closest merged down to K. */
deco_status deco_merged_means_find(deco_clusters *out, const deco_to_cluster *t);

/* A tree of small round groups (Zhang, Ramakrishnan and Livny, 1996), which Ward's criterion then merges to K. */
deco_status deco_birch_find(deco_clusters *out, const deco_to_cluster *t);

/* The minimal spanning tree without its K - 1 longest edges; of more than DECO_EXACT_ROWS rows that of a sample, and the others go with
 * the nearest of it. */
deco_status deco_single_linkage_find(deco_clusters *out, const deco_to_cluster *t);

/* out from label [N] (below K, each with a member): probability is the softmax of -d²/2σ² about the clusters' means, as for k-means; a row that
 * another cluster's mean is nearer to shares that one's with its own. */
deco_status deco_clusters_soften(deco_clusters *out, const int32_t *label, const deco_to_cluster *t, int64_t K);

/* label [N]: the number of the nearest of the M places [M,Z]. Exact up to rounding. */
deco_status deco_nearest_places(int32_t *label, const double *place, int64_t M, const deco_to_cluster *t);

/* Merges the M groups of means `centres` [M,Z] and sizes count [M] into K by Ward's criterion; group [M]: what each went into. */
deco_status deco_ward_merge(int32_t *group, double *centres, double *count, int64_t M, int64_t K, int64_t Z);

#endif
