/* The inside of the Gaussian mixture: a mixture made ready for densities, and what an E step sums up. */
#ifndef DECO_ANALYSIS_GMM_H
#define DECO_ANALYSIS_GMM_H

#include "analysis/analysis.h"
#include "analysis/block.h"

/* On the diagonal of every covariance. METHOD.md section 7. */
#define DECO_GMM_FLOOR 1e-6

/* Of covariance LLᵀ: L⁻¹ [K,Z,Z], and log weight + log |L⁻¹| - Z/2 log 2π [K]. */
typedef struct deco_gmm_ready {
    int64_t K, Z;
    const double *mean;
    double *whiten, *constant;
} deco_gmm_ready;
deco_status deco_gmm_prepare(deco_gmm_ready *out, const deco_gmm *g);
void deco_gmm_ready_free(deco_gmm_ready *g);

/* Responsibilities p [K,BLOCK] of the rows of `block` [Z,BLOCK]; the log density of each in log_p [BLOCK]. */
void deco_gmm_block(double *p, double *log_p, const deco_gmm_ready *g, const double *block);

/* Labels and probabilities of all rows. */
deco_status deco_gmm_label(deco_clusters *out, const deco_gmm *g, const float *x, int64_t N, deco_pool *pool);

#endif
