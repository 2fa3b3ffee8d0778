/* What the encoder's fused half blocks share on the CPU: products with weights packed for a call, and sums over runs of images. */
#ifndef DECO_COMPUTE_CPU_VIT_PRODUCTS_H
#define DECO_COMPUTE_CPU_VIT_PRODUCTS_H

#include "compute/cpu/cpu.h"
#include "compute/cpu/product_gradient.h"

/* Weights w [O,I] of one call: y = x wᵀ; `back`: dx = dy w. */
typedef struct cpu_vit_packed {
    const float *w;
    int64_t O, I;
    bool back;
    float *packed; /* filled by cpu_vit_pack */
} cpu_vit_packed;

/* Fills `packed` of `n` weights from one block, which is given back with deco_scratch_give, also when this fails. */
deco_status cpu_vit_pack(deco_device *dev, cpu_vit_packed *weights, int n, void **block);

/* y [T,O] = x [T,I] wᵀ + bias (+ onto [T,O]); `back`: y [T,I] = x [T,O] w. bias and onto may be NULL, onto may be y. */
void cpu_vit_multiply(const cpu_vit_packed *w, float *y, const float *x, int64_t T, const float *bias, const float *onto);

/* Backward works on runs of images, a task each, that add up gradients of weights of their own while an image's numbers are still in the
 * cache: at most this many images a run, and never more runs than there is memory for. The cut must not depend on the machine. */
enum { CPU_VIT_RUNS = 16 };
static inline int64_t cpu_vit_run_images(int64_t B) { return B > 2 * CPU_VIT_RUNS ? cpu_tiles(B, CPU_VIT_RUNS) : 2; }

/* dw [n] = Σ over the runs of part [runs,n], in their order. */
deco_status cpu_vit_add_runs(deco_device *dev, float *dw, const float *part, int64_t runs, int64_t n);

/* out [n] = Σ over the images of part [B,columns], from column `first` on; in double. */
void cpu_vit_add_images(float *out, const float *part, int64_t B, int64_t columns, int64_t first, int64_t n);

/* A worker's buffer of n numbers. Fails: MEMORY. */
static inline deco_status cpu_vit_scratch(float **out, deco_device *dev, int worker, int64_t n)
{
    size_t bytes = (size_t)n * sizeof **out;
    *out = cpu_scratch(dev, worker, bytes);
    return *out ? DECO_OK : deco_fail_memory(bytes, "an encoder's block");
}

/* A run of a worker's buffer, on lines of its own: a buffer of so many pieces has room for LINE more numbers each. */
static inline float *cpu_vit_piece(float **next, int64_t n)
{
    float *here = *next;
    *next += cpu_product_line(n);
    return here;
}

#endif
