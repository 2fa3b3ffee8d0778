/* The encoder on its device: Cryo-IEF's vision transformer with a head of our own. METHOD.md section 4.
 *
 * Its parameters are one flat vector (compute/vit.h); from `first` on they are trained and have moments. */
#ifndef DECO_MODEL_ENCODER_H
#define DECO_MODEL_ENCODER_H

#include "compute/comm.h"
#include "compute/ops.h"
#include "geometry/encoder_circle.h"

enum { DECO_ENCODER_PATCH = 14 };

typedef struct deco_encoder {
    deco_device *dev;
    deco_vit shape;
    int64_t count, first; /* parameters; of these, those from `first` on are trained */
    float *x;             /* [count] */
    float *m, *v;         /* [count - first] Adam's moments; NULL when nothing will be trained */
    float *running;       /* [depth,2,C] mean and variance of each block's BatchNorm */
    int64_t batches;      /* that have gone into them (num_batches_tracked), and Adam's steps */
    int64_t steps;
    deco_comm *comm; /* workers whose batches are one: BatchNorm takes the statistics of all. NULL: this process alone */
    bool blank;      /* this worker's images stand for none, and count nothing in them */
} deco_encoder;

/* Memory of this shape, all zero; `moments`: it will be trained from `first` on. Fails: ARGUMENT, MEMORY. */
deco_status deco_encoder_allocate(deco_encoder **out, deco_device *dev, const deco_vit *shape, int64_t first, bool moments);
void deco_encoder_free(deco_encoder *e); /* takes NULL */

/* Fresh numbers for all tensors, or for the head alone (its weights come from a file); a function of the seed. Running means 0, variances 1. */
deco_status deco_encoder_draw(deco_encoder *e, uint64_t seed, bool head_only);

/* Where training starts in the vector: finetune_strategy all and random_initial, the last `blocks` blocks and the head, the head alone. */
int64_t deco_encoder_first(const deco_vit *v, const char *strategy, int64_t blocks);

/* Weights as Cryo-IEF has them (encoder_weights.c). */
typedef struct deco_encoder_weights deco_encoder_weights;

/* `path`: a safetensors file or a directory with model.safetensors. Everything but the head is there afterwards, checked: names, shapes and
 * finite numbers. `heads` 0: by the width. The shape's side, patch, width, depth and heads are the file's; Z stays 0.
 * Fails: FILE, FORMAT (what the file is instead, or every tensor that is missing, misshapen or too many), ARGUMENT (heads), MEMORY. */
deco_status deco_encoder_weights_open(deco_encoder_weights **out, deco_vit *shape, const char *path, int64_t heads);
void deco_encoder_weights_free(deco_encoder_weights *w); /* takes NULL */
/* Into an encoder of that shape: all but its head. */
deco_status deco_encoder_weights_load(deco_encoder *e, const deco_encoder_weights *w);

/* Heads of a width that Cryo-IEF has, or 0. */
int64_t deco_encoder_heads(int64_t width);
/* "vit_tiny" ... "vit_large": width, depth and heads. False for another name. */
bool deco_encoder_named(deco_vit *shape, const char *name);

/* ---- a pass --------------------------------------------------------------------------------------------------------- */

typedef enum deco_encoder_mode {
    DECO_ENCODER_EVAL,  /* running statistics; nothing is kept */
    DECO_ENCODER_TRAIN, /* the batch's statistics, which go into the running ones; what backward needs is kept */
} deco_encoder_mode;

/* Memory of passes over up to `batch` images; without `training` they can only be EVAL. `checkpointing`: backward works the blocks out
 * again, to the same bits, in the memory of one. */
typedef struct deco_encoder_pass deco_encoder_pass;
deco_status deco_encoder_pass_create(deco_encoder_pass **out, deco_encoder *e, int64_t batch, bool training, bool checkpointing);
void deco_encoder_pass_free(deco_encoder_pass *p); /* takes NULL */
size_t deco_encoder_pass_bytes(const deco_vit *v, int64_t first, int64_t batch, bool training,
                               bool checkpointing); /* its memory on the device */

/* z [B,Z] on the device from pixels [B,side,side] on the host. */
deco_status deco_encoder_forward(deco_encoder_pass *p, float *z, const unsigned char *pixels, int64_t B, deco_encoder_mode mode);
/* Gradient [count - first] on the device of Σ dz·z for the last TRAIN pass, once. Frozen parts are not differentiated. */
deco_status deco_encoder_backward(deco_encoder_pass *p, float *gradient, const float *dz);

#endif
