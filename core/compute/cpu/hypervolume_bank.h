/* Slices of several latents at one set of rotations, fused (compute/ops.h). */
#ifndef DECO_COMPUTE_CPU_HYPERVOLUME_BANK_H
#define DECO_COMPUTE_CPU_HYPERVOLUME_BANK_H

#include "compute/ops.h"

deco_status cpu_hypervolume_bank(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                 deco_array k, deco_array R, deco_array z);

#endif
