/* How fast this machine searches poses on snapshots. */
#ifndef DECO_TRAINING_BENCH_SEARCH_SLICED_H
#define DECO_TRAINING_BENCH_SEARCH_SLICED_H

#include "compute/device.h"

/* Images a second of the sliced search at box 128 with default grids (14×14 shifts, radii 12 to 32, 8 poses kept), four snapshots and
 * batches of 256; the fastest batch of about `seconds` counts. No decoder runs. Fails: MEMORY. */
deco_status deco_bench_pose_search_sliced(double *images_per_s, deco_device *dev, double seconds);

#endif
