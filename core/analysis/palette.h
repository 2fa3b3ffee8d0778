/* Colours that stay apart for every kind of colour vision. */
#ifndef DECO_ANALYSIS_PALETTE_H
#define DECO_ANALYSIS_PALETTE_H

#include <stdint.h>

typedef struct deco_colour {
    double r, g, b;
} deco_colour;

/* The colour of class i: Okabe and Ito's (Color Universal Design, 2008), then Tol's "muted", then both again, darker and lighter. */
deco_colour deco_palette_colour(int64_t i);

/* From dark blue (0) over green to yellow (1), evenly lighter for every eye: after Smith and van der Walt's viridis. */
deco_colour deco_palette_amount(double t);

#endif
