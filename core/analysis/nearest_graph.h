/* Neighbours among many rows, on a hierarchical small-world graph (Malkov and Yashunin, 2018). The one file that knows hnswlib is
 * nearest_graph.cc. */
#ifndef DECO_ANALYSIS_NEAREST_GRAPH_H
#define DECO_ANALYSIS_NEAREST_GRAPH_H

#include "analysis/neighbours.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills row and distance of `out`, whose N, k and order stand. Rows enter the graph one by one in that order on one thread, whatever the pool, and are
 * searched for side by side: a seed gives one graph. Almost all neighbours are the nearest: tests/unit/analysis says how many. Fails: MEMORY,
 * STOPPED. */
deco_status deco_nearest_graph_search(deco_neighbours *out, const float *x, int64_t Z, uint64_t seed, deco_pool *pool, deco_monitor *m);

#ifdef __cplusplus
}
#endif
#endif
