/* The decoder's shape and the order of its parameters in one flat f32 vector. METHOD.md section 3. */
#ifndef DECO_COMPUTE_HYPERVOLUME_H
#define DECO_COMPUTE_HYPERVOLUME_H

#include "base/status.h"

typedef struct deco_hypervolume {
    int64_t L;      /* lattice: D + 1; the encoding's scale is L // 2 */
    int64_t pe_dim; /* 3·pe_dim frequencies, 6·pe_dim features */
    int64_t H;      /* hidden width */
    int64_t n;      /* residual layers */
    int64_t Z;      /* latent width, 0: homogeneous */
    bool layer_norm;
} deco_hypervolume;

/* The first linear is a residual block of its own, this wide inside, when 6·pe_dim + Z == H. */
#define DECO_RESIDUAL_HIDDEN 128
static inline bool deco_hypervolume_residual_first(const deco_hypervolume *h) { return 6 * h->pe_dim + h->Z == h->H; }

/* Tensor i of the vector, by the names of the published decoder: "decoder.main_layers.0.weight" ... rand_freqs is not
 * among them (not trained). */
typedef struct deco_parameter {
    char name[72];
    int dims;
    int64_t shape[2];
    int64_t offset, count; /* in the flat vector */
    int64_t fan_in;        /* of a linear's weight or bias; 0: a LayerNorm, started at 1 (weight) or 0 (bias) */
} deco_parameter;

int64_t deco_hypervolume_tensors(const deco_hypervolume *h);
deco_parameter deco_hypervolume_tensor(const deco_hypervolume *h, int64_t i);
int64_t deco_hypervolume_parameters(const deco_hypervolume *h); /* length of the flat vector */

/* Every size in range, and the sum within 64 bits. Fails: ARGUMENT. */
deco_status deco_hypervolume_check(const deco_hypervolume *h);

/* Floating-point operations a point: forward without gradient, and forward with backward (weights, latents). */
double deco_hypervolume_flop(const deco_hypervolume *h, bool train);

#endif
