/* What a run keeps of its particles beside the weights: arrays whose rows are the particles in use, in their order. docs/formats.md. */
#ifndef DECO_JOB_RECORD_H
#define DECO_JOB_RECORD_H

#include "model/model.h"
#include "particles/particles.h"

/* The paths of one epoch's files in OUTDIR/out; freed with deco_record_paths_free. */
typedef struct deco_record_paths {
    char *weights, *latents, *pose, *rotation, *shift, *map, *uid, *ind;
} deco_record_paths;
deco_status deco_record_paths_of(deco_record_paths *p, const char *outdir, int64_t epoch);
void deco_record_paths_free(deco_record_paths *p);

/* out/uid.npy, once at the start; of a run on some rows also out/ind.npy, so that an analysis does not need the user's file. */
deco_status deco_record_uids(const char *outdir, const deco_particles *p);

/* out/reconstruct.<epoch>.mrc, and the same in `map` [D,D,D]: the map at the mean of `latents` [N,Z], the consensus a user looks at first. */
deco_status deco_record_map(float *map, const char *outdir, deco_model *m, int64_t epoch, const float *latents);

/* weights, conf, pose, rotation, shift and reconstruct of the epoch that *at stands at. */
deco_status deco_record_epoch(const char *outdir, deco_model *m, const deco_position *at);

#endif
