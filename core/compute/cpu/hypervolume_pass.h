/* One call of the fused decoder: its inputs, and its weights packed for the products of a tile; and the tile, the unit of work.
 *
 * A tile holds points of one image, so the latent is a bias: b + W_z z. Short tiles are filled up with points at the origin whose
 * gradient is zero.
 *
 * Masks and balls hold with every point x the opposite one, -x, whose sines are those of x with the other sign and whose cosines are
 * the same. So with S = W_s sin and C = W_c cos the first layer is C + S at x and C - S at -x: half the encoding and half the first
 * product, exactly. Such a tile is `mirrored`: its upper half are points, its lower half their opposites. */
#ifndef DECO_COMPUTE_CPU_HYPERVOLUME_PASS_H
#define DECO_COMPUTE_CPU_HYPERVOLUME_PASS_H

#include "compute/cpu/hypervolume_plan.h"
#include "compute/cpu/product_gradient.h"
#include "compute/cpu/rows.h"

/* What a call wants: gradients; those of the pose too; and whether it can take mirrored tiles. */
enum { CPU_PASS_FORWARD = 0, CPU_PASS_BACKWARD = 1, CPU_PASS_POSE = 2, CPU_PASS_MIRRORED = 4 };

typedef struct cpu_pass {
    deco_device *dev;
    cpu_decoder d;
    const cpu_rows *rows;
    const cpu_products *products;
    int wants;
    int64_t B, P, tiles_per_image;
    const float *params, *freqs, *x, *R, *z; /* x [P,2] with R [B,3,3], or [B,P,3] */
    float half_L;
    bool mirrored; /* point P-1-p is opposite to point p, in all images */

    unsigned char *block; /* scratch of the device, which holds what follows */
    float *bias;          /* [B,H]: of the first layer */
    float *frequencies;
    cpu_frequencies f;
    unsigned char *forward, *backward; /* packed weights of the layers */
    size_t forward_first, backward_first, layer_step;
    size_t forward_half, backward_half; /* mirrored: from the first layer's sines to its cosines */
} cpu_pass;

/* Packs. Give it back with cpu_pass_end, also when this fails. */
deco_status cpu_pass_begin(cpu_pass *p, deco_device *dev, const deco_hypervolume *h, int wants, int64_t B, int64_t P, deco_array params,
                           deco_array freqs, deco_array x, deco_array R, deco_array z);
void cpu_pass_end(cpu_pass *p);

/* The packed weights of a layer after the first. */
static inline unsigned char *cpu_pass_layer(const cpu_pass *p, bool back, int64_t layer)
{
    return (back ? p->backward + p->backward_first : p->forward + p->forward_first) + (size_t)(layer - 1) * p->layer_step;
}

/* c [M,N] = a [M,K] b. */
static inline cpu_product cpu_pass_product(int64_t M, int64_t N, int64_t K, float *c, const float *a, const unsigned char *packed)
{
    return (cpu_product){.M = M, .N = N, .K = K, .c = c, .ldc = N, .a = a, .row = K, .step = 1, .b = (const float *)packed};
}

static inline int64_t cpu_pass_tiles(const cpu_pass *p) { return p->B * p->tiles_per_image; }

/* A worker's tile. x, y and inverse_sd of layer i are i·step (i·sd_step) further on; going forward only, all layers share them.
 * Of the tile's rows, the first `points` are points first, first + 1 … of the image; in a mirrored tile there are as many opposite
 * ones from the middle on. */
typedef struct cpu_tile {
    int64_t image, first, points;
    int64_t step, sd_step;
    float *xyz, *pe, *x, *y, *inverse_sd, *g, *dpe, *dxyz;
    float *out, *dout, *ctf, *target; /* [tile]: one number a row */
    float *panels;                    /* of gradients of weights */
} cpu_tile;

deco_status cpu_tile_begin(cpu_tile *t, const cpu_pass *p, int worker);

/* Rows from and to `values` [B,P]; rows that are no point become 0, and are not written. */
void cpu_tile_get(float *rows, const cpu_tile *t, const cpu_pass *p, const float *values);
void cpu_tile_put(float *values, const cpu_tile *t, const cpu_pass *p, const float *rows);

/* out of tile `index`. */
void cpu_tile_forward(cpu_tile *t, const cpu_pass *p, int64_t index);

/* Where the gradients of tiles are added up. `sums` is the flat vector without the latent's columns of the first weight and without
 * a meaning in place of the first bias: their gradients follow from `columns`, the sum of the first layer's over the tile [H]. */
typedef struct cpu_tile_sums {
    float *sums;
    bool weights; /* false: the matrices are not wanted */
    bool fresh;   /* nothing is there yet */
    float *columns;
} cpu_tile_sums;

/* Gradients from t->dout, zero in rows that are no point. With CPU_PASS_POSE, t->dxyz is that of the first `points` rows; mirrored,
 * less that of their opposites. Once after each forward. */
void cpu_tile_backward(cpu_tile *t, const cpu_pass *p, const cpu_tile_sums *s);

/* Place of the flat vector's element `offset`, beyond the first weight, in `sums`. */
static inline int64_t cpu_sums_place(const cpu_decoder *d, int64_t offset) { return offset - d->h.H * d->h.Z; }

#endif
