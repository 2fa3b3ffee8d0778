/* Nearest neighbours of latents (Euclidean): exact among few rows, found on a small-world graph (hnswlib) among many. */
#ifndef DECO_ANALYSIS_NEIGHBOURS_H
#define DECO_ANALYSIS_NEIGHBOURS_H

#include "base/monitor.h"
#include "base/threads.h"

/* Up to so many rows the neighbours are exact. METHOD.md section 7. */
enum { DECO_EXACT_ROWS = 20000 };

typedef struct deco_neighbours {
    int64_t N;
    int k;
    int32_t *row;    /* [N,k] itself, then the nearest others by rising distance (equally near ones by row) */
    float *distance; /* [N,k] */
    int32_t *order;  /* [N] rows so that near ones mostly stand together (order.h) */
} deco_neighbours;

/* The k nearest of each row of x [N,Z], itself counted; all N when there are fewer. The same for a seed on any number of threads. Fails:
 * ARGUMENT (N beyond 2^31 - 1), MEMORY, STOPPED. */
deco_status deco_neighbours_find(deco_neighbours *out, const float *x, int64_t N, int64_t Z, int k, uint64_t seed, deco_pool *pool,
                                 deco_monitor *m);
void deco_neighbours_free(deco_neighbours *n);

#endif
