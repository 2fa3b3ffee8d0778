/* Every phase of a training is forecast from its own first batches, and held against the truth when it is over: in the log, and as "forecast" and
 * "phase" in metrics.jsonl. A phase is the epochs of one kind. */
#ifndef DECO_JOB_PHASES_H
#define DECO_JOB_PHASES_H

#include "base/monitor.h"
#include "job/forecast.h"
#include "training/train.h"

typedef struct deco_phases deco_phases;

/* Keeps `f` (copied: what was forecast before the run; its times are 0 where they were not measured), options, encoder (NULL: none) and monitor. Watches this
 * process's memory on a thread of its own. Fails: MEMORY. */
deco_status deco_phases_create(deco_phases **out, const deco_options *o, const deco_particles *p, const deco_forecast *f,
                               const deco_vit *encoder, int threads, deco_monitor *m);
void deco_phases_free(deco_phases *s); /* takes NULL */

/* Another batch is done; with the first that make 2 % of the phase, the rest is forecast. */
void deco_phases_batch(deco_phases *s, const deco_batch_record *b);

/* The last epoch of its kind is over, and what is kept of it written. */
void deco_phases_phase_done(deco_phases *s);

/* What was under way is not any more: training goes back, or the analysis begins. */
void deco_phases_restart(deco_phases *s);

/* The analysis is over, and with it the run. */
void deco_phases_end(deco_phases *s);

#endif
