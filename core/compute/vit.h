/* The encoder's shape and the order of its parameters in one flat f32 vector. METHOD.md section 4, FORMATS.md section 1. */
#ifndef DECO_COMPUTE_VIT_H
#define DECO_COMPUTE_VIT_H

#include "base/status.h"

typedef struct deco_vit {
    int64_t side;  /* image, pixels: 224 */
    int64_t patch; /* 14 */
    int64_t C;     /* width, a multiple of 4 and of `heads` */
    int64_t depth, heads;
    int64_t Z; /* latent */
} deco_vit;

static inline int64_t deco_vit_patches(const deco_vit *v) { return (v->side / v->patch) * (v->side / v->patch); }
static inline int64_t deco_vit_tokens(const deco_vit *v) { return deco_vit_patches(v) + 1; } /* the class token is the first */

/* The two halves of a block, each a run of the flat vector:
 *   attention   norm1 γ [C], β [C]   qkv W [3C,C], b [3C]   proj W [C,C], b [C]
 *   MLP         norm2 γ [C], β [C]   fc1 W [4C,C], b [4C]   fc2 W [C,4C], b [C] */
static inline int64_t deco_vit_attention_parameters(int64_t C) { return 4 * C * C + 6 * C; }
static inline int64_t deco_vit_mlp_parameters(int64_t C) { return 8 * C * C + 7 * C; }

/* What either half keeps for its backward, in floats: per token mean and 1/σ of its LayerNorm, q, k, v, the attention's output, and the
 * logarithm of each head's softmax sum; the input of the GELU. */
static inline int64_t deco_vit_attention_saved(int64_t C, int64_t heads, int64_t rows) { return rows * (4 * C + 2 + heads); }
static inline int64_t deco_vit_mlp_saved(int64_t C, int64_t rows) { return rows * 4 * C; }

/* Where a tensor's first numbers come from. METHOD.md section 4. */
typedef enum deco_vit_start { DECO_VIT_ZERO, DECO_VIT_ONE, DECO_VIT_UNIFORM, DECO_VIT_NORMAL, DECO_VIT_POSITIONS } deco_vit_start;

/* Tensor i of the vector. First what is never trained (patch projection, positions), then the class token, the blocks, the head: so what
 * a run trains is always the rest of the vector from some place on. */
typedef struct deco_vit_tensor {
    char name[48]; /* timm's, as in the weights; the head's are "head.norm.weight" ... "head.mlp_classifier.0.bias" */
    int dims;
    int64_t shape[4];
    int64_t offset, count; /* in the flat vector */
    deco_vit_start start;
    double spread; /* of UNIFORM: ± this; of NORMAL: the standard deviation */
    bool ours;     /* the head: not in the weights */
} deco_vit_tensor;

int64_t deco_vit_tensors(const deco_vit *v);
deco_vit_tensor deco_vit_tensor_at(const deco_vit *v, int64_t i);
int64_t deco_vit_parameters(const deco_vit *v); /* length of the flat vector */

/* Places in the flat vector. */
int64_t deco_vit_positions_offset(const deco_vit *v);
int64_t deco_vit_class_offset(const deco_vit *v);
int64_t deco_vit_block_offset(const deco_vit *v, int64_t block); /* its attention half; block `depth`: the head */
static inline int64_t deco_vit_head_offset(const deco_vit *v) { return deco_vit_block_offset(v, v->depth); }

/* pos [T,C], fixed: the class token's is 0; per axis C/4 frequencies 10000^(-i/(C/4)), [sin w, cos w, sin h, cos h], w the row. */
void deco_vit_positions(float *pos, const deco_vit *v);

/* Every size in range. Fails: ARGUMENT. */
deco_status deco_vit_check(const deco_vit *v);

/* Floating-point operations of the matrix products an image, forward. */
double deco_vit_flop(const deco_vit *v);

#endif
