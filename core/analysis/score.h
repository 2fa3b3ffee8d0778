/* Scores of a run against the truth: partitions, poses, latents. The definitions are those that simulated sets are judged by. */
#ifndef DECO_ANALYSIS_SCORE_H
#define DECO_ANALYSIS_SCORE_H

#include "base/threads.h"

/* Two labellings; those of -1 in `found` have no cluster. */
typedef struct deco_label_score {
    int64_t clusters, unassigned;
    double ari, nmi,
        ami; /* adjusted Rand index; mutual information over the mean entropy, plain and beyond chance: of those with a cluster */
    double accuracy,
        purity; /* shares of all: under the best naming of clusters as classes one to one; each cluster named after its commonest class */
    int32_t *cluster, *named; /* [pairs] that naming */
    int64_t pairs;
} deco_label_score;

/* Fails: ARGUMENT (more than 100 000 classes or clusters), MEMORY. */
deco_status deco_labels_score(deco_label_score *out, const int32_t *truth, const int32_t *found, int64_t N);
void deco_label_score_free(deco_label_score *s);

/* The share of the variance of true coordinates [N] that the clusters explain, of those that have one, and how many clusters those are. NaN where there is nothing
 * to explain. Fails: ARGUMENT (more than 100 000 clusters), MEMORY. */
deco_status deco_coordinates_score(double *explained, int64_t *clusters, const double *truth, const int32_t *found, int64_t N);

/* The best one-to-one assignment of n <= m rows to columns for a gain [n,m]: column_row [m] is the row of each column, or -1. */
deco_status deco_assign(int64_t *column_row, const double *gain, int64_t n, int64_t m);

/* Rotations in the frame and hand that fit best: R ~ F' R' Q with Q a rotation, or improper with F' = diag(1, 1, -1). */
typedef struct deco_rotation_score {
    bool mirrored;
    double median_deg, mean_deg, within_5, within_10, within_30, other_hand_median_deg;
    double Q[9]; /* that frame */
} deco_rotation_score;
deco_status deco_rotations_score(deco_rotation_score *out, const float *truth, const float *found, int64_t N); /* [N,9] */

/* Shifts in pixels, [N,2], once the one displacement of the map that explains most is taken out; `raw` is without that. */
typedef struct deco_shift_score {
    double median_px, mean_px, raw_median_px, raw_mean_px, displacement_px[3];
} deco_shift_score;
deco_status deco_shifts_score(deco_shift_score *out, const float *truth, const float *found, const float *true_rotation, int64_t N);

/* The share of the 20 nearest of each latent [N,Z] that are of its class, and what chance gives. */
deco_status deco_latents_score(double *purity, double *chance, const float *z, const int32_t *truth, int64_t N, int64_t Z, deco_pool *pool);

#endif
