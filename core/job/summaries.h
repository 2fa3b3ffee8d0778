/* OUTDIR/out/summaries: what metrics.jsonl and out/progress/ say, as event files for TensorBoard. */
#ifndef DECO_JOB_SUMMARIES_H
#define DECO_JOB_SUMMARIES_H

#include "formats/tensorboard.h"
#include "job/progress_data.h"
#include "model/model.h"

/* Zeroed to begin with. */
typedef struct deco_summaries {
    deco_events *events;
    progress_data data;
} deco_summaries;

/* The numbers of an epoch that is done; with `heavy` the pictures that it left, and histograms of latents and shifts. The first call makes the file. Fails: FILE,
 * MEMORY, DEVICE. */
deco_status deco_summaries_epoch(deco_summaries *s, const char *outdir, int64_t epoch, bool heavy, deco_model *m);
void deco_summaries_free(deco_summaries *s);

#endif
