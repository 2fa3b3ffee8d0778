/* The kept plans of the fused decoder. */
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

static bool same_shape(const deco_hypervolume *a, const deco_hypervolume *b)
{
    return a->pe_dim == b->pe_dim && a->H == b->H && a->n == b->n && a->Z == b->Z;
}

static void find_layers(cpu_decoder *d)
{
    const deco_hypervolume *h = &d->h;
    int64_t tensor = 0;
    for (int64_t i = 0; i < d->layers; i++) {
        cpu_decoder_layer *l = &d->layer[i];
        l->weight = deco_hypervolume_tensor(h, tensor++).offset;
        l->bias = deco_hypervolume_tensor(h, tensor++).offset;
        l->gamma = deco_hypervolume_tensor(h, tensor++).offset;
        l->beta = deco_hypervolume_tensor(h, tensor++).offset;
    }
    d->out_weight = deco_hypervolume_tensor(h, tensor++).offset;
    d->out_bias = deco_hypervolume_tensor(h, tensor).offset;
}

void cpu_decoders_free(cpu_decoder *first)
{
    for (cpu_decoder *next; first; first = next) {
        next = first->next;
        free(first);
    }
}

static deco_status decoder_create(cpu_decoder **out, const deco_hypervolume *h, int64_t tile)
{
    deco_status st = DECO_OK;
    cpu_decoder *d = NULL;
    size_t layers = (size_t)h->n + 1;

    *out = NULL;
    TRY(deco_alloc(&d, 1, sizeof *d + layers * sizeof *d->layer, "the decoder's plan"));
    d->h = *h;
    d->tile = tile;
    d->features = 6 * h->pe_dim;
    d->layers = (int64_t)layers;
    find_layers(d);
    *out = d;
out:
    return st;
}

deco_status cpu_decoder_get(deco_device *dev, const cpu_decoder **out, const deco_hypervolume *h, int64_t tile)
{
    deco_status st = DECO_OK;
    cpu_device *cpu = (cpu_device *)dev;
    cpu_decoder *d = NULL;

    *out = NULL;
    pthread_mutex_lock(&dev->scratch_lock);
    for (d = cpu->decoders; d && !(d->tile == tile && same_shape(&d->h, h));)
        d = d->next;
    if (!d) {
        TRY(decoder_create(&d, h, tile));
        d->next = cpu->decoders;
        cpu->decoders = d;
    }
    *out = d;
out:
    pthread_mutex_unlock(&dev->scratch_lock);
    return st;
}
