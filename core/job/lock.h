/* One process at a time in a run's directory. */
#ifndef DECO_JOB_LOCK_H
#define DECO_JOB_LOCK_H

#include "base/monitor.h"

typedef struct deco_lock deco_lock;

/* Takes OUTDIR/run.lock, which says host and process, for as long as the process lives or until it is released. What a killed process
 * of this host left there is taken over with a line in the log. Fails: FILE (in use, and by whom; or of another host, where nobody can
 * see whether it still runs: what to remove). */
deco_status deco_lock_take(deco_lock **out, const char *outdir, deco_monitor *m);

/* Removes the file. Takes NULL. */
void deco_lock_release(deco_lock *lock);

#endif
