/* metrics.jsonl read back: of a run that goes on from an earlier place, and what its last epoch was like. */
#ifndef DECO_JOB_METRICS_H
#define DECO_JOB_METRICS_H

#include "base/status.h"

/* Takes out of outdir/metrics.jsonl every line about an epoch after `epoch`, and half a line at its end: those epochs are trained again, and
 * each stands there once. Does nothing where there is no such file. Not while a monitor is attached to it. Fails: FILE, MEMORY. */
deco_status deco_metrics_forget_after(const char *outdir, int64_t epoch);

/* How far the latents moved in `epoch`, as its line says (a median); NAN where it does not, or there is no such file. Fails: FILE, MEMORY. */
deco_status deco_metrics_latents_moved(double *out, const char *outdir, int64_t epoch);

#endif
