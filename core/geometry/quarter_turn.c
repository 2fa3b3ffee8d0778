/* Quarter turns in the plane: the lattice maps onto itself, so slices whose angles differ by 90° hold the same values. */
#include "geometry/quarter_turn.h"

/* Where `index` stands among the mask's rising indices. It is there: the disc is round. */
static int64_t point_with_index(const deco_mask *m, int64_t index)
{
    int64_t low = 0, high = m->P - 1;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (m->index[middle] < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

deco_status deco_mask_quarter_turn(int32_t **turn, const deco_mask *m)
{
    deco_status st = DECO_OK;
    int64_t centre = m->L / 2;

    *turn = NULL;
    TRY(deco_alloc(turn, (size_t)m->P, sizeof **turn, "quarter turn of a mask"));
    for (int64_t p = 0; p < m->P; p++) {
        int64_t x = m->index[p] % m->L - centre, y = m->index[p] / m->L - centre;
        (*turn)[p] = (int32_t)point_with_index(m, (centre - x) * m->L + centre + y);
    }
out:
    return st;
}
