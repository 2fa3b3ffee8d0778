/* Slices of several latents at one set of rotations: the points once, then the decoder latent by latent. */
#include "compute/composed.h"
#include "compute/table.h"

deco_status composed_hypervolume_bank(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                      deco_array k, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    int64_t B = out.shape[0], n = out.shape[1], P = out.shape[2], points = n * P;
    float *x = NULL;

    TRY(deco_scratch_take(dev, &x, (size_t)(3 * points) * sizeof *x, "points of slices"));
    TRY(deco_slice_points(dev, deco_f32_3(x, n, P, 3), k, R));
    for (int64_t b = 0; b < B; b++) {
        deco_array row = h->Z ? deco_f32_2((float *)z.data + b * h->Z, 1, h->Z) : deco_none();
        TRY(deco_hypervolume_values(dev, h, deco_f32_2((float *)out.data + b * points, 1, points), deco_none(), params, freqs,
                                    deco_f32_3(x, 1, points, 3), deco_none(), row));
    }
out:
    deco_scratch_give(dev, x);
    return st;
}
