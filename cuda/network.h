/* The fused decoder as the host sees it: which calls it serves, its packed weights, its arguments. */
#ifndef DECO_CUDA_NETWORK_H
#define DECO_CUDA_NETWORK_H

#include "launch.h"

#include "formulas/host_device.h"

enum {
    NETWORK_SLAB = 32,  /* inputs of a layer that pass by at once, with all its outputs */
    NETWORK_LAYERS = 8, /* residual layers at most */
};
#define NETWORK_EPS 1e-5f

/* Places in the flat parameters of a decoder whose first layer is a plain linear, with norms: layers 0 ... n, then the last, whose weight [H]
 * and bias stand where the next layer would. */
typedef struct network_places {
    int64_t inputs, H; /* inputs: of layer 0, the latent's among them */
} network_places;
DECO_HD int64_t weight_at(network_places p, int64_t l) { return l ? p.H * p.inputs + 3 * p.H + (l - 1) * (p.H * p.H + 3 * p.H) : 0; }
DECO_HD int64_t bias_at(network_places p, int64_t l) { return weight_at(p, l) + p.H * (l ? p.H : p.inputs); }
DECO_HD int64_t gamma_at(network_places p, int64_t l) { return bias_at(p, l) + p.H; }
DECO_HD int64_t beta_at(network_places p, int64_t l) { return bias_at(p, l) + 2 * p.H; }

/* What the kernels of values and of training have in common. */
struct network_call {
    const unsigned char *slabs; /* weights in bf16 (network_pack) */
    const float *params, *bias; /* bias [B,H]: the first layer's, with the latent's share */
    const float *freqs, *x, *R; /* x [P,2] with R [B,3,3], or x [B,P,3] and no R */
    network_places at;
    int64_t P, tiles, tiles_an_image;
    float half_L;
    int F, n, all_slabs; /* frequencies; residual layers; slabs a tile takes */

    template <class Visit> void each_pointer(Visit visit) { visit(slabs), visit(params), visit(bias), visit(freqs), visit(x), visit(R); }
};

/* Which weights pass by: those of forward, then of backward to the first layer's sums, then to the points. */
enum network_way { NETWORK_FORWARD, NETWORK_BACKWARD, NETWORK_TO_POINTS };

/* Where in a slab output n's `line` of 8 inputs lies, in lines: so that eight outputs' lines are in different banks. */
DECO_HD int64_t slab_line(int64_t n, int64_t line) { return n * (NETWORK_SLAB / 8) + (line ^ (n >> 1 & 3)); }

/* Whether this device and size have the fused kernels: bf16 asked for and served, H 128, 256 or 512, norms, a plain first layer. */
bool network_serves(deco_device *dev, const deco_hypervolume *h);

/* A call's weights and biases are packed into scratch, its other members set from the arrays. End it, also when this fails. */
deco_status network_begin(deco_device *dev, network_call *c, const deco_hypervolume *h, network_way way, int64_t B, int64_t P,
                          deco_array params, deco_array freqs, deco_array x, deco_array R, deco_array z);
void network_end(deco_device *dev, network_call *c);

/* Inputs of layer 0 that are features, up to a slab's end; they stand sine, cosine, sine, cosine. */
DECO_HD int64_t network_features(const network_call *c)
{
    return (int64_t)(c->F + NETWORK_SLAB / 2 - 1) / (NETWORK_SLAB / 2) * NETWORK_SLAB;
}

#endif
