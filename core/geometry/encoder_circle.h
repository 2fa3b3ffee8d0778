/* The pixels that the encoder sees: those of a 224×224 image at most 94 pixels from its middle, (111.5, 111.5). METHOD.md section 4. */
#ifndef DECO_GEOMETRY_ENCODER_CIRCLE_H
#define DECO_GEOMETRY_ENCODER_CIRCLE_H

#include <stdint.h>

enum { DECO_ENCODER_SIDE = 224, DECO_ENCODER_RADIUS = 94, DECO_ENCODER_PIXELS = 27768 };

/* y * 224 + x of each, in rising order. */
void deco_encoder_circle(int32_t index[DECO_ENCODER_PIXELS]);

#endif
