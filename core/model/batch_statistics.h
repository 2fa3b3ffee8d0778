/* BatchNorm over the batches of all workers together (e->comm); alone it is as it always is. METHOD.md section 4. */
#ifndef DECO_MODEL_BATCH_STATISTICS_H
#define DECO_MODEL_BATCH_STATISTICS_H

#include "model/encoder.h"

/* As deco_batch_statistics: stats [2,C], running [2,C], x [rows,C]. */
deco_status deco_batch_statistics_of_all(deco_encoder *e, deco_array stats, deco_array running, deco_array x, float eps, float momentum);

/* Puts right the gradient dx [rows,C] that a backward with this worker's statistics alone gave: x its input, stats those of all, γ [C] and the
 * gradients of γ and β [C] that the same backward gave, still of this worker alone. All on the device. */
deco_status deco_batch_gradient_of_all(deco_encoder *e, deco_array dx, deco_array x, deco_array stats, const float *gamma,
                                       const float *dgamma, const float *dbeta);

#endif
