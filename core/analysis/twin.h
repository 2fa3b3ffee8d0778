/* A decoder map and its twin, the back-projection of the same particles: do they show the same, everywhere? */
#ifndef DECO_ANALYSIS_TWIN_H
#define DECO_ANALYSIS_TWIN_H

#include "analysis/backproject.h"
#include "analysis/fsc.h"

/* A smoother map is not a wrong one: how far out it follows is told apart from what it shows as far as that. */
typedef struct deco_twin {
    bool made;
    deco_crossing held; /* where the half maps' FSC falls below 0.143: so far the particles hold detail ... */
    deco_crossing
        follows; /* ... and so far the map follows it: its FSC over a perfect map's falls below 0.5; at the limit: as far as they hold any */
    int64_t shells;      /* compared: as far as the half maps' FSC is 0.5 and the map follows */
    double fsc;          /* mean FSC of the two over these shells, each counted by its points ... */
    double expected;     /* ... and of a perfect map */
    double disagreeing;  /* share of the density that stands where they differ beyond noise by more than three tenths of their power */
    double local_median; /* median of the local correlation where there is density */
    int64_t unseen;      /* particles that the decoder was not trained on; 0: not compared */
    double fsc_unseen;   /* mean FSC over the same shells with the back-projection of these ... */
    double fsc_seen;     /* ... and of as many that it was trained on */
} deco_twin;

/* Also `agreement` [D,D,D]: the local correlation, 0 where neither has density. decoder [D/2+1]: FSC of the two. Fails: MEMORY, DEVICE. */
deco_status deco_twin_compare(deco_twin *out, float *agreement, double *decoder, const float *decoded, const deco_back_projection *b,
                              deco_device *dev);

/* Mean FSC of a decoder map and a back-projection over the shells up to `last`, each counted by its points. Fails: MEMORY, DEVICE. */
deco_status deco_twin_fsc(double *out, const float *decoded, const deco_back_projection *b, int64_t last, deco_device *dev);

#endif
