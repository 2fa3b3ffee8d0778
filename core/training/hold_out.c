#include "training/hold_out.h"
#include "base/philox.h"
#include <stdlib.h>

bool deco_is_held_out(uint64_t seed, int64_t row, double share)
{
    deco_random random = deco_random_at(seed, DECO_STREAM_HOLD_OUT, (uint64_t)row);
    return share > 0 && deco_random_uniform(&random) < share;
}

deco_status deco_held_out_last(int64_t *order, const int64_t *row, int64_t n, uint64_t seed, double share)
{
    deco_status st = DECO_OK;
    int64_t *held = NULL, kept = 0, left = 0;

    if (!(share > 0))
        return DECO_OK;
    TRY(deco_alloc(&held, (size_t)n, sizeof *held, "particles held out"));
    for (int64_t i = 0; i < n; i++) {
        if (deco_is_held_out(seed, row ? row[order[i]] : order[i], share))
            held[left++] = order[i];
        else
            order[kept++] = order[i];
    }
    for (int64_t i = 0; i < left; i++)
        order[kept + i] = held[i];
out:
    free(held);
    return st;
}
