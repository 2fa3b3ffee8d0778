/* The program's blocks made of operations, by names of our own: kernels' files call them for what they do not serve. */
#include "device.h"

deco_status cuda_composed_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                 deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    return cuda_host->composed->hypervolume_values(dev, h, out, saved, params, freqs, x, R, z);
}

deco_status cuda_composed_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz,
                                     deco_array dR, deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R,
                                     deco_array z, deco_array ctf, deco_array target)
{
    return cuda_host->composed->slice_loss(dev, h, loss, dparams, dz, dR, dpred, params, freqs, k, R, z, ctf, target);
}

deco_status cuda_composed_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params)
{
    return cuda_host->composed->vit_attention(dev, heads, y, saved, x, params);
}

deco_status cuda_composed_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy,
                                                 deco_array saved, deco_array x, deco_array params)
{
    return cuda_host->composed->vit_attention_backward(dev, heads, dx, dparams, dy, saved, x, params);
}

deco_status cuda_composed_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params)
{
    return cuda_host->composed->vit_mlp(dev, y, saved, x, stats, params);
}

deco_status cuda_composed_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                           deco_array x, deco_array stats, deco_array params)
{
    return cuda_host->composed->vit_mlp_backward(dev, dx, dparams, dy, saved, x, stats, params);
}
