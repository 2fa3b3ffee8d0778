/* The life of a job: check, prepare the output directory, train, analyse, say where things are. */
#ifndef DECO_JOB_JOB_H
#define DECO_JOB_JOB_H

#include "base/monitor.h"
#include "config/options.h"

/* `cryodeco run`. *wrote becomes true once something was written (exit code 1 instead of 2 from there on). */
deco_status deco_job_run(const deco_options *o, deco_monitor *m, bool *wrote, char **summary);

/* `cryodeco analyze OUTDIR`, and run with skip_train. */
deco_status deco_job_analyze(const deco_options *o, deco_monitor *m, bool *wrote, char **summary);

#endif
