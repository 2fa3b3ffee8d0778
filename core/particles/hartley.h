/* The centred Hartley transform of one image on the thread at hand. METHOD.md 1.3. */
#ifndef DECO_PARTICLES_HARTLEY_H
#define DECO_PARTICLES_HARTLEY_H

#include "base/status.h"

/* What all threads share, read-only: the plan for one box. */
typedef struct hartley_plan hartley_plan;

deco_status hartley_create(hartley_plan **out, int64_t D); /* D even */
void hartley_free(hartley_plan *h);

/* Floats of the workspace of one call; 64-byte aligned memory from hartley_workspace. The first D*D of it hold the image. */
size_t hartley_workspace_floats(int64_t D);
deco_status hartley_workspace(float **out, int64_t D); /* free with free() */

/* The image in `work` [D,D] becomes the middle [middle,middle] of its transform (middle even, at most D). Unscaled: twice, whole, gives the
 * image times D². */
void hartley_transform(const hartley_plan *h, float *work, int64_t middle);

#endif
