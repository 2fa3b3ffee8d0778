/* Grids of rotations: HEALPix NESTED directions times angles in the plane (Hopf coordinates). METHOD.md section 6.
 *
 * A grid is named by its order k: HEALPix of nside 2^k, so 12·4^k directions, and 6·2^k angles at (m + ½) steps. Level i of a search
 * that starts at base_healpy has order base_healpy + i. A rotation is one whole number, its grid's angles · direction + angle, angles
 * counted on the circle: equal numbers of one order are equal rotations, from whichever parent they were reached, to the last bit.
 *
 * Nothing here allocates, fails or keeps a state. Numbers outside the grid are the caller's fault. */
#ifndef DECO_GEOMETRY_SO3_GRID_H
#define DECO_GEOMETRY_SO3_GRID_H

#include <stdint.h>

enum {
    DECO_SO3_ORDER_MAX = 14, /* base_healpy 6 and eight refinements */
    DECO_SO3_CANDIDATES = 16,
    DECO_SO3_NEIGHBOURS = 8
};

static inline int64_t deco_so3_directions(int order) { return (int64_t)12 << (2 * order); }
static inline int64_t deco_so3_angles(int order) { return (int64_t)6 << order; }
static inline int64_t deco_so3_count(int order) { return deco_so3_directions(order) * deco_so3_angles(order); }

static inline int64_t deco_so3_number(int order, int64_t direction, int64_t angle) { return deco_so3_angles(order) * direction + angle; }
static inline int64_t deco_so3_direction(int order, int64_t rotation) { return rotation / deco_so3_angles(order); }
static inline int64_t deco_so3_angle(int order, int64_t rotation) { return rotation % deco_so3_angles(order); }

/* (r,i,j,k) of formulas/rotation.h for a direction (colatitude, azimuth) and an angle in the plane, in radians. */
void deco_hopf_quaternion(double q[4], double theta, double phi, double psi);

/* Colatitude and azimuth of a direction, and the angle in the plane, in radians. */
void deco_so3_direction_rad(double *theta, double *phi, int order, int64_t direction);
double deco_so3_angle_rad(int order, int64_t angle);

/* (r,i,j,k) of a rotation of the grid. */
void deco_so3_quaternion(double q[4], int order, int64_t rotation);

/* All 16 candidates of a parent in the grid of order + 1: its 4 child directions (slow), each with the 4 angles 2m-1 ... 2m+2.
 *
 *   rotation [16]    their numbers
 *   q        [16,4]  their quaternions, bit for bit those of deco_so3_quaternion
 *   parent           a rotation of the grid of `order`, at most DECO_SO3_ORDER_MAX - 1 */
void deco_so3_candidates(int64_t rotation[DECO_SO3_CANDIDATES], double q[DECO_SO3_CANDIDATES][4], int order, int64_t parent);

/* The 8 of them nearest to the parent by quaternion distance (up to sign), nearest first; of equal distances the lower candidate
 * comes first. Where each is among the 16 stands in `candidate` when that is not NULL. */
void deco_so3_neighbours(int64_t rotation[DECO_SO3_NEIGHBOURS], double q[DECO_SO3_NEIGHBOURS][4], int candidate[DECO_SO3_NEIGHBOURS],
                         int order, int64_t parent);

#endif
