/* Rows in an order in which those that are near one another mostly stand together: what walks over neighbours then stays in the caches. */
#ifndef DECO_ANALYSIS_ORDER_H
#define DECO_ANALYSIS_ORDER_H

#include "base/status.h"
#include "base/threads.h"

/* order [N]: the leaves, left to right, of a tree that halves the rows of x [N,Z] again and again, each time along the direction between two
 * rows drawn at random. The same for a seed on any number of threads. Fails: MEMORY. */
deco_status deco_rows_order(int32_t *order, const float *x, int64_t N, int64_t Z, uint64_t seed, deco_pool *pool);

#endif
