/* From bytes to tokens, and the class token back. METHOD.md section 4. */
#include "compute/cpu/cpu.h"
#include "formulas/encoder_pixel.h"

#include <string.h>

typedef struct patches {
    float *rows;
    const unsigned char *pixels;
    int64_t grid, patch;
    float value[256];
} patches;

static deco_status patch_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const patches *p = context;
    int64_t side = p->grid * p->patch, n = p->grid * p->grid, area = p->patch * p->patch;
    for (int64_t i = begin; i < end; i++) {
        const unsigned char *from = p->pixels + i / n * side * side + (i % n / p->grid * side + i % n % p->grid) * p->patch;
        float *to = p->rows + i * area;
        for (int64_t y = 0; y < p->patch; y++)
            for (int64_t x = 0; x < p->patch; x++)
                to[y * p->patch + x] = p->value[from[y * side + x]];
    }
    return DECO_OK;
}

deco_status cpu_patches(deco_device *dev, deco_array rows, deco_array pixels, int64_t patch)
{
    patches p = {.rows = rows.data, .pixels = pixels.data, .grid = pixels.shape[1] / patch, .patch = patch};
    for (int i = 0; i < 256; i++)
        p.value[i] = deco_encoder_pixel((uint8_t)i);
    return cpu_for(dev, rows.shape[0], 256, patch_rows, &p);
}

typedef struct tokens {
    float *x, *dcls;
    const float *patch, *cls, *pos, *dx;
    int64_t B, T, C;
} tokens;

static deco_status token_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const tokens *t = context;
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / t->T, at = i % t->T;
        const float *from = at ? t->patch + (b * (t->T - 1) + at - 1) * t->C : t->cls, *pos = t->pos + at * t->C;
        for (int64_t c = 0; c < t->C; c++)
            t->x[i * t->C + c] = from[c] + pos[c];
    }
    return DECO_OK;
}

deco_status cpu_tokens(deco_device *dev, deco_array x, deco_array patch, deco_array cls, deco_array pos)
{
    tokens t = {.x = x.data, .patch = patch.data, .cls = cls.data, .pos = pos.data};
    t.B = x.shape[0], t.T = x.shape[1], t.C = x.shape[2];
    return cpu_for(dev, t.B * t.T, 256, token_rows, &t);
}

static deco_status sum_class(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const tokens *t = context;
    for (int64_t c = begin; c < end; c++) {
        double sum = 0;
        for (int64_t b = 0; b < t->B; b++)
            sum += t->dx[b * t->T * t->C + c];
        t->dcls[c] = (float)sum;
    }
    return DECO_OK;
}

deco_status cpu_tokens_backward(deco_device *dev, deco_array dcls, deco_array dx)
{
    tokens t = {.dcls = dcls.data, .dx = dx.data};
    t.B = dx.shape[0], t.T = dx.shape[1], t.C = dx.shape[2];
    return cpu_for(dev, t.C, 256, sum_class, &t);
}

/* ---- the class token alone ----------------------------------------------------------------------------------------- */

deco_status cpu_class_token(deco_device *dev, deco_array y, deco_array x)
{
    int64_t T = x.shape[1], C = x.shape[2];
    for (int64_t b = 0; b < x.shape[0]; b++)
        memcpy((float *)y.data + b * C, (const float *)x.data + b * T * C, (size_t)C * sizeof(float));
    return DECO_OK;
}

deco_status cpu_class_token_backward(deco_device *dev, deco_array dx, deco_array dy)
{
    int64_t T = dx.shape[1], C = dx.shape[2];
    for (int64_t b = 0; b < dx.shape[0]; b++) {
        float *to = (float *)dx.data + b * T * C;
        memcpy(to, (const float *)dy.data + b * C, (size_t)C * sizeof(float));
        memset(to + C, 0, (size_t)((T - 1) * C) * sizeof(float));
    }
    return DECO_OK;
}
