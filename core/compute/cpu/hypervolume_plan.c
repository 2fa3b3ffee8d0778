/* The fused decoder's tiles and places. */
#include "compute/cpu/hypervolume_plan.h"
#include "compute/cpu/rows.h"

#include <stdlib.h>

/* Tiles of these sizes run within 3 % of one another; 384 and 512 points leave the second-level cache (-3 to -15 %). */
enum { SMALLEST_TILE = 128, BEST_TILE = 192, LARGEST_TILE = 256, TILE_STEP = CPU_ROWS_AT_ONCE };

bool cpu_decoder_serves(const deco_hypervolume *h)
{
    return h->layer_norm && !deco_hypervolume_residual_first(h) && h->H % CPU_ROWS_WIDTH == 0;
}

int64_t cpu_decoder_tile(int64_t P)
{
    if (P <= SMALLEST_TILE)
        return P > 0 ? cpu_tiles(P, TILE_STEP) * TILE_STEP : TILE_STEP;
    int64_t best = BEST_TILE, fewest = cpu_tiles(P, BEST_TILE) * BEST_TILE;
    for (int64_t T = SMALLEST_TILE; T <= LARGEST_TILE; T += TILE_STEP) {
        int64_t points = cpu_tiles(P, T) * T;
        if (points < fewest || (points == fewest && llabs(T - BEST_TILE) < llabs(best - BEST_TILE)))
            best = T, fewest = points;
    }
    return best;
}

cpu_decoder cpu_decoder_of(const deco_hypervolume *h, int64_t tile)
{
    cpu_decoder d = {.h = *h, .tile = tile, .features = 6 * h->pe_dim, .layers = h->n + 1};
    d.out_weight = cpu_decoder_layer_at(&d, d.layers).weight;
    d.out_bias = d.out_weight + h->H;
    return d;
}

/* As deco_hypervolume_tensor has it for the shapes that are served. */
cpu_decoder_layer cpu_decoder_layer_at(const cpu_decoder *d, int64_t i)
{
    int64_t H = d->h.H, in = i ? H : d->features + d->h.Z;
    cpu_decoder_layer l = {.weight = i ? H * (d->features + d->h.Z + 3) + (i - 1) * H * (H + 3) : 0};
    l.bias = l.weight + H * in;
    l.gamma = l.bias + H;
    l.beta = l.gamma + H;
    return l;
}
