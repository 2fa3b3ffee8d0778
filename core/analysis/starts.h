/* Where k-means and mixtures begin. */
#ifndef DECO_ANALYSIS_STARTS_H
#define DECO_ANALYSIS_STARTS_H

#include "base/philox.h"
#include "base/threads.h"

/* centres [K,Z] for one restart of many.
 *
 * Even restarts: K seeds of k-means++. Odd ones: four times as many, then merged down to K by Ward's criterion. In many dimensions a seed
 * is far from its own cluster's middle, so a large cluster draws a second seed before a small one gets its first; with seeds to
 * spare every cluster has one, and the merging takes back those too many. */
deco_status deco_start_centres(double *centres, const float *x, int64_t N, int64_t Z, int64_t K, int64_t restart, uint64_t seed,
                               deco_pool *pool);

#endif
