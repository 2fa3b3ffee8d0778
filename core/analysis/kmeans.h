/* The inside of k-means, also what starts a mixture. */
#ifndef DECO_ANALYSIS_KMEANS_H
#define DECO_ANALYSIS_KMEANS_H

#include "base/threads.h"

/* Lloyd's iterations from `centres` [K,Z], changed in place, until they rest or `iterations` are done. A centre that lost all its
 * rows moves to the row farthest from its own. *inertia: the sum of squared distances to the nearest centre; count [K] (may be NULL): rows of
 * each. */
deco_status deco_kmeans_refine(double *centres, double *count, double *inertia, const float *x, int64_t N, int64_t Z, int64_t K,
                               int iterations, deco_pool *pool);

#endif
