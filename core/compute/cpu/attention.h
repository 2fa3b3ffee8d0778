/* Attention of one head on the calling thread. */
#ifndef DECO_COMPUTE_CPU_ATTENTION_H
#define DECO_COMPUTE_CPU_ATTENTION_H

#include "base/status.h"

/* Rows of q, k, v, o and their gradients are `C` (o) or 3C (the others) apart; a head has C / heads columns of each. */
typedef struct cpu_attention {
    int64_t T, C, heads;
} cpu_attention;

/* Floats of scratch, on a line; no T×T matrix is ever whole in it unless T is small. */
int64_t cpu_attention_scratch(const cpu_attention *a);

/* o [T,C], log_sum [T] (or NULL: not kept) of head h of one image. */
void cpu_attention_head(const cpu_attention *a, float *o, float *log_sum, const float *qkv, int64_t h, float *scratch);
/* dqkv [T,3C] from do, o [T,C]. */
void cpu_attention_head_backward(const cpu_attention *a, float *dqkv, const float *dout, const float *qkv, const float *o,
                                 const float *log_sum, int64_t h, float *scratch);

#endif
