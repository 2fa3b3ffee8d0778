/* `cryodeco bench`: all cases that there are. */
#ifndef DECO_JOB_BENCH_H
#define DECO_JOB_BENCH_H

#include "base/monitor.h"

/* Runs `cases` (all when not given), each for about `seconds`, on `device` with `threads`; the best rate of each case counts. *out:
 * with `json` one object a line, {"case", "value", "unit", "threads", "device", "shape"}, else a line of text each. Free with free().
 * Fails: ARGUMENT (no such case: those there are), STOPPED, MEMORY. */
deco_status deco_bench_run(char **out, const deco_options *o, deco_monitor *m);

#endif
