/* How far out two maps agree: their Fourier shell correlation. */
#ifndef DECO_ANALYSIS_AGREEMENT_H
#define DECO_ANALYSIS_AGREEMENT_H

#include <stdint.h>

/* The Fourier radius, in pixels, at which the FSC of two maps first falls below `least`, between two shells by a straight line; `radius` where
 * it never does up to there. a, b [D,D,D]: their centred Hartley transforms (the sums over a shell are those of the Fourier transforms). */
double deco_agreement_radius(const float *a, const float *b, int64_t D, int64_t radius, double least);

#endif
