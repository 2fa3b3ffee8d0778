/* One image made ready on the thread at hand: brought to the field of view of all, windowed, transformed, its transform cropped. METHOD.md
 * 1.1 to 1.3. The survey and the loader both use this, so that they agree bit for bit. */
#ifndef DECO_PARTICLES_PREPARE_H
#define DECO_PARTICLES_PREPARE_H

#include "particles/encoder_image.h"
#include "particles/hartley.h"
#include "particles/particles.h"

/* What all threads share, read-only: windows and plans for the sizes of a set. */
typedef struct prepare prepare;

/* Reads sizes and D of `p`, and keeps nothing of it. */
deco_status prepare_create(prepare **out, const deco_particles *p, bool encoder);
void prepare_free(prepare *q);

/* The largest of all boxes, cut or not: a workspace of hartley.h for it serves every image. */
int64_t prepare_largest_box(const prepare *q);

/* The workspace that pixels need beside it; NULL without an encoder. Free with free(). */
deco_status prepare_encoder_workspace(void **out, const prepare *q);
size_t prepare_encoder_bytes(int64_t box); /* of it, at most, for a largest box */

/* The image of size number `size` in `work` [box,box] becomes its windowed, centred Hartley transform [D,D]. pixels
 * [DECO_ENCODER_PIXELS]: the encoder's view of it, with its workspace; NULL: not wanted. */
void prepare_image(const prepare *q, int64_t size, float *work, uint8_t *pixels, void *encoder_work);

#endif
