/* The decoder's blocks on the CPU (compute/ops.h): fused, worked on tile by tile; the composed ones for the shapes these do not serve. */
#ifndef DECO_COMPUTE_CPU_HYPERVOLUME_H
#define DECO_COMPUTE_CPU_HYPERVOLUME_H

#include "compute/ops.h"

deco_status cpu_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                   deco_array freqs, deco_array x, deco_array R, deco_array z);
deco_status cpu_hypervolume_backward(deco_device *dev, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                     deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x, deco_array R,
                                     deco_array z);
size_t cpu_hypervolume_saved_bytes(deco_device *dev, const deco_hypervolume *h, int64_t B, int64_t P);
deco_status cpu_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                           deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z, deco_array ctf,
                           deco_array target);

#endif
