/* Random choices among rows: samples, and k-means++ seeds. */
#ifndef DECO_ANALYSIS_SAMPLE_H
#define DECO_ANALYSIS_SAMPLE_H

#include "base/philox.h"
#include "base/status.h"

/* Restarts of a fit are compared on at most this many rows; the best goes on with all of them. */
enum { DECO_RESTART_ROWS = 20000 };

/* n of the N rows of x, every choice equally likely, in the order of x. *own is NULL, and *out is x, when n is N; free it. */
deco_status deco_rows_sample(const float **out, float **own, const float *x, int64_t N, int64_t Z, int64_t n, deco_random *random);

/* centres [K,Z]: rows chosen one by one with a chance that grows with the squared distance from those chosen before; of several
 * candidates the one that leaves the smallest sum (greedy k-means++, as in scikit-learn). */
deco_status deco_seeds_choose(double *centres, const float *x, int64_t N, int64_t Z, int64_t K, deco_random *random);

#endif
