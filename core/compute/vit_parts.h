/* Parameters and kept numbers of the encoder's half blocks, by name: places in the vectors that vit.h describes. */
#ifndef DECO_COMPUTE_VIT_PARTS_H
#define DECO_COMPUTE_VIT_PARTS_H

#include "compute/vit.h"

typedef struct vit_attention_parts {
    float *gamma, *beta, *qkv, *qkv_bias, *proj, *proj_bias;
} vit_attention_parts;

static inline vit_attention_parts vit_attention_at(float *p, int64_t C)
{
    vit_attention_parts a = {p, p + C, p + 2 * C, p + 2 * C + 3 * C * C, p + 5 * C + 3 * C * C, p + 5 * C + 4 * C * C};
    return a;
}

typedef struct vit_attention_kept {
    float *stats, *qkv, *o, *log_sum; /* [rows,2], [rows,3C], [rows,C], [B,heads,T] */
} vit_attention_kept;

static inline vit_attention_kept vit_attention_kept_at(float *p, int64_t C, int64_t rows)
{
    vit_attention_kept a = {p, p + 2 * rows, p + (2 + 3 * C) * rows, p + (2 + 4 * C) * rows};
    return a;
}

typedef struct vit_mlp_parts {
    float *gamma, *beta, *fc1, *fc1_bias, *fc2, *fc2_bias;
} vit_mlp_parts;

static inline vit_mlp_parts vit_mlp_at(float *p, int64_t C)
{
    vit_mlp_parts m = {p, p + C, p + 2 * C, p + 2 * C + 4 * C * C, p + 6 * C + 4 * C * C, p + 6 * C + 8 * C * C};
    return m;
}

#endif
