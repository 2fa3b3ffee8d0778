/* Positional encoding and the latent behind it. */
#include "compute/cpu/cpu.h"
#include "formulas/encoding.h"

#include <math.h>
#include <string.h>

enum { POINTS = 192 };

typedef struct encoding {
    float *out;
    const float *dpe, *x, *freqs;
    int64_t F; /* frequencies: half the features */
    float half_L;
} encoding;

static float half(int64_t L)
{
    int64_t h = L / 2;
    return (float)h;
}

static deco_status encode_points(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const encoding *e = context;
    for (int64_t i = begin; i < end; i++) {
        float *out = e->out + 2 * e->F * i;
        for (int64_t j = 0; j < e->F; j++) {
            float k = deco_encoding_phase(e->x + 3 * i, e->freqs + 3 * j, e->half_L);
            out[j] = sinf(k), out[e->F + j] = cosf(k);
        }
    }
    return DECO_OK;
}

deco_status cpu_positional_encoding(deco_device *dev, deco_array pe, deco_array x, deco_array freqs, int64_t L)
{
    encoding e = {pe.data, NULL, x.data, freqs.data, freqs.shape[0], half(L)};
    return cpu_for(dev, x.shape[0], POINTS, encode_points, &e);
}

static deco_status encode_points_backward(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const encoding *e = context;
    for (int64_t i = begin; i < end; i++) {
        const float *dsin = e->dpe + 2 * e->F * i, *dcos = dsin + e->F;
        double sum[3] = {0};
        for (int64_t j = 0; j < e->F; j++) {
            const float *f = e->freqs + 3 * j;
            float k = deco_encoding_phase(e->x + 3 * i, f, e->half_L), dk = cosf(k) * dsin[j] - sinf(k) * dcos[j];
            for (int a = 0; a < 3; a++)
                sum[a] += (double)dk * f[a];
        }
        for (int a = 0; a < 3; a++)
            e->out[3 * i + a] = (float)(e->half_L * sum[a]);
    }
    return DECO_OK;
}

deco_status cpu_positional_encoding_backward(deco_device *dev, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L)
{
    encoding e = {dx.data, dpe.data, x.data, freqs.data, freqs.shape[0], half(L)};
    return cpu_for(dev, x.shape[0], POINTS, encode_points_backward, &e);
}

/* ---- the latent ------------------------------------------------------------------------------------------------- */

typedef struct append {
    float *y, *dx;
    const float *x, *z, *dy;
    int64_t P, F, Z;
    double *part; /* [B, tiles, Z] */
    int64_t tiles;
} append;

static deco_status append_points(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const append *a = context;
    for (int64_t i = begin; i < end; i++) {
        float *y = a->y + i * (a->F + a->Z);
        memcpy(y, a->x + i * a->F, (size_t)a->F * sizeof *y);
        memcpy(y + a->F, a->z + i / a->P * a->Z, (size_t)a->Z * sizeof *y);
    }
    return DECO_OK;
}

deco_status cpu_append_latent(deco_device *dev, deco_array y, deco_array x, deco_array z)
{
    append a = {.y = y.data, .x = x.data, .z = z.data, .P = x.shape[1], .F = x.shape[2], .Z = z.shape[1]};
    return cpu_for(dev, x.shape[0] * x.shape[1], POINTS, append_points, &a);
}

/* One image's points of one tile: tiles are cut within an image, so that each image's sum stands alone. */
static deco_status append_backward(deco_device *dev, const void *context, int64_t task, int64_t begin, int64_t end, int worker)
{
    const append *a = context;
    int64_t b = task / a->tiles, first = task % a->tiles * POINTS, last = first + POINTS < a->P ? first + POINTS : a->P;
    double *dz = a->part ? a->part + task * a->Z : NULL;
    if (dz)
        memset(dz, 0, (size_t)a->Z * sizeof *dz);
    for (int64_t p = first; p < last; p++) {
        const float *dy = a->dy + (b * a->P + p) * (a->F + a->Z);
        if (a->dx)
            memcpy(a->dx + (b * a->P + p) * a->F, dy, (size_t)a->F * sizeof *dy);
        for (int64_t j = 0; dz && j < a->Z; j++)
            dz[j] += dy[a->F + j];
    }
    return DECO_OK;
}

deco_status cpu_append_latent_backward(deco_device *dev, deco_array dx, deco_array dz, deco_array dy)
{
    deco_status st = DECO_OK;
    int64_t B = dy.shape[0], P = dy.shape[1], W = dy.shape[2], F = dx.data ? dx.shape[2] : W - dz.shape[1];
    append a = {.dx = dx.data, .dy = dy.data, .P = P, .F = F, .Z = W - F, .tiles = cpu_tiles(P, POINTS)};

    if (dz.data)
        TRY(deco_scratch_take(dev, &a.part, (size_t)(B * a.tiles * a.Z) * sizeof *a.part, "gradients of latents"));
    TRY(cpu_for(dev, B * a.tiles, 1, append_backward, &a));
    for (int64_t b = 0; dz.data && b < B; b++)
        cpu_add_tiles((float *)dz.data + b * a.Z, a.part + b * a.tiles * a.Z, a.tiles, a.Z);
out:
    deco_scratch_give(dev, a.part);
    return st;
}
