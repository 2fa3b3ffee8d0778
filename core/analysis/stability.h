/* Are the clusters there, or made by the method? Refits on parts of the rows, and whether the latents have gaps between them. */
#ifndef DECO_ANALYSIS_STABILITY_H
#define DECO_ANALYSIS_STABILITY_H

#include "analysis/clustering.h"

/* REFIT_ROWS bounds the time of a refit, which is a whole clustering. NULLS: sets of one cloud that gaps are held against. */
enum { DECO_REFITS = 20, DECO_REFIT_ROWS = 6000, DECO_NULLS = 9 };

/* What was clustered: x [N,Z], Z at most umap_dim, as `o` says; its labels from 0. */
typedef struct deco_stability_input {
    const float *x;
    int64_t N, Z;
    const int32_t *label;
    int64_t K;
    const deco_options *o;
    uint64_t seed;
    deco_pool *pool;
    deco_monitor *m; /* asked whether to stop */
    bool gaps_only;  /* no refits; and chance is not looked at where gaps are too shallow for K groups without it */
} deco_stability_input;

typedef struct deco_stability {
    int64_t rows, K;       /* looked at */
    double ari, ari_least; /* adjusted Rand index of refits and labels: mean, least */
    double *jaccard;       /* [K] mean over refits of the best match's Jaccard index; Hennig, Comput. Stat. Data Anal. 52 (2007) */
    double *
        gap; /* [K,K] how deep the density falls between two clusters, along the line that tells them apart best: 1 to nothing, 0 not at all */
    double parting_gap;   /* the shallowest that parts the clusters into two groups */
    double gap_by_chance; /* the same, largest that one Gaussian cloud of the same covariance gives, clustered in the same way */
    int64_t groups;       /* clusters that a gap parts from all others, and bundles of such as have none between them */
    int32_t *group;       /* [K] */
} deco_stability;

/* The same for a seed on any number of threads. Fails: STOPPED, MEMORY. */
deco_status deco_stability_find(deco_stability *out, const deco_stability_input *in);
void deco_stability_free(deco_stability *s);

/* Adjusted Rand index of two labellings of n rows; rows with a negative label in either are left out. Hubert & Arabie, J. Classif. 2 (1985). Fails: MEMORY. */
deco_status deco_adjusted_rand(double *out, const int32_t *a, const int32_t *b, int64_t n);

/* gap [K,K] of labelled rows. Fails: MEMORY. */
deco_status deco_gaps(double *gap, const float *x, const int32_t *label, int64_t N, int64_t Z, int64_t K);

#endif
