/* Where in latent space the snapshots of a pose search are taken. POSE_SEARCH.md section 1. */
#ifndef DECO_TRAINING_CENTROIDS_H
#define DECO_TRAINING_CENTROIDS_H

#include "base/philox.h"
#include "base/status.h"

/* k-means on z [N,Z], ten rounds from K rows of the draw's choice; of more than 20 000 rows on so many of them. out [K,Z]; with
 * fewer rows than K some are equal. The same draw gives the same bits. Fails: MEMORY. */
deco_status deco_centroids(float *out, const float *z, int64_t N, int64_t Z, int64_t K, deco_random *draw);

#endif
