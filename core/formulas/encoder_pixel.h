/* What the encoder makes of a byte of its image. METHOD.md section 4. */
#ifndef DECO_FORMULAS_ENCODER_PIXEL_H
#define DECO_FORMULAS_ENCODER_PIXEL_H

#include "formulas/host_device.h"

#include <stdint.h>

/* Outside the circle of geometry/encoder_circle.h the byte is 0. */
DECO_HD float deco_encoder_pixel(uint8_t byte) { return ((float)byte / 255 - 0.549995056189533f) / 0.11784453744259035f; }

#endif
