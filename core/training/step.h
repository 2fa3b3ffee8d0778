/* One gradient step. step.c reads like METHOD.md section 5. */
#ifndef DECO_TRAINING_STEP_H
#define DECO_TRAINING_STEP_H

#include "geometry/lattice.h"
#include "model/model.h"

typedef struct deco_step deco_step;

/* Device memory for batches of up to `batch` images inside `mask`. */
deco_status deco_step_create(deco_step **out, deco_model *m, const deco_mask *mask, int64_t batch);
void deco_step_free(deco_step *s);

/* Host inputs of one batch. */
typedef struct deco_step_input {
    int64_t B;
    const int64_t *row;      /* [B] rows of the latent table */
    const float *images;     /* [B,P] normalised Hartley values */
    const deco_ctf_row *ctf; /* [B] */
    const float *R, *shift;  /* [B,9], [B,2] pixels */
    double lr_decoder, lr_latents, decay; /* decay: AdamW's, of the decoder */
} deco_step_input;

/* Forward, backward and the optimisers. Gradients stay readable until the next step (deco_step_gradients: tests). */
deco_status deco_step_run(deco_step *s, const deco_step_input *in);

/* Mean loss of the steps since the last call; waits for them. Fails: DIVERGED when it is not finite. */
deco_status deco_step_loss(deco_step *s, double *mean, int64_t *images);

typedef struct deco_step_gradients {
    deco_array decoder, latents, R, shift, predicted, shifted; /* on the device */
} deco_step_gradients;
/* Pose gradients cost time, so they are worked out only when asked for before the step. */
deco_step_gradients deco_step_gradients_of(deco_step *s);
void deco_step_want_pose_gradients(deco_step *s, bool want);

#endif
