/* One image made ready on the thread at hand: window and Hartley transform. METHOD.md 1.1 and 1.3. The survey and the loader both use
 * this, so that they agree bit for bit. */
#ifndef DECO_PARTICLES_PREPARE_H
#define DECO_PARTICLES_PREPARE_H

#include "particles/hartley.h"

/* What all threads share, read-only: window and plan for one box. */
typedef struct prepare prepare;

deco_status prepare_create(prepare **out, int64_t D); /* D even */
void prepare_free(prepare *q);

/* The image in `work` [D,D], a workspace of hartley.h, is windowed and becomes its centred Hartley transform. */
void prepare_image(const prepare *q, float *work);

#endif
