/* The encoder's view of one particle: the raw image, without window or sign, on 224×224 pixels in 256 steps. METHOD.md section 4. */
#ifndef DECO_PARTICLES_ENCODER_IMAGE_H
#define DECO_PARTICLES_ENCODER_IMAGE_H

#include "base/status.h"
#include "geometry/encoder_circle.h"

/* What all threads share, read-only: splines or plans for one box. */
typedef struct encoder_image encoder_image;

deco_status encoder_image_create(encoder_image **out, int64_t D); /* box of the images, even */
void encoder_image_free(encoder_image *e);

/* Bytes of the workspace of one call, from encoder_image_workspace; free with free(). */
size_t encoder_image_workspace_bytes(int64_t D);
deco_status encoder_image_workspace(void **out, int64_t D);

/* pixels: those inside the circle, in the order of deco_encoder_circle; least of the whole image to 0, largest to 255, truncated. A
 * constant image gives 0. image [D,D], finite, is left as it is. The same bits on any thread. */
void encoder_image_make(uint8_t pixels[DECO_ENCODER_PIXELS], const encoder_image *e, const float *image, void *work);

#endif
