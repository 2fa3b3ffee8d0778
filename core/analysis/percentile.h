/* Percentiles, interpolated linearly between the two nearest values (numpy's default). */
#ifndef DECO_ANALYSIS_PERCENTILE_H
#define DECO_ANALYSIS_PERCENTILE_H

#include "base/status.h"

/* out[i] = percentile percent[i] (0 … 100) of the N values x[0], x[stride], … N is at least 1. */
deco_status deco_percentiles(double *out, const double *percent, int count, const float *x, int64_t N, int64_t stride);

#endif
