/* One cluster held against its own images: back-projected in two half sets, and its decoder map against that (its twin). */
#ifndef DECO_ANALYSIS_CLUSTER_CHECK_H
#define DECO_ANALYSIS_CLUSTER_CHECK_H

#include "analysis/backproject.h"
#include "analysis/fsc.h"
#include "analysis/soft_mask.h"
#include "analysis/twin.h"

/* Curves are [D/2 + 1], by shell of the lattice. */
typedef struct deco_cluster_check {
    int64_t number, images[2];                                /* the cluster; particles in its half sets */
    double membership;                                        /* mean probability of its particles; NAN where nothing says */
    bool compared;                                            /* both halves have particles: what follows means something */
    int64_t last;                                             /* outermost shell looked at */
    double *curve;                                            /* [6, D/2 + 1], in the order of deco_check_curve */
    int64_t randomised_from;                                  /* shell from which phases were randomised */
    deco_crossing half_05, half_0143, masked_05, masked_0143; /* of the half maps: without a mask; with it, corrected */
    double mask_share, mask_threshold, mask_edge_px, mask_low_pass;
    bool mask_sphere;
    double cone_ratio;
    deco_twin twin;
    double
        way; /* how far its map is on the way from another cluster's particles to its own (difference.h), the least there is; NAN: none to compare */
    int64_t rival; /* that cluster */
} deco_cluster_check;

typedef enum deco_check_curve {
    DECO_CURVE_HALF,       /* half maps */
    DECO_CURVE_MASKED,     /* the same in the mask */
    DECO_CURVE_RANDOMISED, /* and with random phases */
    DECO_CURVE_CORRECTED,
    DECO_CURVE_DECODER,  /* decoder map against the back-projection */
    DECO_CURVE_EXPECTED, /* what a perfect map would have there */
    DECO_CURVES
} deco_check_curve;

static inline const double *deco_check_curve_of(const deco_cluster_check *c, deco_check_curve which, int64_t D)
{
    return c->curve + (int64_t)which * deco_shells(D);
}

/* Curves, mask and twin of cluster `number`, and into `directory`: map_, half_0_, half_1_, mask_ and agreement_<number>.mrc, fsc_<number>.csv.
 * `decoded` [D,D,D] is its decoder map; NULL: there is none, so no twin. Fails: FILE, MEMORY, DEVICE. */
deco_status deco_cluster_check_make(deco_cluster_check *out, const char *directory, int64_t number, const deco_back_projection *b,
                                    const float *decoded, double psize_A, uint64_t seed, deco_device *dev);
void deco_cluster_check_free(deco_cluster_check *c);

#endif
