/* A density map at one latent: the decoder's Hartley values in the ball, then the inverse transform. METHOD.md section 7. */
#include "model/model.h"

#include "geometry/lattice.h"
#include <stdlib.h>

enum { BLOCK = 1 << 16 }; /* points decoded at a time: what a big box needs beyond its own map stays small */

/* Buffers of one block of points, on host and device. */
typedef struct decode_block {
    float *points, *values; /* [BLOCK,3], [BLOCK] */
    float *dev_points, *dev_values, *dev_z;
} decode_block;

static deco_status block_create(decode_block *b, deco_model *m, const float *z)
{
    deco_status st = DECO_OK;
    size_t Z = (size_t)m->shape.Z * sizeof(float);

    TRY(deco_alloc(&b->points, BLOCK, 3 * sizeof(float), "points to decode"));
    TRY(deco_alloc(&b->values, BLOCK, sizeof(float), "decoded points"));
    TRY(deco_device_alloc(m->dev, &b->dev_points, BLOCK * 3 * sizeof(float), "points to decode"));
    TRY(deco_device_alloc(m->dev, &b->dev_values, BLOCK * sizeof(float), "decoded points"));
    if (Z) {
        TRY(deco_device_alloc(m->dev, &b->dev_z, Z, "a latent"));
        TRY(deco_device_upload(m->dev, b->dev_z, z, Z));
    }
out:
    return st;
}

static void block_free(decode_block *b, deco_device *dev)
{
    free(b->points);
    free(b->values);
    deco_device_release(dev, b->dev_points);
    deco_device_release(dev, b->dev_values);
    deco_device_release(dev, b->dev_z);
}

/* b->values of the lattice points index [n]. */
static deco_status decode_points(decode_block *b, deco_model *m, const int64_t *index, int64_t n)
{
    deco_status st = DECO_OK;
    int64_t L = m->shape.L;
    deco_array params = deco_f32_1(m->mean, m->decoder.count), freqs = deco_f32_2(m->freqs, 3 * m->shape.pe_dim, 3);
    deco_array z = m->shape.Z ? deco_f32_2(b->dev_z, 1, m->shape.Z) : deco_none();

    for (int64_t i = 0; i < n; i++) {
        b->points[3 * i] = (float)deco_lattice_axis(L, index[i] % L);
        b->points[3 * i + 1] = (float)deco_lattice_axis(L, index[i] / L % L);
        b->points[3 * i + 2] = (float)deco_lattice_axis(L, index[i] / L / L);
    }
    TRY(deco_device_upload(m->dev, b->dev_points, b->points, (size_t)(3 * n) * sizeof(float)));
    TRY(deco_hypervolume_values(m->dev, &m->shape, deco_f32_2(b->dev_values, 1, n), deco_none(), params, freqs,
                                deco_f32_3(b->dev_points, 1, n, 3), deco_none(), z));
    TRY(deco_device_download(m->dev, b->values, b->dev_values, (size_t)n * sizeof(float)));
out:
    return st;
}

/* hartley [box,box,box]: the ball's values times the dataset's standard deviation, zero elsewhere. The last index of each lattice axis is the
 * far edge of the symmetrised transform and is dropped. */
static deco_status decode_ball(float *hartley, deco_model *m, int64_t box, const float *z)
{
    deco_status st = DECO_OK;
    decode_block b = {0};
    deco_ball *ball = NULL;
    bool bf16 = deco_device_use_bf16(m->dev, false); /* maps are looked at for small things */
    int64_t D = m->D, L = m->shape.L, first_index = (D - box) / 2, radius = m->radius < box / 2 ? m->radius : box / 2;
    double part = (double)box / (double)D, scale = m->std * (part * part * part); /* of the smaller inverse; std itself where box is D */

    for (int64_t i = 0; i < box * box * box; i++)
        hartley[i] = 0;
    TRY(deco_ball_create(&ball, L, radius));
    TRY(block_create(&b, m, z));
    for (int64_t first = 0; first < ball->P; first += BLOCK) {
        int64_t n = ball->P - first < BLOCK ? ball->P - first : BLOCK;
        const int64_t *index = ball->index + first;
        TRY(decode_points(&b, m, index, n));
        for (int64_t i = 0; i < n; i++) {
            int64_t x = index[i] % L - first_index, y = index[i] / L % L - first_index, zz = index[i] / L / L - first_index;
            if (x < box && y < box && zz < box)
                hartley[(zz * box + y) * box + x] = (float)(scale * b.values[i]);
        }
    }
out:
    deco_device_use_bf16(m->dev, bf16);
    block_free(&b, m->dev);
    deco_ball_free(ball);
    return st;
}

deco_status deco_model_decode(float *out, deco_model *m, int64_t box, const float *z)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)(box * box * box) * sizeof(float);
    float *map = NULL;
    deco_array volume;

    if (box < 2 || box % 2 || box > m->D)
        return deco_fail(DECO_E_ARGUMENT, "a map of %lld px was asked for; it must be even and at most %lld", (long long)box,
                         (long long)m->D);
    TRY(decode_ball(out, m, box, z));
    TRY(deco_device_alloc(m->dev, &map, bytes, "a density map"));
    TRY(deco_device_upload(m->dev, map, out, bytes));
    volume = deco_f32_3(map, box, box, box);
    TRY(deco_hartley_3d(m->dev, volume, volume, true));
    TRY(deco_device_download(m->dev, out, map, bytes));
out:
    deco_device_release(m->dev, map);
    return st;
}
