/* A model's memory on its device, and how a fresh one starts. METHOD.md sections 3 and 4. */
#include "model/model.h"

#include "formulas/rotation.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_BLOCK = 1 << 16 }; /* numbers drawn on the host at a time */

static deco_status allocate_trained(deco_trained *t, deco_device *dev, int64_t count, bool moments, const char *what)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)count * sizeof(float);

    t->count = count;
    if (!count)
        return DECO_OK;
    TRY(deco_device_alloc(dev, &t->x, bytes, what));
    if (moments) {
        TRY(deco_device_alloc(dev, &t->m, bytes, what));
        TRY(deco_device_alloc(dev, &t->v, bytes, what));
    }
out:
    return st;
}

static void release_trained(deco_trained *t, deco_device *dev)
{
    deco_device_release(dev, t->x);
    deco_device_release(dev, t->m);
    deco_device_release(dev, t->v);
}

deco_status deco_model_allocate(deco_model **out, deco_device *dev, const deco_hypervolume *shape, int64_t N, unsigned holding)
{
    deco_status st = DECO_OK;
    deco_model *m = NULL;
    unsigned level = holding & ~(unsigned)DECO_HOLD_ENCODED;
    bool tables = level != DECO_HOLD_DECODER, poses = level == DECO_HOLD_POSE_MOMENTS;

    *out = NULL;
    TRY(deco_hypervolume_check(shape));
    if (N < 0 || N > INT64_MAX / (int64_t)sizeof(float) / (shape->Z + 8))
        TRY(deco_fail(DECO_E_ARGUMENT, "tables of %lld rows, with latents of %lld numbers, are out of range", (long long)N,
                      (long long)shape->Z));
    TRY(deco_alloc(&m, 1, sizeof *m, "the model"));
    m->dev = dev;
    m->shape = *shape;
    m->N = N;
    TRY(allocate_trained(&m->decoder, dev, deco_hypervolume_parameters(shape), tables, "the decoder"));
    TRY(deco_device_alloc(dev, &m->mean, (size_t)m->decoder.count * sizeof(float), "the decoder's mean"));
    TRY(deco_device_alloc(dev, &m->freqs, (size_t)(9 * shape->pe_dim) * sizeof(float), "the decoder's frequencies"));
    if (tables) {
        TRY(allocate_trained(&m->latents, dev, N * shape->Z, !(holding & DECO_HOLD_ENCODED), "the latent table"));
        TRY(allocate_trained(&m->rotations, dev, N * 6, poses, "the table of rotations"));
        TRY(allocate_trained(&m->shifts, dev, N * 2, poses, "the table of shifts"));
    }
    *out = m;
    m = NULL;
out:
    deco_model_free(m);
    return st;
}

static void release_start(deco_model *m)
{
    deco_device_release(m->dev, m->start.six);
    deco_device_release(m->dev, m->start.shift);
    deco_device_release(m->dev, m->start.z);
    m->start = (deco_epoch_start){0};
}

deco_status deco_epoch_start_make(deco_model *m, int64_t n)
{
    deco_status st = DECO_OK;
    size_t rows = (size_t)n, f = sizeof(float);

    if (m->start.n == n)
        return DECO_OK;
    release_start(m);
    TRY(deco_device_alloc(m->dev, &m->start.six, rows * 6 * f, "changes of poses"));
    TRY(deco_device_alloc(m->dev, &m->start.shift, rows * 2 * f, "changes of poses"));
    if (m->shape.Z)
        TRY(deco_device_alloc(m->dev, &m->start.z, rows * (size_t)m->shape.Z * f, "changes of latents"));
    m->start.n = n;
out:
    return st;
}

void deco_model_free(deco_model *m)
{
    if (!m)
        return;
    deco_encoder_free(m->encoder);
    release_trained(&m->decoder, m->dev);
    release_trained(&m->latents, m->dev);
    release_trained(&m->rotations, m->dev);
    release_trained(&m->shifts, m->dev);
    release_start(m);
    deco_device_release(m->dev, m->mean);
    deco_device_release(m->dev, m->freqs);
    if (m->owns_device)
        deco_device_free(m->dev);
    free(m);
}

/* Linears uniform ±1/sqrt(fan_in), biases too; norms 1 and 0. Each tensor has numbers of its own, so a wider layer leaves the others alone. */
static void draw_tensor(float *out, const deco_parameter *p, uint64_t seed, int64_t tensor)
{
    if (p->fan_in == 0) {
        size_t n = strlen(p->name);
        bool gain = n >= 7 && strcmp(p->name + n - 7, ".weight") == 0;
        for (int64_t i = 0; i < p->count; i++)
            out[i] = gain ? 1 : 0;
        return;
    }
    deco_random r = deco_random_at(seed, DECO_STREAM_WEIGHTS, (uint64_t)tensor);
    double bound = 1 / sqrt((double)p->fan_in);
    for (int64_t i = 0; i < p->count; i++)
        out[i] = (float)(bound * (2 * deco_random_uniform(&r) - 1));
}

static deco_status draw_decoder(deco_model *m, uint64_t seed)
{
    deco_status st = DECO_OK;
    float *host = NULL;

    TRY(deco_alloc(&host, (size_t)m->decoder.count, sizeof *host, "the decoder's first weights"));
    for (int64_t i = 0; i < deco_hypervolume_tensors(&m->shape); i++) {
        deco_parameter p = deco_hypervolume_tensor(&m->shape, i);
        draw_tensor(host + p.offset, &p, seed, i);
    }
    TRY(deco_device_upload(m->dev, m->decoder.x, host, (size_t)m->decoder.count * sizeof *host));
    TRY(deco_device_upload(m->dev, m->mean, host, (size_t)m->decoder.count * sizeof *host));
out:
    free(host);
    return st;
}

static deco_status draw_frequencies(deco_model *m, double sigma, uint64_t seed)
{
    deco_status st = DECO_OK;
    int64_t n = 9 * m->shape.pe_dim;
    float *host = NULL;
    deco_random r = deco_random_at(seed, DECO_STREAM_FREQUENCIES, 0);

    TRY(deco_alloc(&host, (size_t)n, sizeof *host, "the decoder's frequencies"));
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)(sigma * deco_random_normal(&r));
    TRY(deco_device_upload(m->dev, m->freqs, host, (size_t)n * sizeof *host));
out:
    free(host);
    return st;
}

/* Row i draws from a sequence of its own: its start does not depend on how many rows there are. */
static deco_status draw_latents(deco_model *m, uint64_t seed)
{
    deco_status st = DECO_OK;
    int64_t Z = m->shape.Z, N = m->N, rows;
    float *host = NULL;

    if (!m->latents.count)
        return DECO_OK;
    rows = TABLE_BLOCK / Z > 0 ? TABLE_BLOCK / Z : 1;
    TRY(deco_alloc(&host, (size_t)(rows * Z), sizeof *host, "the first latents"));
    for (int64_t first = 0; first < N; first += rows) {
        int64_t n = N - first < rows ? N - first : rows;
        for (int64_t i = 0; i < n; i++)
            deco_latent_draw(host + i * Z, Z, seed, DECO_STREAM_LATENTS, first + i);
        TRY(deco_device_upload(m->dev, m->latents.x + first * Z, host, (size_t)(n * Z) * sizeof *host));
    }
out:
    free(host);
    return st;
}

/* Two rows of a uniformly random rotation. */
static void draw_rotation(float six[6], uint64_t seed, int64_t row)
{
    deco_random r = deco_random_at(seed, DECO_STREAM_POSE, (uint64_t)row);
    double u[3], q[4], matrix[9];

    for (int i = 0; i < 3; i++)
        u[i] = deco_random_uniform(&r);
    deco_quaternion_from_uniform(q, u);
    deco_rotation_from_quaternion(matrix, q);
    for (int i = 0; i < 6; i++)
        six[i] = (float)matrix[i];
}

static deco_status draw_rotations(deco_model *m, uint64_t seed)
{
    deco_status st = DECO_OK;
    const int64_t rows = TABLE_BLOCK / 6;
    float *host = NULL;

    TRY(deco_alloc(&host, (size_t)rows, 6 * sizeof *host, "the first poses"));
    for (int64_t first = 0; first < m->N; first += rows) {
        int64_t n = m->N - first < rows ? m->N - first : rows;
        for (int64_t i = 0; i < n; i++)
            draw_rotation(host + 6 * i, seed, first + i);
        TRY(deco_device_upload(m->dev, m->rotations.x + 6 * first, host, (size_t)n * 6 * sizeof *host));
    }
out:
    free(host);
    return st;
}

void deco_latent_draw(float *z, int64_t Z, uint64_t seed, deco_stream stream, int64_t row)
{
    deco_random r = deco_random_at(seed, stream, (uint64_t)row);
    for (int64_t j = 0; j < Z; j++)
        z[j] = (float)(0.1 * deco_random_normal(&r));
}

/* Weights of a file and a head of our own, or all of it drawn. */
static deco_status make_encoder(deco_model *m, const deco_model_config *c)
{
    deco_status st = DECO_OK;
    deco_vit shape = *c->encoder;

    shape.Z = c->shape.Z;
    TRY(deco_encoder_allocate(&m->encoder, m->dev, &shape, c->encoder_first, true));
    TRY(deco_encoder_draw(m->encoder, c->seed, c->weights != NULL));
    if (c->weights)
        TRY(deco_encoder_weights_load(m->encoder, c->weights));
out:
    return st;
}

deco_status deco_model_create(deco_model **out, deco_device *dev, const deco_model_config *c)
{
    deco_status st = DECO_OK;
    deco_model *m = NULL;

    *out = NULL;
    if (c->shape.L != c->D + 1 || c->D < 2 || c->D % 2 || c->radius < 1 || c->radius > c->shape.L / 2) {
        st = deco_fail(DECO_E_ARGUMENT,
                       "a model of box %lld, lattice %lld and mask radius %lld cannot be: the box is even, the lattice one more, and the "
                       "radius from 1 to half of it",
                       (long long)c->D, (long long)c->shape.L, (long long)c->radius);
        goto out;
    }
    TRY(deco_model_allocate(&m, dev, &c->shape, c->N,
                            (c->train_poses ? DECO_HOLD_POSE_MOMENTS : DECO_HOLD_TABLES) | (c->encoder ? DECO_HOLD_ENCODED : 0U)));
    m->D = c->D;
    m->radius = c->radius;
    m->psize_A = c->psize_A;
    m->std = c->std;
    TRY(draw_decoder(m, c->seed));
    TRY(draw_frequencies(m, c->feat_sigma, c->seed));
    TRY(draw_latents(m, c->seed));
    TRY(draw_rotations(m, c->seed));
    if (c->encoder)
        TRY(make_encoder(m, c));
    *out = m;
    m = NULL;
out:
    deco_model_free(m);
    return st;
}
