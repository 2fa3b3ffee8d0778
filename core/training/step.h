/* One gradient step. step.c reads like METHOD.md section 5. */
#ifndef DECO_TRAINING_STEP_H
#define DECO_TRAINING_STEP_H

#include "geometry/lattice.h"
#include "training/encoded.h"

typedef struct deco_step deco_step;

/* Device memory for batches of up to `batch` images inside `mask`, of each of the model's workers; a step itself allocates nothing. */
deco_status deco_step_create(deco_step **out, deco_model *m, const deco_mask *mask, int64_t batch);
void deco_step_free(deco_step *s);
void deco_step_take_encoder(deco_step *s, deco_encoded *e);                  /* owned from here: latents then come from it */
size_t deco_step_bytes(const deco_hypervolume *h, int64_t P, int64_t batch); /* its memory, for the forecast */

/* Host inputs of one batch, read before the call returns. */
typedef struct deco_step_input {
    int64_t B;
    const int64_t *row;                                 /* [B] rows of the tables; not read when z, R and shift are given */
    const float *images;                                /* [B,P] normalised Hartley values */
    const deco_ctf_row *ctf;                            /* [B]; not read when ctf_values are given */
    const float *ctf_values;                            /* [B,P], or NULL: worked out from ctf */
    const float *R, *shift;                             /* [B,9], [B,2] pixels, not trained; NULL, both: rows of the tables */
    const float *z;                                     /* [B,Z] latents of pretraining, not trained; NULL: rows of the table */
    const uint8_t *pixels;                              /* [B,DECO_ENCODER_PIXELS] with an encoder, and not without one */
    bool encoder_frozen;                                /* it only runs, in evaluation mode: pretraining */
    bool decoder_frozen;                                /* it stays as it is: images held out of its training */
    bool latents_frozen, train_rotations, train_shifts; /* of the tables' rows; poses are trained in a model that holds moments for them */
    double lr_decoder, lr_latents, lr_poses, decay;     /* decay: AdamW's, of the decoder */
    double lr_encoder;
    int64_t mean_steps; /* length of the decoder's running mean; 0: the last weights alone */
    /* With workers (m->comm), which make the step together: the rows of the whole batch, of which worker g has bounds[g] to bounds[g + 1],
     * [workers + 1]; B of them this one, and it may be 0. Learning rates are those of the whole. */
    const int64_t *all_rows, *bounds;
} deco_step_input;

/* Forward, backward and the optimisers. Gradients stay readable until the next step (deco_step_gradients: tests).
 * Fails: ARGUMENT; DIVERGED (noticed some steps late: nothing waits for the loss). */
deco_status deco_step_run(deco_step *s, const deco_step_input *in);

/* The encoder's view of images, in evaluation mode, into their rows of the table of latents. At most as many as a batch. */
deco_status deco_step_encode(deco_step *s, const int64_t *row, const uint8_t *pixels, int64_t B);

/* Sum over the images of all steps so far, of all workers, of their losses, and how many they are; waits for the steps. Fails: DIVERGED when a loss is not
 * finite, or when those since the last look are on average over 100 times what an empty map would have: a decoder that predicts nothing
 * has the images' own power for its loss, so no training that works comes anywhere near. */
deco_status deco_step_losses(deco_step *s, double *sum, int64_t *images);

/* Both go on from here: 0, 0 for a new epoch. */
void deco_step_losses_from(deco_step *s, double sum, int64_t images);

/* Mean loss an image, and both begin anew. */
deco_status deco_step_loss(deco_step *s, double *mean, int64_t *images);

typedef struct deco_step_gradients {
    deco_array decoder;    /* [parameters] */
    deco_array latents;    /* [B,Z] */
    deco_array encoder;    /* [trained parameters], when it was trained */
    deco_array R, shift;   /* [B,3,3], [B,2], when wanted or trained */
    deco_array six;        /* [B,6], of the table's form of a rotation, when trained */
    deco_array dpredicted; /* [B,P], with those: 2 (CTF·slice - shifted) / (B·P) */
    deco_array shifted;    /* [B,P] */
} deco_step_gradients;
/* On the device, of the last step. Pose gradients cost time, so they are worked out only when asked for before the step. */
deco_step_gradients deco_step_gradients_of(deco_step *s);
void deco_step_want_pose_gradients(deco_step *s, bool want);

#endif
