/* Names, shapes and places of the encoder's parameters, and how they start. METHOD.md section 4, FORMATS.md section 1. */
#include "compute/vit.h"

#include <math.h>
#include <stdio.h>

enum { BEFORE = 4, IN_BLOCK = 12, IN_HEAD = 4 };

int64_t deco_vit_tensors(const deco_vit *v) { return BEFORE + IN_BLOCK * v->depth + IN_HEAD; }

static deco_vit_tensor tensor(const char *name, int dims, int64_t a, int64_t b, deco_vit_start start, double spread)
{
    deco_vit_tensor t = {.dims = dims, .shape = {a, b, 1, 1}, .start = start, .spread = spread};
    t.count = a * b;
    snprintf(t.name, sizeof t.name, "%s", name);
    return t;
}

static double xavier(int64_t in, int64_t out) { return sqrt(6.0 / (double)(in + out)); }

/* Patch projection, positions, class token. */
static deco_vit_tensor tensor_before(const deco_vit *v, int64_t i)
{
    int64_t C = v->C, p = v->patch;
    deco_vit_tensor t;
    switch (i) {
    case 0:
        t = tensor("patch_embed.proj.weight", 4, C, p * p, DECO_VIT_UNIFORM, xavier(3 * p * p, C));
        t.shape[1] = 1, t.shape[2] = t.shape[3] = p;
        return t;
    case 1: return tensor("patch_embed.proj.bias", 1, C, 1, DECO_VIT_ZERO, 0);
    case 2: t = tensor("pos_embed", 3, deco_vit_tokens(v), C, DECO_VIT_POSITIONS, 0); break;
    default: t = tensor("cls_token", 3, 1, C, DECO_VIT_NORMAL, 1e-6); break;
    }
    t.shape[2] = C, t.shape[1] = t.count / C, t.shape[0] = 1;
    return t;
}

static deco_vit_tensor tensor_in_block(const deco_vit *v, int64_t block, int64_t i)
{
    static const char *const name[IN_BLOCK] = {"norm1.weight",     "norm1.bias",     "attn.qkv.weight", "attn.qkv.bias",
                                               "attn.proj.weight", "attn.proj.bias", "norm2.weight",    "norm2.bias",
                                               "mlp.fc1.weight",   "mlp.fc1.bias",   "mlp.fc2.weight",  "mlp.fc2.bias"};
    int64_t C = v->C;
    char full[48];
    snprintf(full, sizeof full, "blocks.%lld.%s", (long long)block, name[i]);
    switch (i) {
    case 0:
    case 6: return tensor(full, 1, C, 1, DECO_VIT_ONE, 0);
    case 2: return tensor(full, 2, 3 * C, C, DECO_VIT_UNIFORM, xavier(C, C)); /* q, k and v each a matrix of its own */
    case 3: return tensor(full, 1, 3 * C, 1, DECO_VIT_ZERO, 0);
    case 4: return tensor(full, 2, C, C, DECO_VIT_UNIFORM, xavier(C, C));
    case 8: return tensor(full, 2, 4 * C, C, DECO_VIT_UNIFORM, xavier(C, 4 * C));
    case 9: return tensor(full, 1, 4 * C, 1, DECO_VIT_ZERO, 0);
    case 10: return tensor(full, 2, C, 4 * C, DECO_VIT_UNIFORM, xavier(4 * C, C));
    default: return tensor(full, 1, C, 1, DECO_VIT_ZERO, 0);
    }
}

static deco_vit_tensor tensor_in_head(const deco_vit *v, int64_t i)
{
    double bound = 1 / sqrt((double)v->C);
    deco_vit_tensor t = i == 0   ? tensor("head.norm.weight", 1, v->C, 1, DECO_VIT_ONE, 0)
                        : i == 1 ? tensor("head.norm.bias", 1, v->C, 1, DECO_VIT_ZERO, 0)
                        : i == 2 ? tensor("head.mlp_classifier.0.weight", 2, v->Z, v->C, DECO_VIT_UNIFORM, bound)
                                 : tensor("head.mlp_classifier.0.bias", 1, v->Z, 1, DECO_VIT_UNIFORM, bound);
    t.ours = true;
    return t;
}

static deco_vit_tensor tensor_without_place(const deco_vit *v, int64_t i)
{
    if (i < BEFORE)
        return tensor_before(v, i);
    i -= BEFORE;
    return i < IN_BLOCK * v->depth ? tensor_in_block(v, i / IN_BLOCK, i % IN_BLOCK) : tensor_in_head(v, i - IN_BLOCK * v->depth);
}

int64_t deco_vit_positions_offset(const deco_vit *v) { return v->C * v->patch * v->patch + v->C; }
int64_t deco_vit_class_offset(const deco_vit *v) { return deco_vit_positions_offset(v) + deco_vit_tokens(v) * v->C; }

int64_t deco_vit_block_offset(const deco_vit *v, int64_t block)
{
    return deco_vit_class_offset(v) + v->C + block * (deco_vit_attention_parameters(v->C) + deco_vit_mlp_parameters(v->C));
}

int64_t deco_vit_parameters(const deco_vit *v) { return deco_vit_head_offset(v) + 2 * v->C + v->Z * v->C + v->Z; }

deco_vit_tensor deco_vit_tensor_at(const deco_vit *v, int64_t i)
{
    int64_t block = i < BEFORE ? -1 : (i - BEFORE) / IN_BLOCK;
    if (block > v->depth)
        block = v->depth;
    int64_t first = block < 0 ? 0 : BEFORE + IN_BLOCK * block, offset = block < 0 ? 0 : deco_vit_block_offset(v, block);
    for (; first < i; first++)
        offset += tensor_without_place(v, first).count;
    deco_vit_tensor t = tensor_without_place(v, i);
    t.offset = offset;
    return t;
}

void deco_vit_positions(float *pos, const deco_vit *v)
{
    int64_t grid = v->side / v->patch, Q = v->C / 4;
    for (int64_t c = 0; c < v->C; c++)
        pos[c] = 0;
    for (int64_t i = 0; i < grid * grid; i++) {
        float *to = pos + (i + 1) * v->C;
        int64_t row = i / grid, column = i % grid;
        for (int64_t j = 0; j < Q; j++) {
            double omega = pow(10000, -(double)j / (double)Q), w = omega * (double)row, h = omega * (double)column;
            to[j] = (float)sin(w), to[Q + j] = (float)cos(w);
            to[2 * Q + j] = (float)sin(h), to[3 * Q + j] = (float)cos(h);
        }
    }
}

static deco_status in_range(const char *what, int64_t value, int64_t low, int64_t high)
{
    if (value < low || value > high)
        return deco_fail(DECO_E_ARGUMENT, "encoder: %s is %lld; it must be %lld to %lld", what, (long long)value, (long long)low,
                         (long long)high);
    return DECO_OK;
}

/* With these bounds the sum of all parameters stays below 2^42. */
deco_status deco_vit_check(const deco_vit *v)
{
    deco_status st = DECO_OK;
    TRY(in_range("the patch", v->patch, 1, 1024));
    TRY(in_range("the image's side", v->side, v->patch, 16384));
    TRY(in_range("the width", v->C, 4, 16384));
    TRY(in_range("the depth", v->depth, 1, 1024));
    TRY(in_range("the number of heads", v->heads, 1, v->C));
    TRY(in_range("the latent width", v->Z, 1, 65536));
    if (v->side % v->patch || v->C % 4 || v->C % v->heads)
        st =
            deco_fail(DECO_E_ARGUMENT,
                      "encoder: side %lld, patch %lld, width %lld and %lld heads do not go together: the patch divides the side, 4 and the "
                      "heads divide the width",
                      (long long)v->side, (long long)v->patch, (long long)v->C, (long long)v->heads);
out:
    return st;
}

double deco_vit_flop(const deco_vit *v)
{
    double C = (double)v->C, T = (double)deco_vit_tokens(v), N = (double)deco_vit_patches(v);
    return 2 * N * C * (double)(v->patch * v->patch) + (double)v->depth * T * (24 * C * C + 4 * T * C) + 2 * C * (double)v->Z;
}
