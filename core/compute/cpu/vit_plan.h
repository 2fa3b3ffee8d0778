/* What the encoder's fused half blocks share on the CPU: matrix products of one shape, weights packed for a call, sums of gradients. */
#ifndef DECO_COMPUTE_CPU_VIT_PLAN_H
#define DECO_COMPUTE_CPU_VIT_PLAN_H

#include "compute/cpu/cpu.h"
#include "compute/cpu/dnnl.h"

/* Products of an image's tokens [T,K] with weights, by what they are: rows of C numbers into 3C, and so on. */
typedef enum cpu_vit_product {
    CPU_VIT_C_3C, /* these with a bias */
    CPU_VIT_C_2C,
    CPU_VIT_C_C_ADD, /* onto what is there */
    CPU_VIT_C_4C,
    CPU_VIT_4C_C_ADD,
    CPU_VIT_C_C_BACK, /* and these without */
    CPU_VIT_3C_C_BACK,
    CPU_VIT_C_4C_BACK,
    CPU_VIT_4C_C_BACK,
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

/* `bias` goes with those of forward; NULL with those of `back`. */
static inline deco_status cpu_vit_multiply(const cpu_vit_plan *plan, const cpu_vit_packed *w, float *y, const float *x, const float *bias,
                                           void *scratch)
{
    return deco_matmul_run(plan->product[w->product], y, x, w->packed, bias, scratch);
}

/* Backward works on runs of images, a task each, that add up gradients of weights of their own while an image's numbers are still in the
 * cache: at most this many images a run, and never more runs than there is memory for. The cut must not depend on the machine. */
enum { CPU_VIT_RUNS = 16 };
static inline int64_t cpu_vit_run_images(int64_t B) { return B > 2 * CPU_VIT_RUNS ? cpu_tiles(B, CPU_VIT_RUNS) : 2; }

/* part [O,I] of a run = dyᵀ x over an image's tokens, dy [T,O], x [T,I], on the calling thread; += when `add`. */
static inline deco_status cpu_vit_weight_gradient(const cpu_vit_plan *plan, float *part, const float *dy, int64_t O, const float *x,
                                                  int64_t I, bool add)
{
    return deco_cpu_sgemm(true, false, O, I, plan->T, 1, dy, O, x, I, add ? 1 : 0, part, I);
}

/* dw [n] = Σ over the runs of part [runs,n], in their order. */
deco_status cpu_vit_add_runs(deco_device *dev, float *dw, const float *part, int64_t runs, int64_t n);

/* out [n] = Σ over the images of part [B,columns], from column `first` on; in double. */
void cpu_vit_add_images(float *out, const float *part, int64_t B, int64_t columns, int64_t first, int64_t n);

/* A worker's buffer of n numbers, with room for a product's own scratch behind them. Fails: MEMORY. */
static inline deco_status cpu_vit_scratch(float **out, deco_device *dev, const cpu_vit_plan *plan, int worker, int64_t n)
{
    size_t bytes = (size_t)n * sizeof **out + plan->scratch;
    *out = cpu_scratch(dev, worker, bytes);
    return *out ? DECO_OK : deco_fail_memory(bytes, "an encoder's block");
}

/* A run of a worker's buffer, on lines of its own. */
static inline float *cpu_vit_piece(float **next, int64_t n)
{
    float *here = *next;
    *next += cpu_tiles(n, 16) * 16;
    return here;
}

#endif
