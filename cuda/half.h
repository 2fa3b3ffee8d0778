/* What the encoder's halves in bf16 share: numbers of either kind, and the operations on them. bf16 goes into products and out of those whose
 * result only another product or a norm reads; norms, sums and what passes from half to half are float32. METHOD.md section 5. */
#ifndef DECO_CUDA_HALF_H
#define DECO_CUDA_HALF_H

#include "tensor.h"

typedef struct bf16 {
    uint16_t bits;
} bf16;

/* Four side by side. */
struct alignas(8) four_halves {
    uint32_t w[2];
};

enum { SUM_ROWS = 64 }; /* of a tile of column sums: float32 within it, double from there on */

__device__ static inline float number_at(const float *x, int64_t i) { return x[i]; }
__device__ static inline float number_at(const bf16 *x, int64_t i) { return float_of((uint32_t)x[i].bits << 16); }

__device__ static inline bf16 half_number(float x) { return {(uint16_t)pair_of(x, 0)}; }

/* y [n] = x [n] in bf16. */
deco_status half_of(deco_device *dev, bf16 *y, const float *x, int64_t n);
/* sum [C] = Σ over the rows of x [M,C], and y = x in bf16. */
deco_status half_with_sums(deco_device *dev, bf16 *y, float *sum, const float *x, int64_t M, int64_t C);
/* sum [C] = Σ over the rows of x [M,C]. */
deco_status half_sums(deco_device *dev, float *sum, const bf16 *x, int64_t M, int64_t C);

deco_status half_gelu(deco_device *dev, bf16 *y, const bf16 *x, int64_t n);
deco_status half_gelu_backward(deco_device *dev, bf16 *dy, const bf16 *x, int64_t n); /* dy becomes dx */

/* Norms of x [M,C] into bf16; backward from dy in bf16, `plus` [M,C] added to dx, dgamma and dbeta [C]. */
deco_status half_layer_norm(deco_device *dev, bf16 *y, float *stats, const float *x, const float *gamma, const float *beta, int64_t M,
                            int64_t C, double eps);
deco_status half_layer_norm_backward(deco_device *dev, float *dx, float *dgamma, float *dbeta, const bf16 *dy, const float *x,
                                     const float *stats, const float *gamma, const float *plus, int64_t M, int64_t C);
deco_status half_batch_norm(deco_device *dev, bf16 *y, const float *x, const float *stats, const float *gamma, const float *beta, int64_t M,
                            int64_t C);
deco_status half_batch_norm_backward(deco_device *dev, float *dx, float *dgamma, float *dbeta, const bf16 *dy, const float *x,
                                     const float *stats, const float *gamma, const float *plus, int64_t M, int64_t C);

/* dw [O,I] = dyᵀ x over M rows: runs of rows in float32, added in double. */
deco_status half_weight_gradient(deco_device *dev, float *dw, const bf16 *dy, const bf16 *x, int64_t M, int64_t O, int64_t I);

/* Attention of qkv [B,T,3C] into o [B,T,C], with log_sum [B,heads,T] for backward; `width` = C / heads is 32 or 64. */
bool half_attention_serves(int64_t width);
deco_status half_attention(deco_device *dev, bf16 *o, float *log_sum, const bf16 *qkv, int64_t B, int64_t T, int64_t heads, int64_t width);
deco_status half_attention_backward(deco_device *dev, bf16 *dqkv, const bf16 *dout, const bf16 *qkv, const bf16 *o, const float *log_sum,
                                    int64_t B, int64_t T, int64_t heads, int64_t width);

#endif
