/* Rotations of the pose table: rows of six numbers to matrices, and back for their gradients. */
#include "compute/cpu/cpu.h"
#include "formulas/rotation.h"

enum { ROTATIONS = 512 };

typedef struct sixes {
    float *out;
    const float *six, *dR;
} sixes;

static deco_status to_matrices(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const sixes *r = context;
    for (int64_t b = begin; b < end; b++) {
        double six[6], R[9];
        for (int i = 0; i < 6; i++)
            six[i] = r->six[6 * b + i];
        deco_rotation_from_six(R, six);
        for (int i = 0; i < 9; i++)
            r->out[9 * b + i] = (float)R[i];
    }
    return DECO_OK;
}

deco_status cpu_six_rotations(deco_device *dev, deco_array R, deco_array six)
{
    sixes r = {.out = R.data, .six = six.data};
    return cpu_for(dev, six.shape[0], ROTATIONS, to_matrices, &r);
}

static deco_status to_gradients(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const sixes *r = context;
    for (int64_t b = begin; b < end; b++) {
        double six[6], dR[9], dsix[6];
        for (int i = 0; i < 6; i++)
            six[i] = r->six[6 * b + i];
        for (int i = 0; i < 9; i++)
            dR[i] = r->dR[9 * b + i];
        deco_rotation_from_six_backward(dsix, dR, six);
        for (int i = 0; i < 6; i++)
            r->out[6 * b + i] = (float)dsix[i];
    }
    return DECO_OK;
}

deco_status cpu_six_rotations_backward(deco_device *dev, deco_array dsix, deco_array dR, deco_array six)
{
    sixes r = {.out = dsix.data, .six = six.data, .dR = dR.data};
    return cpu_for(dev, six.shape[0], ROTATIONS, to_gradients, &r);
}
