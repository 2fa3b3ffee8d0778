/* A run's maps against true ones: the definitions that simulated sets are judged by (CryoBench's per-image FSC area). */
#ifndef DECO_ANALYSIS_SCORE_MAPS_H
#define DECO_ANALYSIS_SCORE_MAPS_H

#include "base/status.h"

typedef struct deco_map_score {
    double corr;                             /* inside a soft mask about the true map; negative for inverted contrast */
    double fsc05_A, fsc0143_A;               /* where the FSC first falls below 0.5 and 0.143 */
    double masked_fsc05_A, masked_fsc0143_A; /* of both maps inside that mask */
    double auc;                              /* area under the absolute FSC up to the shell D/2 - 1, as a share of a perfect map's */
} deco_map_score;

/* `map` in the frame of `truth` (map_frame.h), both [D,D,D]. Fails: MEMORY. */
deco_status deco_map_score_of(deco_map_score *out, const float *map, const float *truth, int64_t D, double psize_A);

/* Of a perfect map, in cycles a pixel: what the areas are shares of. */
double deco_fsc_area_perfect(int64_t D);

#endif
