/* Quarter turns in the plane: the lattice maps onto itself, so slices whose angles differ by 90° hold the same values. */
#ifndef DECO_GEOMETRY_QUARTER_TURN_H
#define DECO_GEOMETRY_QUARTER_TURN_H

#include "geometry/lattice.h"
#include "geometry/so3_grid.h"

/* How many angles of a grid make 90°: m, m + this, m + 2·this, m + 3·this are one orbit, and m below this names each orbit once. 0 when
 * the circle has no four equal parts on the grid (order 0). */
static inline int64_t deco_so3_quarter(int order) { return deco_so3_angles(order) % 4 ? 0 : deco_so3_angles(order) / 4; }

/* turn [P]: the point that each point of the mask lands on, (kx, ky) on (ky, -kx). With S the slice at a rotation of the grid and S' that
 * of the same direction a quarter further on, S'[p] = S[turn[p]]; three times this undoes it. Yours to free.
 * Fails: MEMORY. */
deco_status deco_mask_quarter_turn(int32_t **turn, const deco_mask *m);

#endif
