/* The checkpoints of a run, told by their names in OUTDIR/out. weights.<epoch>.safetensors stands behind the last epoch of a phase, with the
 * arrays of that epoch beside it (record.h); checkpoint.<epoch>.<batch>.safetensors inside an epoch, behind so many of its batches. Either
 * is enough to go on from. docs/formats.md. */
#ifndef DECO_MODEL_CHECKPOINTS_H
#define DECO_MODEL_CHECKPOINTS_H

#include "base/monitor.h"
#include "model/model.h"

typedef struct deco_checkpoint {
    int64_t epoch, step; /* as in deco_position: the last finished epoch, batches of the next */
    bool phase_end;      /* a weights file */
    char *path;
} deco_checkpoint;

/* Newest first. Free with deco_checkpoints_free. Fails: FILE (the folder cannot be read; that there is none is no failure), MEMORY. */
deco_status deco_checkpoints_list(deco_checkpoint **list, int64_t *count, const char *outdir);
void deco_checkpoints_free(deco_checkpoint *list, int64_t count);

/* Where a checkpoint of this position belongs, allocated; NULL without memory. */
char *deco_checkpoint_place(const char *outdir, const deco_position *at);

/* Removes all but the last two and those of phase ends. */
void deco_checkpoints_thin(const char *outdir);

/* The newest whole one, for training, of those older than `before` (NULL: of all); *out is NULL when there is none. Newer damaged ones are
 * told and passed over. Fails: FILE, MEMORY, DEVICE; FORMAT (there are some, and all are damaged). */
deco_status deco_checkpoints_read_newest(deco_model **out, deco_position *at, deco_device *dev, const char *outdir,
                                         const deco_position *before, deco_monitor *m);

/* What a file or folder of OUTDIR/out belongs to, as a position: the end of an epoch (conf.<epoch>.npy, analysis_<epoch> ...) or a state
 * inside one (analysis_<epoch>.<batch>). False: to neither. */
bool deco_checkpoint_position_of_name(int64_t *epoch, int64_t *step, const char *name);

#endif
