/* What ends a run from outside beside signals: a file, and the end of its time. */
#ifndef DECO_JOB_STOP_WATCH_H
#define DECO_JOB_STOP_WATCH_H

#include "base/monitor.h"

typedef struct deco_stop_watch deco_stop_watch;

/* Looks once a second, on a thread of its own, whether `stop_file` is there (another file than now) or the time is over, says so and asks `m`
 * to stop. `hours` counts from now (0: no end); where Slurm says when the job ends (SLURM_JOB_END_TIME), the run stops a minute before. Either
 * comes earlier by twice what the last checkpoint took. Fails: MEMORY. */
deco_status deco_stop_watch_begin(deco_stop_watch **out, const char *stop_file, double hours, deco_monitor *m);
void deco_stop_watch_end(deco_stop_watch *w);

/* The last checkpoint took so long. NULL: nobody watches. */
void deco_stop_watch_checkpoint(deco_stop_watch *w, double seconds);

#endif
