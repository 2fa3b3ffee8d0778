/* How fast this machine searches poses: the benchmark's cases that need more than compute/bench.h can see. */
#ifndef DECO_TRAINING_BENCH_SEARCH_H
#define DECO_TRAINING_BENCH_SEARCH_H

#include "base/monitor.h"
#include "compute/device.h"

typedef struct deco_search_rate {
    double images_per_s;              /* the best round counts */
    int64_t box, batch, z_dim, l_end; /* its shape */
} deco_search_rate;

/* Case pose_search_exact: METHOD.md's grids and the default decoder on noise, box 128. Rounds of one batch for about `seconds`, at least one.
 * Fails: STOPPED, MEMORY, DEVICE. */
deco_status deco_bench_search_exact(deco_search_rate *out, deco_device *dev, double seconds, deco_monitor *m);

#endif
