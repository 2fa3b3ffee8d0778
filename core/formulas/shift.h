/* Shifts in the Hartley domain. METHOD.md section 2: H'(k) = cos(2π k·t) H(k) + sin(2π k·t) H(-k). */
#ifndef DECO_FORMULAS_SHIFT_H
#define DECO_FORMULAS_SHIFT_H

#include "formulas/host_device.h"
#include <math.h>

/* 2π k·t, reduced to [-π, π] before it is rounded to float: twenty turns would cost five bits. */
DECO_HD float deco_shift_phase(const float k[2], const float t[2])
{
    double turns = (double)k[0] * t[0] + (double)k[1] * t[1];
    return (float)(6.283185307179586476925 * (turns - floor(turns + 0.5)));
}

/* The value at k, from those at k and -k. */
DECO_HD float deco_shift_value(float phase, float at_k, float at_minus_k) { return cosf(phase) * at_k + sinf(phase) * at_minus_k; }

/* d value / d phase; the gradient of t is this times 2π k. */
DECO_HD float deco_shift_slope(float phase, float at_k, float at_minus_k) { return cosf(phase) * at_minus_k - sinf(phase) * at_k; }

#endif
