/* The blocks of ops.h made of its primitives: for a backend without a kernel of its own, for the shapes that a fused kernel does
 * not serve, and as the fused kernels' test. */
#ifndef DECO_COMPUTE_COMPOSED_H
#define DECO_COMPUTE_COMPOSED_H

#include "compute/ops.h"

deco_status composed_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                        deco_array freqs, deco_array x, deco_array R, deco_array z);
deco_status composed_hypervolume_backward(deco_device *dev, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                          deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x,
                                          deco_array R, deco_array z);
size_t composed_hypervolume_saved_bytes(deco_device *dev, const deco_hypervolume *h, int64_t B, int64_t P);
deco_status composed_hypervolume_bank(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                      deco_array k, deco_array R, deco_array z);
deco_status composed_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz,
                                deco_array dR, deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R,
                                deco_array z, deco_array ctf, deco_array target);
deco_status composed_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params);
deco_status composed_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy,
                                            deco_array saved, deco_array x, deco_array params);
deco_status composed_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params);
deco_status composed_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params);
deco_status composed_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved, deco_array x,
                                      deco_array stats, deco_array params);

#endif
