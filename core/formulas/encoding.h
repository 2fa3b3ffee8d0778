/* Positional encoding of a point. METHOD.md section 3. */
#ifndef DECO_FORMULAS_ENCODING_H
#define DECO_FORMULAS_ENCODING_H

#include "formulas/host_device.h"

/* k_j = (L // 2) Σ_i x_i f_ji; the features are sin k_j and cos k_j. */
DECO_HD float deco_encoding_phase(const float x[3], const float f[3], float half_L)
{
    return (x[0] * f[0] + x[1] * f[1] + x[2] * f[2]) * half_L;
}

#endif
