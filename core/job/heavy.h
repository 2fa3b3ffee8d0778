/* What a user looks at while a run works: a map, and pictures of it, of the latents and of the views, after every log_heavy_interval epochs. */
#ifndef DECO_JOB_HEAVY_H
#define DECO_JOB_HEAVY_H

#include "base/monitor.h"
#include "config/options.h"
#include "model/model.h"

/* Epochs whose maps are made and kept: every log_heavy_interval-th, the last of each phase, and the last of all. `skipped`: epochs that hps_stop
 * has left out so far. */
bool deco_heavy_due(const deco_options *o, int64_t N, int64_t D, int64_t epoch, int64_t skipped);
int64_t deco_heavy_count(const deco_options *o, int64_t N, int64_t D); /* of a whole run */

/* The last map, for comparison. */
typedef struct deco_heavy {
    float *map, *before; /* [D,D,D] scratch; the last one's Hartley transform */
    bool compared;       /* `before` holds one */
} deco_heavy;
void deco_heavy_free(deco_heavy *h);

/* OUTDIR/out/reconstruct.<epoch>.mrc, OUTDIR/out/progress/{map,latents,views}.<epoch>.png, and a line "map" in metrics.jsonl: functions
 * of the model alone; and progress/loss.<epoch>.png, from metrics.jsonl. */
deco_status deco_heavy_write(deco_heavy *h, const char *outdir, deco_model *m, int64_t epoch, deco_monitor *mon);

#endif
