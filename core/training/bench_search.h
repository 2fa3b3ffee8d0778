/* How fast this machine searches poses: the benchmark's cases of both engines, METHOD.md's grids on noise, box 128. */
#ifndef DECO_TRAINING_BENCH_SEARCH_H
#define DECO_TRAINING_BENCH_SEARCH_H

#include "compute/bench.h"

/* pose_search_exact: the default decoder, batches of 8. pose_search_sliced: batches of 256 on four snapshots that are there already; their
 * renewal, which batches of a search share, is not in it. */
enum { DECO_SEARCH_CASES = 2 };
extern const deco_bench_case deco_search_cases[DECO_SEARCH_CASES];

/* The second of them. */
deco_status deco_bench_search_sliced(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m);

#endif
