/* What the encoder's fused half blocks share on the CPU: matrix products of one shape, weights packed for a call, gradients of weights. */
#ifndef DECO_COMPUTE_CPU_VIT_PLAN_H
#define DECO_COMPUTE_CPU_VIT_PLAN_H

#include "compute/cpu/cpu.h"
#include "compute/cpu/dnnl.h"

/* Products of an image's tokens [T,K] with weights, by what they are: rows of C numbers into 3C, and so on. */
typedef enum cpu_vit_product {
    CPU_VIT_C_3C,
    CPU_VIT_C_C,
    CPU_VIT_C_C_ADD, /* onto what is there */
    CPU_VIT_C_4C,
    CPU_VIT_4C_C_ADD,
    CPU_VIT_3C_C,
    CPU_VIT_4C_C,
    CPU_VIT_PRODUCTS
} cpu_vit_product;

struct cpu_vit_plan {
    int64_t T, C;
    deco_matmul *product[CPU_VIT_PRODUCTS];
    size_t scratch; /* bytes of the most demanding product */
    cpu_vit_plan *next;
};

deco_status cpu_vit_plan_get(deco_device *dev, const cpu_vit_plan **out, int64_t T, int64_t C);

/* Weights of one call, each packed for its product: of forward w [O,I], y = x wᵀ; `back`: dx = dy w. */
typedef struct cpu_vit_packed {
    cpu_vit_product product;
    const float *w;
    int64_t O, I;
    bool back;
    float *packed; /* filled by cpu_vit_pack */
} cpu_vit_packed;

/* Fills `packed` of `n` weights from one block, which is given back with deco_scratch_give, also when this fails. */
deco_status cpu_vit_pack(deco_device *dev, const cpu_vit_plan *plan, cpu_vit_packed *weights, int n, void **block);

static inline deco_status cpu_vit_multiply(const cpu_vit_plan *plan, const cpu_vit_packed *w, float *y, const float *x, void *scratch)
{
    return deco_matmul_run(plan->product[w->product], y, x, w->packed, scratch);
}

/* dw [O,I] (+)= dyᵀ x over `rows` rows. */
typedef struct cpu_weight_gradient {
    float *dw;
    const float *dy, *x; /* [rows,O], [rows,I] */
    int64_t O, I;
} cpu_weight_gradient;
deco_status cpu_weight_gradients(deco_device *dev, const cpu_weight_gradient *g, int n, int64_t rows, bool add);

/* Images worked on at once in backward: what is in between exists for so many. The cut must not depend on the machine. */
enum { CPU_VIT_GROUP_ROWS = 8224 };
static inline int64_t cpu_vit_group(int64_t T) { return T < CPU_VIT_GROUP_ROWS ? CPU_VIT_GROUP_ROWS / T : 1; }

/* out [n] = Σ over the images of part [B,columns], from column `first` on; in double. */
void cpu_vit_add_images(float *out, const float *part, int64_t B, int64_t columns, int64_t first, int64_t n);

/* A run of a worker's buffer, on lines of its own. */
static inline float *cpu_vit_piece(float **next, int64_t n)
{
    float *here = *next;
    *next += cpu_tiles(n, 16) * 16;
    return here;
}

#endif
