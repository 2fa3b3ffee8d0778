/* One pass of the encoder and its gradients. METHOD.md section 4.
 *
 * Of the last block only the class token's MLP is worked out: nothing looks at the other tokens behind it. In training its BatchNorm takes the
 * statistics of all tokens all the same, so the numbers are those of the whole; in evaluation its attention is the class token's alone, too. */
#include "model/encoder.h"

#include "compute/vit_parts.h"
#include "model/batch_statistics.h"
#include <stdlib.h>
#include <string.h>

static const float layer_norm_eps = 1e-6f, batch_norm_eps = 1e-5f, momentum = 0.1f;

struct deco_encoder_pass {
    deco_encoder *e;
    deco_device *dev;
    int64_t batch, T, C;
    int64_t lowest; /* the first block that is differentiated; depth: none */
    bool training, checkpointing;
    unsigned char *block; /* all of the device memory below */

    unsigned char *pixels;            /* [batch,side,side] */
    float *patches;                   /* [batch·N,patch²] */
    float *a, *b, *c;                 /* [batch,T,C] what a block leaves on its way; the gradients' memory too. c with training */
    float *kept;                      /* [depth - lowest][batch,T,C] inputs of the blocks that are differentiated */
    float *middle;                    /* and what stands between their halves; of one block with checkpointing */
    float *attention, *mlp;           /* what their halves keep; so too */
    float *stats;                     /* [depth,2,C] */
    float *cls, *normal, *head_stats; /* [batch,C], [batch,C], [batch,2] of the head */
    float *x1, *n1, *wide, *gelu;     /* [batch,C], [batch,C], [batch,4C], [batch,4C]: the class tokens through the last MLP */
    float *small, *small2;            /* [batch,C] */
    int64_t B;                        /* images of the last TRAIN pass; 0: none, or its gradients were taken */
};

/* What a pass keeps, as {where its address goes, bytes}. */
typedef struct piece {
    void *pointer;
    size_t bytes;
} piece;

enum { PIECES = 19 };

static int64_t lowest_block(const deco_vit *v, int64_t first)
{
    int64_t i = 0;
    while (i < v->depth && deco_vit_block_offset(v, i + 1) <= first)
        i++;
    return i;
}

/* The last block's MLP works on class tokens alone, and keeps nothing here. */
static void list_pieces(piece out[PIECES], deco_encoder_pass *p, const deco_vit *v)
{
    const size_t f = sizeof(float);
    int64_t B = p->batch, C = v->C, T = deco_vit_tokens(v), rows = B * T, blocks = p->training ? v->depth - p->lowest : 0;
    int64_t wholes = p->checkpointing && blocks ? 1 : blocks, mlps = p->checkpointing ? blocks > 1 : blocks - 1;
    size_t x = (size_t)(rows * C) * f;
    const piece list[PIECES] = {
        {&p->pixels, (size_t)(B * v->side * v->side)},
        {&p->patches, (size_t)(B * (T - 1) * v->patch * v->patch) * f},
        {&p->a, x},
        {&p->b, x},
        {&p->c, blocks ? x : 0},
        {&p->kept, (size_t)blocks * x},
        {&p->middle, (size_t)wholes * x},
        {&p->attention, (size_t)(wholes * deco_vit_attention_saved(C, v->heads, rows)) * f},
        {&p->mlp, (size_t)((mlps > 0 ? mlps : 0) * deco_vit_mlp_saved(C, rows)) * f},
        {&p->stats, (size_t)(v->depth * 2 * C) * f},
        {&p->cls, (size_t)(B * C) * f},
        {&p->normal, (size_t)(B * C) * f},
        {&p->head_stats, (size_t)(B * 2) * f},
        {&p->x1, (size_t)(B * C) * f},
        {&p->n1, (size_t)(B * C) * f},
        {&p->wide, (size_t)(B * 4 * C) * f},
        {&p->gelu, (size_t)(B * 4 * C) * f},
        {&p->small, (size_t)(B * C) * f},
        {&p->small2, (size_t)(B * C) * f},
    };
    memcpy(out, list, sizeof list);
}

static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

size_t deco_encoder_pass_bytes(const deco_vit *v, int64_t first, int64_t batch, bool training, bool checkpointing)
{
    deco_encoder_pass none = {.batch = batch, .lowest = lowest_block(v, first), .training = training, .checkpointing = checkpointing};
    piece list[PIECES];
    size_t sum = 0;

    list_pieces(list, &none, v);
    for (int i = 0; i < PIECES; i++)
        sum += lines(list[i].bytes);
    return sum;
}

deco_status deco_encoder_pass_create(deco_encoder_pass **out, deco_encoder *e, int64_t batch, bool training, bool checkpointing)
{
    deco_status st = DECO_OK;
    deco_encoder_pass *p = NULL;
    piece list[PIECES];

    *out = NULL;
    if (batch < 1 || batch > INT64_MAX / 4096 / (deco_vit_tokens(&e->shape) * e->shape.C * e->shape.depth))
        return deco_fail(DECO_E_ARGUMENT, "the encoder cannot take %lld images at once", (long long)batch);
    TRY(deco_alloc(&p, 1, sizeof *p, "a pass of the encoder"));
    *p = (deco_encoder_pass){.e = e, .dev = e->dev, .batch = batch, .training = training, .checkpointing = checkpointing};
    p->T = deco_vit_tokens(&e->shape), p->C = e->shape.C;
    p->lowest = lowest_block(&e->shape, e->first);
    TRY(deco_device_alloc(p->dev, &p->block, deco_encoder_pass_bytes(&e->shape, e->first, batch, training, checkpointing),
                          "a pass of the encoder"));
    list_pieces(list, p, &e->shape);
    unsigned char *next = p->block;
    for (int i = 0; i < PIECES; i++) {
        memcpy(list[i].pointer, &next, sizeof next); /* pointers to numbers of two types, through one list */
        next += lines(list[i].bytes);
    }
    *out = p;
    p = NULL;
out:
    deco_encoder_pass_free(p);
    return st;
}

void deco_encoder_pass_free(deco_encoder_pass *p)
{
    if (!p)
        return;
    deco_device_release(p->dev, p->block);
    free(p);
}

/* ---- places --------------------------------------------------------------------------------------------------------- */

static deco_array tokens(const deco_encoder_pass *p, float *x, int64_t B) { return deco_f32_3(x, B, p->T, p->C); }
static deco_array rows(const deco_encoder_pass *p, float *x, int64_t B) { return deco_f32_2(x, B * p->T, p->C); }
static deco_array stats_of(const deco_encoder_pass *p, int64_t i) { return deco_f32_2(p->stats + i * 2 * p->C, 2, p->C); }

static deco_array attention_params(const deco_encoder_pass *p, float *vector, int64_t i)
{
    return deco_f32_1(vector + deco_vit_block_offset(&p->e->shape, i), deco_vit_attention_parameters(p->C));
}

static deco_array mlp_params(const deco_encoder_pass *p, float *vector, int64_t i)
{
    int64_t at = deco_vit_block_offset(&p->e->shape, i) + deco_vit_attention_parameters(p->C);
    return deco_f32_1(vector + at, deco_vit_mlp_parameters(p->C));
}

/* Place of block i's among what is kept of one each; one serves all with checkpointing. */
static int64_t slot(const deco_encoder_pass *p, int64_t i) { return p->checkpointing ? 0 : i - p->lowest; }
static float *input_of(const deco_encoder_pass *p, int64_t i) { return p->kept + (i - p->lowest) * p->batch * p->T * p->C; }
static float *middle_of(const deco_encoder_pass *p, int64_t i) { return p->middle + slot(p, i) * p->batch * p->T * p->C; }

static deco_array attention_saved(const deco_encoder_pass *p, int64_t i, int64_t B)
{
    int64_t heads = p->e->shape.heads;
    return deco_f32_1(p->attention + slot(p, i) * deco_vit_attention_saved(p->C, heads, p->batch * p->T),
                      deco_vit_attention_saved(p->C, heads, B * p->T));
}

static deco_array mlp_saved(const deco_encoder_pass *p, int64_t i, int64_t B)
{
    return deco_f32_1(p->mlp + slot(p, i) * deco_vit_mlp_saved(p->C, p->batch * p->T), deco_vit_mlp_saved(p->C, B * p->T));
}

/* ---- forward -------------------------------------------------------------------------------------------------------- */

static deco_status embed(deco_encoder_pass *p, float *x, const unsigned char *pixels, int64_t B)
{
    deco_status st = DECO_OK;
    const deco_vit *v = &p->e->shape;
    int64_t N = deco_vit_patches(v), area = v->patch * v->patch;
    float *w = p->e->x;
    deco_array patches = deco_f32_2(p->patches, B * N, area), projected = deco_f32_2(p->b, B * N, p->C);

    TRY(deco_device_upload(p->dev, p->pixels, pixels, (size_t)(B * v->side * v->side)));
    TRY(deco_patches(p->dev, patches, deco_array_of(p->pixels, DECO_U8, 3, B, v->side, v->side, 1), v->patch));
    TRY(deco_linear(p->dev, projected, patches, deco_f32_2(w, p->C, area), deco_f32_1(w + p->C * area, p->C), DECO_LINEAR));
    TRY(deco_tokens(p->dev, tokens(p, x, B), projected, deco_f32_1(w + deco_vit_class_offset(v), p->C),
                    deco_f32_2(w + deco_vit_positions_offset(v), p->T, p->C)));
out:
    return st;
}

/* The last block's MLP, of the class tokens: cls [B,C] from p->x1 [B,C]. */
static deco_status last_mlp(deco_encoder_pass *p, int64_t B)
{
    deco_status st = DECO_OK;
    int64_t C = p->C, i = p->e->shape.depth - 1;
    vit_mlp_parts w = vit_mlp_at(mlp_params(p, p->e->x, i).data, C);
    deco_array from = deco_f32_2(p->x1, B, C), normal = deco_f32_2(p->n1, B, C), wide = deco_f32_2(p->wide, B, 4 * C);
    deco_array gelu = deco_f32_2(p->gelu, B, 4 * C), to = deco_f32_2(p->cls, B, C);

    TRY(deco_batch_norm(p->dev, normal, from, stats_of(p, i), deco_f32_1(w.gamma, C), deco_f32_1(w.beta, C)));
    TRY(deco_linear(p->dev, wide, normal, deco_f32_2(w.fc1, 4 * C, C), deco_f32_1(w.fc1_bias, 4 * C), DECO_LINEAR));
    TRY(deco_gelu(p->dev, gelu, wide));
    TRY(deco_linear(p->dev, to, gelu, deco_f32_2(w.fc2, C, 4 * C), deco_f32_1(w.fc2_bias, C), DECO_LINEAR));
    TRY(deco_add(p->dev, to, to, from));
out:
    return st;
}

/* The last block in evaluation. */
static deco_status look_at_last_block(deco_encoder_pass *p, float *x, int64_t i, int64_t B)
{
    deco_status st = DECO_OK;
    deco_encoder *e = p->e;

    TRY(deco_vit_class_attention(p->dev, e->shape.heads, deco_f32_2(p->x1, B, p->C), tokens(p, x, B), attention_params(p, e->x, i)));
    TRY(deco_running_statistics(p->dev, stats_of(p, i), deco_f32_2(e->running + i * 2 * p->C, 2, p->C), batch_norm_eps));
    TRY(last_mlp(p, B));
out:
    return st;
}

/* Block i of x; *next is where its output lies: in x itself, when nothing is kept. */
static deco_status forward_block(deco_encoder_pass *p, float **next, float *x, int64_t i, int64_t B, deco_encoder_mode mode)
{
    deco_status st = DECO_OK;
    deco_encoder *e = p->e;
    bool kept = mode == DECO_ENCODER_TRAIN && i >= p->lowest, saves = kept && !p->checkpointing, last = i == e->shape.depth - 1;
    float *x1 = kept ? middle_of(p, i) : x;
    deco_array running = deco_f32_2(e->running + i * 2 * p->C, 2, p->C);

    *next = mode == DECO_ENCODER_TRAIN && i + 1 >= p->lowest && !last ? input_of(p, i + 1) : p->a;
    TRY(deco_vit_attention(p->dev, e->shape.heads, tokens(p, x1, B), saves ? attention_saved(p, i, B) : deco_none(), tokens(p, x, B),
                           attention_params(p, e->x, i)));
    if (mode == DECO_ENCODER_TRAIN)
        TRY(deco_batch_statistics_of_all(e, stats_of(p, i), running, rows(p, x1, B), batch_norm_eps, momentum));
    else
        TRY(deco_running_statistics(p->dev, stats_of(p, i), running, batch_norm_eps));
    if (last) {
        TRY(deco_class_token(p->dev, deco_f32_2(p->x1, B, p->C), tokens(p, x1, B)));
        TRY(last_mlp(p, B));
    } else
        TRY(deco_vit_mlp(p->dev, tokens(p, *next, B), saves ? mlp_saved(p, i, B) : deco_none(), tokens(p, x1, B), stats_of(p, i),
                         mlp_params(p, e->x, i)));
out:
    return st;
}

deco_status deco_encoder_forward(deco_encoder_pass *p, float *z, const unsigned char *pixels, int64_t B, deco_encoder_mode mode)
{
    deco_status st = DECO_OK;
    const deco_vit *v = &p->e->shape;
    float *x = mode == DECO_ENCODER_TRAIN && !p->lowest ? input_of(p, 0) : p->a, *w = p->e->x + deco_vit_head_offset(v);
    int64_t C = p->C;
    deco_array normal = deco_f32_2(p->normal, B, C);

    p->B = 0;
    if (B < 1 || B > p->batch || (mode == DECO_ENCODER_TRAIN && !p->training))
        TRY(deco_fail(DECO_E_ARGUMENT, "a pass of %lld images through the encoder; it takes 1 to %lld%s", (long long)B, (long long)p->batch,
                      p->training ? "" : ", without training"));
    TRY(embed(p, x, pixels, B));
    for (int64_t i = 0; i < v->depth; i++)
        TRY(i == v->depth - 1 && mode == DECO_ENCODER_EVAL ? look_at_last_block(p, x, i, B) : forward_block(p, &x, x, i, B, mode));
    TRY(deco_layer_norm(p->dev, normal, deco_f32_2(p->head_stats, B, 2), deco_f32_2(p->cls, B, C), deco_f32_1(w, C), deco_f32_1(w + C, C),
                        layer_norm_eps));
    TRY(deco_linear(p->dev, deco_f32_2(z, B, v->Z), normal, deco_f32_2(w + 2 * C, v->Z, C), deco_f32_1(w + 2 * C + v->Z * C, v->Z),
                    DECO_LINEAR));
    if (mode == DECO_ENCODER_TRAIN) {
        p->B = B;
        p->e->batches++;
    }
out:
    return st;
}

/* ---- backward ------------------------------------------------------------------------------------------------------- */

/* `grad` counts from the first trained parameter. dcls [B,C] into p->small. */
static deco_status head_backward(deco_encoder_pass *p, float *grad, const float *dz)
{
    deco_status st = DECO_OK;
    const deco_vit *v = &p->e->shape;
    int64_t B = p->B, C = p->C, Z = v->Z;
    float *w = p->e->x + deco_vit_head_offset(v), *d = grad + deco_vit_head_offset(v) - p->e->first;
    deco_array dnormal = deco_f32_2(p->small2, B, C);

    TRY(deco_linear_backward(p->dev, dnormal, deco_f32_2(d + 2 * C, Z, C), deco_f32_1(d + 2 * C + Z * C, Z), deco_f32_2((float *)dz, B, Z),
                             deco_f32_2(p->normal, B, C), deco_f32_2(w + 2 * C, Z, C)));
    TRY(deco_layer_norm_backward(p->dev, deco_f32_2(p->small, B, C), deco_f32_1(d, C), deco_f32_1(d + C, C), dnormal,
                                 deco_f32_2(p->cls, B, C), deco_f32_2(p->head_stats, B, 2), deco_f32_1(w, C)));
out:
    return st;
}

/* From dcls in p->small to the gradient of x1 [B,T,C] in p->a. Other tokens have a gradient through the norm's statistics alone. */
static deco_status last_mlp_backward(deco_encoder_pass *p, float *grad, float *x1)
{
    deco_status st = DECO_OK;
    int64_t B = p->B, C = p->C, i = p->e->shape.depth - 1;
    vit_mlp_parts w = vit_mlp_at(mlp_params(p, p->e->x, i).data, C), d = vit_mlp_at(mlp_params(p, grad - p->e->first, i).data, C);
    deco_array dcls = deco_f32_2(p->small, B, C), wide = deco_f32_2(p->wide, B, 4 * C), gelu = deco_f32_2(p->gelu, B, 4 * C);
    deco_array dnormal = deco_f32_2(p->small2, B, C), normal = deco_f32_2(p->n1, B, C);

    TRY(deco_linear_backward(p->dev, deco_none(), deco_f32_2(d.fc2, C, 4 * C), deco_f32_1(d.fc2_bias, C), dcls, gelu,
                             deco_f32_2(w.fc2, C, 4 * C)));
    TRY(deco_linear_backward(p->dev, gelu, deco_none(), deco_none(), dcls, gelu, deco_f32_2(w.fc2, C, 4 * C)));
    TRY(deco_gelu_backward(p->dev, wide, gelu, wide));
    TRY(deco_linear_backward(p->dev, dnormal, deco_f32_2(d.fc1, 4 * C, C), deco_f32_1(d.fc1_bias, 4 * C), wide, normal,
                             deco_f32_2(w.fc1, 4 * C, C)));
    TRY(deco_class_token_backward(p->dev, tokens(p, p->c, B), dnormal));
    TRY(deco_batch_norm_backward(p->dev, rows(p, p->a, B), deco_f32_1(d.gamma, C), deco_f32_1(d.beta, C), rows(p, p->c, B), rows(p, x1, B),
                                 stats_of(p, i), deco_f32_1(w.gamma, C)));
    TRY(deco_batch_gradient_of_all(p->e, rows(p, p->a, B), rows(p, x1, B), stats_of(p, i), w.gamma, d.gamma, d.beta));
    TRY(deco_class_token_backward(p->dev, tokens(p, p->c, B), dcls)); /* past the MLP */
    TRY(deco_add(p->dev, rows(p, p->a, B), rows(p, p->a, B), rows(p, p->c, B)));
out:
    return st;
}

/* With checkpointing: what the block would have kept, once more. */
static deco_status repeat_block(deco_encoder_pass *p, int64_t i)
{
    deco_status st = DECO_OK;
    deco_encoder *e = p->e;
    int64_t B = p->B;

    TRY(deco_vit_attention(p->dev, e->shape.heads, tokens(p, middle_of(p, i), B), attention_saved(p, i, B), tokens(p, input_of(p, i), B),
                           attention_params(p, e->x, i)));
    if (i < e->shape.depth - 1)
        TRY(deco_vit_mlp(p->dev, deco_none(), mlp_saved(p, i, B), tokens(p, middle_of(p, i), B), stats_of(p, i), mlp_params(p, e->x, i)));
out:
    return st;
}

/* The gradient of block i's output, in p->a (of the last block: of its class tokens, in p->small), becomes that of its input. */
static deco_status backward_block(deco_encoder_pass *p, float *grad, int64_t i)
{
    deco_status st = DECO_OK;
    deco_encoder *e = p->e;
    int64_t B = p->B;
    bool last = i == e->shape.depth - 1;
    float *x1 = middle_of(p, i), *vector = grad - e->first, *from = last ? p->a : p->c, *to = last ? p->c : p->a;

    if (p->checkpointing)
        TRY(repeat_block(p, i));
    if (last)
        TRY(last_mlp_backward(p, grad, x1));
    else {
        vit_mlp_parts w = vit_mlp_at(mlp_params(p, e->x, i).data, p->C), d = vit_mlp_at(mlp_params(p, vector, i).data, p->C);
        TRY(deco_vit_mlp_backward(p->dev, tokens(p, p->c, B), mlp_params(p, vector, i), tokens(p, p->a, B), mlp_saved(p, i, B),
                                  tokens(p, x1, B), stats_of(p, i), mlp_params(p, e->x, i)));
        TRY(deco_batch_gradient_of_all(e, rows(p, p->c, B), rows(p, x1, B), stats_of(p, i), w.gamma, d.gamma, d.beta));
    }
    TRY(deco_vit_attention_backward(p->dev, e->shape.heads, tokens(p, to, B), attention_params(p, vector, i), tokens(p, from, B),
                                    attention_saved(p, i, B), tokens(p, input_of(p, i), B), attention_params(p, e->x, i)));
    if (last) {
        float *swap = p->a; /* the gradient goes on in a */
        p->a = p->c, p->c = swap;
    }
out:
    return st;
}

deco_status deco_encoder_backward(deco_encoder_pass *p, float *gradient, const float *dz)
{
    deco_status st = DECO_OK;
    const deco_vit *v = &p->e->shape;

    if (!p->B)
        return deco_fail(DECO_E_ARGUMENT, "the encoder has no training pass to take gradients of");
    TRY(head_backward(p, gradient, dz));
    for (int64_t i = v->depth - 1; i >= p->lowest; i--)
        TRY(backward_block(p, gradient, i));
    if (p->e->first <= deco_vit_class_offset(v))
        TRY(deco_tokens_backward(p->dev, deco_f32_1(gradient + deco_vit_class_offset(v) - p->e->first, p->C), tokens(p, p->a, p->B)));
    p->B = 0;
out:
    return st;
}
