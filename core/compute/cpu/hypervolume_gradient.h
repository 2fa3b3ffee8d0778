/* Gradients of the fused decoder over all tiles of a call. */
#ifndef DECO_COMPUTE_CPU_HYPERVOLUME_GRADIENT_H
#define DECO_COMPUTE_CPU_HYPERVOLUME_GRADIENT_H

#include "compute/ops.h"

/* What is wanted (each or NULL), and where the gradient of the values comes from: given, or that of the mean squared error. */
typedef struct cpu_gradient {
    float *dparams, *dz;
    float *dpose;              /* [B,3,3] with R, else [B,P,3] */
    const float *dout;         /* [B,P], or NULL and then: */
    const float *ctf, *target; /* [B,P] */
    float *dpred;              /* [B,P] or NULL */
    double *loss;
} cpu_gradient;

deco_status cpu_hypervolume_gradient(deco_device *dev, const deco_hypervolume *h, const cpu_gradient *g, int64_t B, int64_t P,
                                     deco_array params, deco_array freqs, deco_array x, deco_array R, deco_array z);

#endif
