/* Gradients of weights: products of two sides that both change with every call (product.h), on the calling thread. */
#ifndef DECO_COMPUTE_CPU_PRODUCT_GRADIENT_H
#define DECO_COMPUTE_CPU_PRODUCT_GRADIENT_H

#include "compute/cpu/product.h"

/* dw [O,I] = dyᵀ x, or += when `add`; dy [T,O] without gaps, rows of x [T,I] and of dw `ld` >= I apart. */
typedef struct cpu_product_gradient {
    int64_t T, O, I, ld;
    float *dw;
    const float *dy, *x;
    bool add;
} cpu_product_gradient;

/* `panels` is cpu_product_panels(k, T, the smaller of O and I) floats of scratch, 64-byte aligned. */
void cpu_product_weights(const cpu_products *k, const cpu_product_gradient *g, float *panels);
int64_t cpu_product_panels(const cpu_products *k, int64_t T, int64_t n);

#endif
