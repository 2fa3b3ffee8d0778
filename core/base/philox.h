/* Philox4x32-10 (Salmon et al., SC'11): random numbers that are a function of seed, stream and position alone, so the
 * order of threads does not matter. */
#ifndef DECO_BASE_PHILOX_H
#define DECO_BASE_PHILOX_H

#include <stdint.h>

/* What a number is for; never reuse a stream for another purpose. */
typedef enum deco_stream {
    DECO_STREAM_WEIGHTS = 1,
    DECO_STREAM_FREQUENCIES,
    DECO_STREAM_LATENTS,
    DECO_STREAM_ORDER,
    DECO_STREAM_PRETRAIN,
    DECO_STREAM_CLUSTER,
    DECO_STREAM_SIMULATE,
    DECO_STREAM_NOISE,
    DECO_STREAM_SAMPLE,
    DECO_STREAM_SEED,
    DECO_STREAM_POSE,
    DECO_STREAM_CENTROIDS,
    DECO_STREAM_MINIBATCH,
    DECO_STREAM_INITIAL,
    DECO_STREAM_INITIAL_ORDER,
    DECO_STREAM_INITIAL_STATE,
    DECO_STREAM_ENCODER,
    DECO_STREAM_HALVES,
    DECO_STREAM_PHASES,
    DECO_STREAM_RESAMPLE,
    DECO_STREAM_PERMUTE,
    DECO_STREAM_TREE,
    DECO_STREAM_LAYOUT,
    DECO_STREAM_RESOLUTION,
    DECO_STREAM_HOLD_OUT
} deco_stream;

/* Position `index` of sub-sequence `sub` (an epoch, a particle) of a stream. */
typedef struct deco_random {
    uint64_t seed;
    uint32_t stream;
    uint64_t sub;
    uint64_t index; /* the next block of four */
    uint32_t block[4];
    int left;
} deco_random;

void deco_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

deco_random deco_random_at(uint64_t seed, deco_stream stream, uint64_t sub);
uint32_t deco_random_u32(deco_random *r);
uint64_t deco_random_below(deco_random *r, uint64_t n); /* uniform in [0, n), without bias */
double deco_random_uniform(deco_random *r);             /* [0, 1), 53 bits */
double deco_random_normal(deco_random *r);              /* N(0, 1), Box–Muller in double */

/* A permutation of [0, n): Fisher–Yates. */
void deco_random_permutation(deco_random *r, int64_t *out, int64_t n);

#endif
