/* Ways from latent to latent. */
#ifndef DECO_ANALYSIS_TRAVERSAL_H
#define DECO_ANALYSIS_TRAVERSAL_H

#include "base/monitor.h"
#include "base/threads.h"

/* Places on straight lines from each of `stops` latents [stops,Z] to the next, `frames` a line, ends included once: count rows. Free *out. */
deco_status deco_traverse_directly(double **out, int64_t *count, const double *stops, int64_t n, int64_t Z, int64_t frames);

/* Particles on the shortest way over neighbours' distances (15 a particle, either way) between rows of z [N,Z], stop by stop: row [count], all of
 * the way or evenly spaced `frames` a line, ends included. Free *row. Fails: ARGUMENT (there is no way between two stops: the latents fall
 * apart), MEMORY, STOPPED. */
deco_status deco_traverse_graph(int64_t **row, int64_t *count, const float *z, int64_t N, int64_t Z, const int64_t *stop, int64_t n,
                                int64_t frames, uint64_t seed, deco_pool *pool, deco_monitor *m);

#endif
