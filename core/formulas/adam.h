/* One element of Adam and AdamW, in the order of PyTorch's. METHOD.md section 5. */
#ifndef DECO_FORMULAS_ADAM_H
#define DECO_FORMULAS_ADAM_H

#include "formulas/host_device.h"
#include <math.h>

/* What is the same for all elements of a step; bias corrections are taken in double. */
typedef struct deco_adam_factors {
    float keep; /* 1 - lr·decay */
    float new1; /* 1 - β1 */
    float beta2, new2;
    float step_size;  /* lr / (1 - β1ᵗ) */
    float correction; /* 1 / sqrt(1 - β2ᵗ) */
    float eps;
} deco_adam_factors;

DECO_HD deco_adam_factors deco_adam_prepare(double lr, double beta1, double beta2, double eps, double decay, double step)
{
    deco_adam_factors f;
    f.keep = (float)(1 - lr * decay);
    f.new1 = (float)(1 - beta1);
    f.beta2 = (float)beta2;
    f.new2 = (float)(1 - beta2);
    f.step_size = (float)(lr / (1 - pow(beta1, step)));
    f.correction = (float)(1 / sqrt(1 - pow(beta2, step)));
    f.eps = (float)eps;
    return f;
}

DECO_HD void deco_adam_update(float *x, float *m, float *v, float g, deco_adam_factors f)
{
    *m += f.new1 * (g - *m);
    *v = f.beta2 * *v + f.new2 * g * g;
    *x = f.keep * *x - f.step_size * (*m / (sqrtf(*v) * f.correction + f.eps));
}

#endif
