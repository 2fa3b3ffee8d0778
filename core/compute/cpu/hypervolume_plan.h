/* What one shape of decoder needs whatever its weights: the tile, and the places of its layers in the flat vector. */
#ifndef DECO_COMPUTE_CPU_HYPERVOLUME_PLAN_H
#define DECO_COMPUTE_CPU_HYPERVOLUME_PLAN_H

#include "compute/cpu/cpu.h"

/* A linear layer and its LayerNorm: weight [H,·], then bias, gamma and beta [H], follow one another. */
typedef struct cpu_decoder_layer {
    int64_t weight, bias, gamma, beta;
} cpu_decoder_layer;

typedef struct cpu_decoder {
    deco_hypervolume h; /* its L means nothing here */
    int64_t tile;       /* points */
    int64_t features;   /* 6·pe_dim */
    int64_t layers;     /* n + 1, the first among them */
    int64_t out_weight, out_bias;
} cpu_decoder;

/* Whether the fused path serves this shape; the composed one serves all. */
bool cpu_decoder_serves(const deco_hypervolume *h);

/* Points of a tile when images have P points: 128 to 256, such that the last tile of an image is as full as can be. It sets the bits
 * of the gradients, so it follows from P alone. */
int64_t cpu_decoder_tile(int64_t P);

cpu_decoder cpu_decoder_of(const deco_hypervolume *h, int64_t tile);
cpu_decoder_layer cpu_decoder_layer_at(const cpu_decoder *d, int64_t i);

#endif
