/* Particles that the decoder is not trained on, so that its maps can be held against images that it has not seen. Their poses and latents are trained. */
#ifndef DECO_TRAINING_HOLD_OUT_H
#define DECO_TRAINING_HOLD_OUT_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* Whether a row is one of them: a share of all rows, by the run's seed, the same in every epoch. */
bool deco_is_held_out(uint64_t seed, int64_t row, double share);

/* Moves those held out to the end of order [n]; otherwise the order stays. row[order[i]] is the particle's row; NULL: order[i] is. Fails: MEMORY. */
deco_status deco_held_out_last(int64_t *order, const int64_t *row, int64_t n, uint64_t seed, double share);

#endif
