/* What a run has said so far, read back from its own metrics.jsonl and run.log: so that a resumed run shows all of its past. */
#ifndef DECO_JOB_PROGRESS_DATA_H
#define DECO_JOB_PROGRESS_DATA_H

#include "base/status.h"

/* Numbers that an epoch does not have are NAN. */
typedef struct progress_epoch {
    int64_t epoch;
    char kind[24];
    double loss, radius, images_per_s, seconds;
    double moved_deg, moved_px, moved_latents;
    double lr_decoder, lr_latents, lr_poses;
} progress_epoch;

typedef struct progress_map {
    int64_t epoch;
    double agreement_A; /* with the map before it; NAN for the first */
} progress_map;

enum { PROGRESS_WARNINGS = 40 };

typedef struct progress_data {
    progress_epoch *epoch;
    progress_map *map;
    int64_t epochs, maps;
    char *warning[PROGRESS_WARNINGS]; /* the last ones, oldest first */
    int shown;
    int64_t warnings;                /* in all */
    uint64_t metrics_read, log_read; /* bytes of whole lines */
} progress_data;

/* Takes in the lines that have come since the last call. Of an epoch that was done again after a resume the last counts. Lines that make no
 * sense are passed over. Fails: FILE, MEMORY. */
deco_status progress_data_read(progress_data *d, const char *outdir);
void progress_data_free(progress_data *d);

#endif
