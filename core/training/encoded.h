/* Latents of a batch from the model's encoder, and the gradient back into it. METHOD.md section 5. */
#ifndef DECO_TRAINING_ENCODED_H
#define DECO_TRAINING_ENCODED_H

#include "model/model.h"

typedef struct deco_encoded deco_encoded;

/* Passes over up to `batch` images; without `training` only in evaluation mode. */
deco_status deco_encoded_create(deco_encoded **out, deco_model *m, int64_t batch, bool training, bool checkpointing);
void deco_encoded_free(deco_encoded *e); /* takes NULL */
size_t deco_encoded_bytes(const deco_vit *v, int64_t first, int64_t batch, bool training,
                          bool checkpointing); /* its memory, for the forecast */

/* z [B,Z] on the device from pixels [B,DECO_ENCODER_PIXELS] on the host. */
deco_status deco_encoded_run(deco_encoded *e, float *z, const uint8_t *pixels, int64_t B, deco_encoder_mode mode);

/* After a run in training mode: the gradient of Σ dz·z, and a step of AdamW (no weight decay) at that rate. */
deco_status deco_encoded_train(deco_encoded *e, const float *dz, double lr);

/* The gradient of the last step, [count - first] on the device. */
deco_array deco_encoded_gradient(deco_encoded *e);

#endif
