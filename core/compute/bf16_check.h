/* How far this device's products in bf16 are from its own in float32: for `cryodeco selftest`. */
#ifndef DECO_COMPUTE_BF16_CHECK_H
#define DECO_COMPUTE_BF16_CHECK_H

#include "compute/device.h"

/* Largest difference over the largest value, of a small decoder's values and of half a block of a small encoder; sound ones are 0.001 to 0.01.
 * Both 0 where the device has no bf16. Fails: MEMORY, DEVICE. */
deco_status deco_bf16_check(double *decoder, double *encoder, deco_device *dev);

#endif
