/* LayerNorm over one row, mean and 1/σ given. METHOD.md section 3. */
#ifndef DECO_FORMULAS_LAYER_NORM_H
#define DECO_FORMULAS_LAYER_NORM_H

#include "formulas/host_device.h"

DECO_HD float deco_layer_norm_value(float x, float mean, float rstd, float gamma, float beta) { return (x - mean) * rstd * gamma + beta; }

/* dx of one channel: `a` is the row's mean of dy·gamma, `b` that of dy·gamma·xhat, with xhat = (x - mean)·rstd. */
DECO_HD float deco_layer_norm_gradient(float dy_gamma, float xhat, float rstd, float a, float b)
{
    return rstd * (dy_gamma - a - xhat * b);
}

#endif
