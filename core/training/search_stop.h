/* hps_stop: the end of a search whose poses have stopped moving. Nothing is remembered outside the position, so that a run that goes on from
 * any checkpoint decides as it would have. */
#ifndef DECO_TRAINING_SEARCH_STOP_H
#define DECO_TRAINING_SEARCH_STOP_H

#include "config/options.h"
#include "model/model.h"

/* Medians below both limits in so many search epochs running end the search. */
enum { DECO_STOP_EPOCHS = 2 };
static const double deco_stop_px = 0.5;

/* Of n particles searched just now: how many turned by less than hps_stop degrees, and moved by less than deco_stop_px. R [n,9], shift [n,2]. */
void deco_search_stop_count(deco_position *at, const deco_options *o, int64_t n, const float *R_before, const float *shift_before,
                            const float *R, const float *shift);

/* A search epoch of N particles is over, at->epoch + 1. True when it was the last one; at->skipped then has the `left` epochs of the search
 * that are left out. */
bool deco_search_stop(deco_position *at, const deco_options *o, int64_t N, int64_t left);

/* The epoch of the schedule that the run's epoch is: epochs left out at the end of the search are counted past. */
static inline int64_t deco_scheduled_epoch(int64_t epoch, int64_t skipped) { return epoch < 0 ? epoch : epoch + skipped; }

#endif
