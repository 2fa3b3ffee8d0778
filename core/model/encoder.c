/* The encoder's memory, and how a fresh one starts. METHOD.md section 4. */
#include "model/encoder.h"

#include "base/philox.h"
#include <stdlib.h>
#include <string.h>

deco_status deco_encoder_allocate(deco_encoder **out, deco_device *dev, const deco_vit *shape, int64_t first, bool moments)
{
    deco_status st = DECO_OK;
    deco_encoder *e = NULL;

    *out = NULL;
    TRY(deco_vit_check(shape));
    TRY(deco_alloc(&e, 1, sizeof *e, "the encoder"));
    e->dev = dev;
    e->shape = *shape;
    e->count = deco_vit_parameters(shape);
    e->first = first;
    size_t trained = (size_t)(e->count - first) * sizeof(float);
    TRY(deco_device_alloc(dev, &e->x, (size_t)e->count * sizeof(float), "the encoder"));
    TRY(deco_device_alloc(dev, &e->running, (size_t)(shape->depth * 2 * shape->C) * sizeof(float), "the encoder"));
    if (moments) {
        TRY(deco_device_alloc(dev, &e->m, trained, "the encoder"));
        TRY(deco_device_alloc(dev, &e->v, trained, "the encoder"));
    }
    *out = e;
    e = NULL;
out:
    deco_encoder_free(e);
    return st;
}

void deco_encoder_free(deco_encoder *e)
{
    if (!e)
        return;
    deco_device_release(e->dev, e->x);
    deco_device_release(e->dev, e->m);
    deco_device_release(e->dev, e->v);
    deco_device_release(e->dev, e->running);
    free(e);
}

int64_t deco_encoder_first(const deco_vit *v, const char *strategy, int64_t blocks)
{
    if (!strcmp(strategy, "mlp_layer"))
        return deco_vit_head_offset(v);
    if (!strcmp(strategy, "vit_block") && blocks < v->depth)
        return deco_vit_block_offset(v, v->depth - blocks);
    return strcmp(strategy, "vit_block") ? deco_vit_class_offset(v) : deco_vit_block_offset(v, 0);
}

/* Each tensor has numbers of its own: another depth leaves those of the first blocks as they are. */
static void draw_tensor(float *out, const deco_vit_tensor *t, const deco_vit *v, uint64_t seed, int64_t i)
{
    deco_random r = deco_random_at(seed, DECO_STREAM_ENCODER, (uint64_t)i);
    switch (t->start) {
    case DECO_VIT_POSITIONS: deco_vit_positions(out, v); break;
    case DECO_VIT_UNIFORM:
        for (int64_t k = 0; k < t->count; k++)
            out[k] = (float)(t->spread * (2 * deco_random_uniform(&r) - 1));
        break;
    case DECO_VIT_NORMAL:
        for (int64_t k = 0; k < t->count; k++)
            out[k] = (float)(t->spread * deco_random_normal(&r));
        break;
    default:
        for (int64_t k = 0; k < t->count; k++)
            out[k] = t->start == DECO_VIT_ONE ? 1 : 0;
    }
}

/* Of each block, means 0 and variances 1. */
static deco_status reset_running(deco_encoder *e)
{
    deco_status st = DECO_OK;
    int64_t C = e->shape.C, n = e->shape.depth * 2 * C;
    float *host = NULL;

    TRY(deco_alloc(&host, (size_t)n, sizeof *host, "the encoder's running statistics"));
    for (int64_t i = 0; i < n; i++)
        host[i] = i / C % 2 ? 1 : 0;
    TRY(deco_device_upload(e->dev, e->running, host, (size_t)n * sizeof *host));
    e->batches = 0;
out:
    free(host);
    return st;
}

deco_status deco_encoder_draw(deco_encoder *e, uint64_t seed, bool head_only)
{
    deco_status st = DECO_OK;
    float *host = NULL;

    for (int64_t i = 0; i < deco_vit_tensors(&e->shape); i++) {
        deco_vit_tensor t = deco_vit_tensor_at(&e->shape, i);
        if (head_only && !t.ours)
            continue;
        TRY(deco_alloc(&host, (size_t)t.count, sizeof *host, "the encoder's first weights"));
        draw_tensor(host, &t, &e->shape, seed, t.ours ? i - deco_vit_tensors(&e->shape) : i); /* the head's are the same behind any depth */
        TRY(deco_device_upload(e->dev, e->x + t.offset, host, (size_t)t.count * sizeof *host));
        free(host);
        host = NULL;
    }
    if (!head_only)
        TRY(reset_running(e));
out:
    free(host);
    return st;
}

int64_t deco_encoder_heads(int64_t width) { return width == 192 ? 3 : width == 384 || width == 768 ? 12 : width == 1024 ? 16 : 0; }

bool deco_encoder_named(deco_vit *shape, const char *name)
{
    static const struct {
        const char *name;
        int64_t C, depth;
    } known[] = {{"vit_tiny", 192, 12}, {"vit_small", 384, 12}, {"vit_base", 768, 12}, {"vit_large", 1024, 24}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            shape->side = DECO_ENCODER_SIDE, shape->patch = DECO_ENCODER_PATCH;
            shape->C = known[i].C, shape->depth = known[i].depth, shape->heads = deco_encoder_heads(known[i].C);
            return true;
        }
    return false;
}
