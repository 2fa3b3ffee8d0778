/* Brings two densities into one frame: rotation, displacement and hand by which one looks most like the other. */
#ifndef DECO_TRAINING_VOXEL_REGISTER_H
#define DECO_TRAINING_VOXEL_REGISTER_H

#include "training/voxel_map.h"

/* a(k) ~ b(k @ M) times the phase of a displacement by t pixels: M a rotation, or with the other hand a rotation after a mirror. */
typedef struct deco_registration {
    double M[9], t[3];
    bool mirrored;
    double correlation; /* over the shells up to the radius, each counted by its points */
} deco_registration;

/* Of two maps of one side, inside `radius`, displacements up to about `reach_px`, none when that is 0. Fails: MEMORY. */
deco_status deco_voxel_register(deco_registration *out, const deco_voxel_map *a, const deco_voxel_map *b, int64_t radius, double reach_px);

/* A pose against b as one against a. */
void deco_registration_apply(float R[9], float shift[2], const deco_registration *r);

/* How far M turns, beside the mirror. */
double deco_registration_angle_deg(const deco_registration *r);

#endif
