/* Snapshots of the decoder: its values on the lattice k/os inside the ball that slices can touch. */
#include "training/pose_search_sliced.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 15 }; /* points decoded at a time */

/* Walks through the ball: whole lattice indices, x fastest. */
typedef struct ball_walk {
    int64_t reach, at[3]; /* -reach ... reach each */
    double radius2;
} ball_walk;

/* The corner farthest from a point on the slice's rim is less than sqrt(3) away. */
static ball_walk ball_begin(const deco_search_sliced *s)
{
    double radius = (double)s->level[s->widest].half.radius * (double)s->config.oversampling + 1.75;
    return (ball_walk){.reach = s->reach, .at = {-s->reach - 1, -s->reach, -s->reach}, .radius2 = radius * radius};
}

static bool ball_next(ball_walk *w)
{
    for (;;) {
        if (++w->at[0] > w->reach) {
            w->at[0] = -w->reach;
            if (++w->at[1] > w->reach) {
                w->at[1] = -w->reach;
                if (++w->at[2] > w->reach)
                    return false;
            }
        }
        double x = (double)w->at[0], y = (double)w->at[1], z = (double)w->at[2];
        if (x * x + y * y + z * z <= w->radius2)
            return true;
    }
}

/* To the record at (x, y, z), and as its neighbour to the one at y - 1. */
static void put_in_record(float *quad, int64_t n, int64_t x, int64_t y, int64_t z, int member, float value)
{
    float *record = quad + 4 * ((z * n + y) * n + x);
    record[member] = value;
    if (y > 0)
        record[member + 2 - 4 * n] = value;
}

/* A value at a point is the first of a record there, and the second of one at the opposite point. */
static void put_value(float *quad, const deco_snapshot *shape, int64_t reach, const int64_t at[3], float value)
{
    if (at[2] >= 0)
        put_in_record(quad, shape->n, at[0] + reach, at[1] + reach, at[2], 0, value);
    if (at[2] <= 0)
        put_in_record(quad, shape->n, reach - at[0], reach - at[1], -at[2], 1, value);
}

deco_status deco_sliced_snapshots_create(deco_search_sliced *s)
{
    deco_status st = DECO_OK;
    int64_t os = s->config.oversampling, K = s->config.centroids, Z = s->Z;

    s->reach = s->level[s->widest].half.radius * os + 1;
    int64_t n = 2 * s->reach + 2, planes = s->reach + 2; /* one more than the ball: a point on the rim may round past it */
    s->quads_each = 4 * n * n * planes;
    if (s->quads_each > INT32_MAX)
        TRY(deco_fail(DECO_E_ARGUMENT, "snapshots of radius %lld, oversampled %lld times, are too large; a smaller l_end will do",
                      (long long)(s->reach / os), (long long)os));
    TRY(deco_alloc(&s->snapshot, (size_t)K, sizeof *s->snapshot, "snapshots of the decoder"));
    TRY(deco_alloc(&s->quads, (size_t)K * (size_t)s->quads_each, sizeof *s->quads, "snapshots of the decoder"));
    TRY(deco_alloc(&s->z, (size_t)(K * Z) + 1, sizeof *s->z, "centroids of the latents"));
    for (int64_t i = 0; i < K; i++)
        s->snapshot[i] = (deco_snapshot){s->quads + i * s->quads_each, n, planes, (float)s->reach, (float)os};
out:
    return st;
}

void deco_sliced_snapshots_free(deco_search_sliced *s)
{
    free(s->snapshot);
    free(s->quads);
    free(s->z);
}

static void set_centroid(deco_search_sliced *s, int64_t centroid, const float *z)
{
    if (z)
        memcpy(s->z + centroid * s->Z, z, (size_t)s->Z * sizeof *z);
}

deco_status deco_search_sliced_fill(deco_search_sliced *s, int64_t centroid, const float *z,
                                    float (*value)(void *context, const double k[3]), void *context)
{
    ball_walk w = ball_begin(s);
    double os = (double)s->config.oversampling;

    while (ball_next(&w)) {
        double k[3] = {(double)w.at[0] / os, (double)w.at[1] / os, (double)w.at[2] / os};
        put_value(s->quads + centroid * s->quads_each, &s->snapshot[centroid], w.reach, w.at, value(context, k));
    }
    set_centroid(s, centroid, z);
    s->renewed = true;
    return DECO_OK;
}

/* Buffers of one block of points, on host and device. */
typedef struct decode_block {
    int64_t *at; /* [BLOCK,3] */
    float *points, *values, *dev_points, *dev_values, *dev_z;
} decode_block;

static deco_status block_create(decode_block *b, deco_model *m)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&b->at, BLOCK, 3 * sizeof *b->at, "points of a snapshot"));
    TRY(deco_alloc(&b->points, BLOCK, 3 * sizeof *b->points, "points of a snapshot"));
    TRY(deco_alloc(&b->values, BLOCK, sizeof *b->values, "points of a snapshot"));
    TRY(deco_device_alloc(m->dev, &b->dev_points, BLOCK * 3 * sizeof(float), "points of a snapshot"));
    TRY(deco_device_alloc(m->dev, &b->dev_values, BLOCK * sizeof(float), "points of a snapshot"));
    if (m->shape.Z)
        TRY(deco_device_alloc(m->dev, &b->dev_z, (size_t)m->shape.Z * sizeof(float), "a centroid"));
out:
    return st;
}

static void block_free(decode_block *b, deco_device *dev)
{
    free(b->at);
    free(b->points);
    free(b->values);
    deco_device_release(dev, b->dev_points);
    deco_device_release(dev, b->dev_values);
    deco_device_release(dev, b->dev_z);
}

static deco_status decode(decode_block *b, deco_model *m, int64_t n)
{
    deco_status st = DECO_OK;
    deco_array params = deco_f32_1(m->decoder.x, m->decoder.count), freqs = deco_f32_2(m->freqs, 3 * m->shape.pe_dim, 3);
    deco_array z = m->shape.Z ? deco_f32_2(b->dev_z, 1, m->shape.Z) : deco_none();

    TRY(deco_device_upload(m->dev, b->dev_points, b->points, (size_t)(3 * n) * sizeof(float)));
    TRY(deco_hypervolume_values(m->dev, &m->shape, deco_f32_2(b->dev_values, 1, n), deco_none(), params, freqs,
                                deco_f32_3(b->dev_points, 1, n, 3), deco_none(), z));
    TRY(deco_device_download(m->dev, b->values, b->dev_values, (size_t)n * sizeof(float)));
out:
    return st;
}

static deco_status renew_one(deco_search_sliced *s, int64_t centroid, const float *z, decode_block *b)
{
    deco_status st = DECO_OK;
    ball_walk w = ball_begin(s);
    double per = 1 / ((double)s->config.oversampling * (double)s->m->D);

    set_centroid(s, centroid, z);
    if (z)
        TRY(deco_device_upload(s->m->dev, b->dev_z, z, (size_t)s->Z * sizeof *z));
    for (bool more = true; more;) {
        int64_t n = 0;
        while (n < BLOCK && (more = ball_next(&w))) {
            for (int i = 0; i < 3; i++) {
                b->at[3 * n + i] = w.at[i];
                b->points[3 * n + i] = (float)((double)w.at[i] * per);
            }
            n++;
        }
        if (n == 0)
            break;
        TRY(decode(b, s->m, n));
        for (int64_t i = 0; i < n; i++)
            put_value(s->quads + centroid * s->quads_each, &s->snapshot[centroid], s->reach, b->at + 3 * i, b->values[i]);
    }
out:
    return st;
}

deco_status deco_search_sliced_renew(deco_search_sliced *s, const float *z)
{
    deco_status st = DECO_OK;
    decode_block b = {0};

    s->renewed = false;
    if (s->Z && !z)
        TRY(deco_fail(DECO_E_ARGUMENT, "pose search: no centroids of the latents; the model has %lld", (long long)s->Z));
    TRY(block_create(&b, s->m));
    for (int64_t i = 0; i < s->config.centroids; i++)
        TRY(renew_one(s, i, s->Z ? z + i * s->Z : NULL, &b));
    s->renewed = true;
out:
    block_free(&b, s->m->dev);
    return st;
}
