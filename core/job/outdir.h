/* The run's directory: checked before anything is read, made after everything was checked. */
#ifndef DECO_JOB_OUTDIR_H
#define DECO_JOB_OUTDIR_H

#include "base/monitor.h"

/* Can `outdir` be made or written to, and does it lie outside the input job's directory? Writes nothing. Fails: ARGUMENT, FILE. */
deco_status deco_outdir_check(const char *outdir, const char *input);
/* The same of a directory that another option names. */
deco_status deco_output_check(const char *option, const char *directory, const char *input);
/* Of cache_dir: one that cannot be written to may hold a whole cache. */
deco_status deco_cache_dir_check(const char *directory, const char *input);

/* Makes `outdir` and `outdir/out`. For a new run what another one left there is moved to outdir/old-out_NNN, never overwritten. */
deco_status deco_outdir_prepare(const char *outdir, bool new_run, deco_monitor *m);

/* Moves what lies in `outdir`/out beyond a position (weights and arrays of later epochs, later checkpoints) to a new old-out_NNN, if there is
 * a later or damaged checkpoint: nobody may go on from it by mistake. What is there beyond the newest checkpoint is only to be made again. */
deco_status deco_outdir_leave_behind(const char *outdir, int64_t epoch, int64_t step, deco_monitor *m);

/* Removes what killed processes of ours left unfinished (.NAME.tmp-PID-N) in `outdir` and anywhere below its `out`, analyses included. To be
 * called under the directory's lock; what cannot be removed stays. */
void deco_outdir_sweep(const char *outdir);

#endif
