/* Grids of shifts in the plane of the image. METHOD.md section 6. */
#include "geometry/shift_grid.h"

#include <math.h>

deco_shift_grid deco_shift_grid_base(int64_t n, double extent, double x, double y)
{
    if (!(extent > 0))
        return (deco_shift_grid){.n = 1, .x = x, .y = y};
    return (deco_shift_grid){.n = n, .step = 2 * extent / (double)n, .x = x, .y = y};
}

/* The offset of level 0 is not passed on: a kept shift holds it already. */
deco_shift_grid deco_shift_grid_level(deco_shift_grid base, int level)
{
    return (deco_shift_grid){.n = base.n, .step = ldexp(base.step, -level)};
}

deco_shift_grid deco_shift_grid_central(deco_shift_grid g, int64_t n)
{
    if (n < g.n)
        g.n = n;
    return g;
}

/* Counted from the middle, so that the grid is symmetric to the last bit. */
void deco_shift_grid_at(double shift[2], deco_shift_grid g, int64_t t)
{
    double middle = 0.5 * (double)(g.n - 1);
    int64_t row = t / g.n, column = t % g.n;

    shift[0] = ((double)column - middle) * g.step + g.x;
    shift[1] = ((double)row - middle) * g.step + g.y;
}

void deco_shift_grid_fill(float *out, deco_shift_grid g)
{
    for (int64_t t = 0; t < deco_shift_grid_count(g); t++) {
        double shift[2];
        deco_shift_grid_at(shift, g, t);
        out[2 * t] = (float)shift[0];
        out[2 * t + 1] = (float)shift[1];
    }
}
