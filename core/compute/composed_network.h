/* The hypervolume's network on one run of points of one image, made of primitives: what composed_hypervolume.c cuts its work into.
 * METHOD.md section 3, without the split of the first layer: the latent stands behind every point's features. */
#ifndef DECO_COMPUTE_COMPOSED_NETWORK_H
#define DECO_COMPUTE_COMPOSED_NETWORK_H

#include "compute/ops.h"

/* What a forward pass leaves for its backward, as places in one block; in floats, each on a 64-byte line. */
typedef struct network_layout {
    int64_t points;
    size_t x, features;
    size_t inner, outer, sum; /* residual first: its two stages, and the sum that goes on */
    size_t stages, stage;     /* of stage 0, and from one to the next */
    size_t total;
} network_layout;

network_layout network_plan(const deco_hypervolume *h, int64_t points);

/* Scratch of one forward or backward pass over `points`, in floats. */
size_t network_work(const deco_hypervolume *h, int64_t points);

typedef struct network {
    deco_device *dev;
    const deco_hypervolume *h;
    deco_array params, freqs;
    deco_array dparams; /* gradient of this run alone, or none */
    float *kept;        /* [layout.total] */
    float *work;        /* [network_work] */
    network_layout at;
} network;

/* Points: k [points,2] at R [1,3,3], or x [1,points,3] itself with R none. z [1,Z] or none. */
typedef struct network_input {
    deco_array x, R, z;
} network_input;

/* out [points] */
deco_status network_forward(const network *net, float *out, const network_input *in);
/* dz [1,Z] and dpose (dR [1,3,3] with R, dx [1,points,3] without), each or none. */
deco_status network_backward(const network *net, deco_array dz, deco_array dpose, const float *dout, const network_input *in);

#endif
