/* Grids of shifts in the plane of the image. METHOD.md section 6. */
#ifndef DECO_GEOMETRY_SHIFT_GRID_H
#define DECO_GEOMETRY_SHIFT_GRID_H

#include <stdint.h>

/* n×n shifts, `step` pixels apart, at the centres of the cells of a square around (x, y). */
typedef struct deco_shift_grid {
    int64_t n; /* points an axis */
    double step, x, y;
} deco_shift_grid;

/* Points an axis for the options t_n_grid and base_healpy: 14 for 7 and 2. */
static inline int64_t deco_shift_axis(int64_t t_n_grid, int base_healpy) { return t_n_grid << (base_healpy - 1); }

/* t_extent where it is not given: 20 px in a box of 128. */
static inline double deco_shift_extent(int64_t D) { return 20.0 * (double)D / 128; }

/* Shifts of no search (no_trans), and around an image's known shift: the one shift 0. */
static inline deco_shift_grid deco_shift_grid_none(void) { return (deco_shift_grid){.n = 1}; }

/* Level 0: n points an axis (at least 1) over ±extent pixels around (x, y), the options t_x_shift and t_y_shift. An extent of 0 leaves
 * the one shift (x, y). */
deco_shift_grid deco_shift_grid_base(int64_t n, double extent, double x, double y);

/* Offsets of level i >= 1, to be added to a kept shift: the base grid shrunk by 2^i, around 0. */
deco_shift_grid deco_shift_grid_level(deco_shift_grid base, int level);

/* The same spacing with at most n points an axis, about the same centre: the middle of the grid when both are even or both odd,
 * otherwise points half a step between its own. */
deco_shift_grid deco_shift_grid_central(deco_shift_grid g, int64_t n);

static inline int64_t deco_shift_grid_count(deco_shift_grid g) { return g.n * g.n; }

/* Shift number t, counted with x fast, in pixels. */
void deco_shift_grid_at(double shift[2], deco_shift_grid g, int64_t t);

/* All of them: out [count,2] f32, x y. */
void deco_shift_grid_fill(float *out, deco_shift_grid g);

#endif
