/* One process at a time in a run's directory: deco_lock_take and deco_lock_release of cryodeco.h. */
#ifndef DECO_JOB_LOCK_H
#define DECO_JOB_LOCK_H

#include "base/monitor.h"

/* Seconds from one sign of life to the next; tests have fewer. */
extern double deco_lock_beat_s;

/* As deco_lock_take, but where another process has it (or one of another host may have it) that is no failure: *out is NULL. */
deco_status deco_lock_take_if_free(deco_lock **out, const char *outdir, deco_monitor *m);

#endif
