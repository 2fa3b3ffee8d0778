/* How fast this machine lays out and clusters latents: the benchmark's cases, on eight clouds. */
#ifndef DECO_ANALYSIS_BENCH_LATENTS_H
#define DECO_ANALYSIS_BENCH_LATENTS_H

#include "compute/bench.h"

/* Of 100,000 rows, and (…_many) of 1,000,000: umap, 16 dimensions to the plane, neighbours, start and 200 passes; gmm, 16 dimensions, a mixture of 8, full covariances, 20
 * restarts of at most 100 iterations; pca, components and scores, 64 dimensions. Rows a second. The large ones run by name alone. */
enum { DECO_LATENT_CASES = 6, DECO_LATENT_CASES_MANY = 3 /* the last of them */ };
extern const deco_bench_case deco_latent_cases[DECO_LATENT_CASES];

#endif
