/* Particles drawn at random as the script draws them that simulated sets are judged by: NumPy's default_rng(0).choice(n, size, replace=False), so that
 * a fit which depends on where it begins gives the same numbers here. */
#ifndef DECO_ANALYSIS_SCORE_DRAWS_H
#define DECO_ANALYSIS_SCORE_DRAWS_H

#include "base/status.h"

typedef struct score_draws {
    unsigned __int128 state;
    bool half;     /* are 32 bits left over? */
    uint32_t left; /* these */
} score_draws;

score_draws score_draws_begin(void);
/* out [size]: different numbers below n; size is at most n. Fails: MEMORY. */
deco_status score_draws_choose(int64_t *out, score_draws *d, int64_t n, int64_t size);

#endif
