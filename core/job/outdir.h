/* The run's directory: checked before anything is read, made after everything was checked. */
#ifndef DECO_JOB_OUTDIR_H
#define DECO_JOB_OUTDIR_H

#include "base/monitor.h"

/* Can `outdir` be made or written to, and does it lie outside the input job's directory? Writes nothing. Fails: ARGUMENT, FILE. */
deco_status deco_outdir_check(const char *outdir, const char *input);

/* Makes `outdir` and `outdir/out`. What another run left there is moved to outdir/old-out_NNN, never overwritten. */
deco_status deco_outdir_prepare(const char *outdir, deco_monitor *m);

/* Removes what killed processes of ours left unfinished in `outdir` and `outdir/out` (.NAME.tmp-PID-N). To be called under the
 * directory's lock; what cannot be removed stays. */
void deco_outdir_sweep(const char *outdir);

#endif
