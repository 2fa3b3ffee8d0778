/* `cryodeco score`: the maps of a run's clusters against those of the truth. */
#ifndef DECO_JOB_SCORE_VOLUMES_H
#define DECO_JOB_SCORE_VOLUMES_H

#include "base/status.h"
#include <cjson/cJSON.h>

typedef struct deco_volumes_input {
    const char *truth;      /* directory of the maps that `maps` names */
    const cJSON *maps;      /* of truth.json: each `file`, and of a continuous set `t` */
    const char *clustering; /* directory of vol_000.mrc … */
    int64_t N;
    const int32_t *found;     /* [N] clusters */
    const int32_t *label;     /* [N] true classes: numbers of maps; NULL: a continuous set */
    const double *coordinate; /* [N] of a continuous set */
    const double *Q;          /* [9] the frame of the poses (deco_rotation_score) */
} deco_volumes_input;

/* Adds `volumes` and `per_image` to a report. Fails: FILE, FORMAT, MEMORY. */
deco_status deco_volumes_score(cJSON *report, const deco_volumes_input *in);

#endif
