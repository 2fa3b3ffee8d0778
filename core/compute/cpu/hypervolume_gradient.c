/* All tiles of a call, and the sums over them.
 *
 * Tiles are cut into chunks, each with its own sums; a chunk's tiles are added in their order, then the chunks in theirs. How many
 * chunks there are follows from the shape alone, so the bits do not depend on the threads. */
#include "compute/cpu/dnnl.h"
#include "compute/cpu/hypervolume_gradient.h"
#include "compute/cpu/hypervolume_pass.h"

#include <string.h>

/* A multiple of 12 shares out evenly among 1, 2, 3, 4, 6 and 12 threads. Adding chunks up is bound by memory (0.9 % of a step of 134
 * tiles in 24 chunks), so beyond the first 12 a chunk has at least eight tiles. */
enum { CHUNK_STEP = 12, TILES_PER_CHUNK = 8, MOST_STEPS = 6 };
#define CHUNK_BYTES ((int64_t)256 << 20)

enum { WEIGHT_ROWS = 8, SUM_BLOCK = 4096 };

typedef struct gradient {
    cpu_pass pass;
    const cpu_gradient *g;
    int64_t tiles, chunks, length; /* of one chunk's sums */
    unsigned char *block;          /* scratch, which holds what follows */
    float *sums;                   /* [chunks,length] */
    float *columns;                /* [tiles,H] */
    float *image_columns;          /* [B,H] */
    double *loss;                  /* [tiles] */
    double *pose;                  /* [tiles,6]: the first two rows of dR; the third is zero */
} gradient;

static int64_t count_chunks(int64_t tiles, int64_t length)
{
    int64_t steps = tiles / (CHUNK_STEP * TILES_PER_CHUNK), fit = CHUNK_BYTES / (CHUNK_STEP * length * (int64_t)sizeof(float));
    steps = steps < MOST_STEPS ? steps : MOST_STEPS;
    steps = steps < fit ? steps : fit;
    int64_t chunks = CHUNK_STEP * (steps > 1 ? steps : 1);
    return chunks < tiles ? chunks : tiles;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------ */

/* The mean of (CTF·slice - target)², and its gradient. Rows that are no point have CTF and target 0, and so no error. */
static double gradient_of_error(cpu_tile *t, const gradient *c)
{
    const cpu_pass *p = &c->pass;
    float scale = (float)(2 / ((double)p->B * (double)p->P));
    double sum = 0;
    cpu_tile_get(t->ctf, t, p, c->g->ctf);
    cpu_tile_get(t->target, t, p, c->g->target);
    for (int64_t i = 0; i < p->d.tile; i++) {
        float error = t->ctf[i] * t->out[i] - t->target[i];
        sum += (double)error * error;
        t->target[i] = scale * error; /* that of CTF·slice from here */
        t->dout[i] = t->target[i] * t->ctf[i];
    }
    if (c->g->dpred)
        cpu_tile_put(c->g->dpred, t, p, t->target);
    return sum;
}

static void pose_of_tile(const cpu_tile *t, const gradient *c, int64_t tile)
{
    const cpu_pass *p = &c->pass;
    if (!p->R) {
        memcpy(c->g->dpose + 3 * (t->image * p->P + t->first), t->dxyz, (size_t)(3 * t->points) * sizeof(float));
        return;
    }
    const float *k = p->x + 2 * t->first;
    double *dR = c->pose + 6 * tile;
    memset(dR, 0, 6 * sizeof *dR);
    for (int64_t i = 0; i < t->points; i++)
        for (int a = 0; a < 3; a++) {
            dR[a] += (double)k[2 * i] * t->dxyz[3 * i + a];
            dR[3 + a] += (double)k[2 * i + 1] * t->dxyz[3 * i + a];
        }
}

static deco_status work_on_chunk(void *context, int64_t chunk, int worker)
{
    deco_status st = DECO_OK;
    const gradient *c = context;
    const cpu_pass *p = &c->pass;
    cpu_tile t;
    int64_t begin = chunk * c->tiles / c->chunks, end = (chunk + 1) * c->tiles / c->chunks;

    TRY(cpu_tile_begin(&t, p, worker));
    for (int64_t i = begin; i < end; i++) {
        cpu_tile_sums s = {c->sums + chunk * c->length, c->g->dparams != NULL, i == begin, c->columns + i * p->d.h.H};
        cpu_tile_forward(&t, p, i);
        if (c->g->dout)
            cpu_tile_get(t.dout, &t, p, c->g->dout);
        else
            c->loss[i] = gradient_of_error(&t, c);
        cpu_tile_backward(&t, p, &s);
        if (c->g->dpose)
            pose_of_tile(&t, c, i);
    }
out:
    return st;
}

/* ---- sums ------------------------------------------------------------------------------------------------------- */

/* to[i] = Σ over chunks of place + i */
static void add_chunks(float *to, const gradient *c, int64_t place, int64_t n)
{
    memset(to, 0, (size_t)n * sizeof *to);
    for (int64_t chunk = 0; chunk < c->chunks; chunk++) {
        const float *from = c->sums + chunk * c->length + place;
        for (int64_t i = 0; i < n; i++)
            to[i] += from[i];
    }
}

static void add_weight_rows(const gradient *c, int64_t block)
{
    const cpu_decoder *d = &c->pass.d;
    int64_t in = d->features + d->h.Z;
    for (int64_t r = block * WEIGHT_ROWS; r < (block + 1) * WEIGHT_ROWS && r < d->h.H; r++)
        add_chunks(c->g->dparams + cpu_decoder_layer_at(d, 0).weight + r * in, c, r * d->features, d->features);
}

/* From the first LayerNorm's gamma to the end of the vector. */
static void add_block(const gradient *c, int64_t block)
{
    const cpu_decoder *d = &c->pass.d;
    int64_t begin = cpu_decoder_layer_at(d, 0).gamma + block * SUM_BLOCK, end = begin + SUM_BLOCK, all = d->out_bias + 1;
    add_chunks(c->g->dparams + begin, c, cpu_sums_place(d, begin), (end < all ? end : all) - begin);
}

static void add_image(const gradient *c, int64_t b)
{
    int64_t n = c->pass.tiles_per_image, H = c->pass.d.h.H;
    const float *columns = c->columns + b * n * H;
    for (int64_t j = 0; j < H; j++) {
        double sum = 0;
        for (int64_t t = 0; t < n; t++)
            sum += columns[t * H + j];
        c->image_columns[b * H + j] = (float)sum;
    }
    if (c->g->dpose && c->pass.R) {
        cpu_add_tiles(c->g->dpose + 9 * b, c->pose + 6 * b * n, n, 6);
        memset(c->g->dpose + 9 * b + 6, 0, 3 * sizeof(float));
    }
}

static int64_t weight_blocks(const gradient *c) { return c->g->dparams ? cpu_tiles(c->pass.d.h.H, WEIGHT_ROWS) : 0; }

static int64_t other_blocks(const gradient *c)
{
    const cpu_decoder *d = &c->pass.d;
    return c->g->dparams ? cpu_tiles(d->out_bias + 1 - cpu_decoder_layer_at(d, 0).gamma, SUM_BLOCK) : 0;
}

static deco_status add_up(void *context, int64_t task, int worker)
{
    const gradient *c = context;
    int64_t weights = weight_blocks(c), others = other_blocks(c);
    if (task < weights)
        add_weight_rows(c, task);
    else if (task < weights + others)
        add_block(c, task - weights);
    else
        add_image(c, task - weights - others);
    return DECO_OK;
}

/* What the latent's part of the first layer leaves: dz, the weight's last columns and the bias; and the loss. */
static deco_status finish(void *context, int64_t task, int worker)
{
    deco_status st = DECO_OK;
    const gradient *c = context;
    const cpu_pass *p = &c->pass;
    const cpu_decoder *d = &p->d;
    int64_t H = d->h.H, Z = d->h.Z, B = p->B, in = d->features + Z, latent = cpu_decoder_layer_at(d, 0).weight + d->features;

    if (c->g->dz && Z && B)
        TRY(deco_cpu_sgemm(false, false, B, Z, H, 1, c->image_columns, H, p->params + latent, in, 0, c->g->dz, Z));
    if (c->g->dparams) {
        if (Z && B)
            TRY(deco_cpu_sgemm(true, false, H, Z, B, 1, c->image_columns, H, p->z, Z, 0, c->g->dparams + latent, in));
        for (int64_t j = 0; j < H; j++) {
            double sum = 0;
            for (int64_t b = 0; b < B; b++)
                sum += c->image_columns[b * H + j];
            c->g->dparams[cpu_decoder_layer_at(d, 0).bias + j] = (float)sum;
        }
    }
    if (!c->g->dout) {
        double sum = 0;
        for (int64_t i = 0; i < c->tiles; i++)
            sum += c->loss[i];
        *c->g->loss = sum / ((double)B * (double)p->P);
    }
out:
    return st;
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

static deco_status allocate(gradient *c)
{
    const cpu_decoder *d = &c->pass.d;
    int64_t H = d->h.H;
    c->tiles = cpu_pass_tiles(&c->pass);
    c->length = cpu_tiles(cpu_sums_place(d, d->out_bias + 1), CPU_ROWS_WIDTH) * CPU_ROWS_WIDTH;
    c->chunks = count_chunks(c->tiles, c->length);
    size_t doubles = (size_t)(7 * c->tiles), floats = (size_t)(c->chunks * c->length + (c->tiles + c->pass.B) * H);
    deco_status st = deco_scratch_take(c->pass.dev, &c->block, floats * sizeof(float) + doubles * sizeof(double), "gradients of chunks");
    if (st)
        return st;
    c->sums = (float *)c->block;
    c->columns = c->sums + c->chunks * c->length;
    c->image_columns = c->columns + c->tiles * H;
    c->loss = (double *)(c->image_columns + c->pass.B * H);
    c->pose = c->loss + c->tiles;
    return DECO_OK;
}

deco_status cpu_hypervolume_gradient(deco_device *dev, const deco_hypervolume *h, const cpu_gradient *g, int64_t B, int64_t P,
                                     deco_array params, deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    gradient c = {.g = g};
    int wants = CPU_PASS_BACKWARD | CPU_PASS_MIRRORED | (g->dpose ? CPU_PASS_POSE : 0);
    TRY(cpu_pass_begin(&c.pass, dev, h, wants, B, P, params, freqs, x, R, z));
    TRY(allocate(&c));
    TRY(deco_pool_run(dev->pool, work_on_chunk, &c, c.chunks));
    TRY(deco_pool_run(dev->pool, add_up, &c, weight_blocks(&c) + other_blocks(&c) + B));
    TRY(deco_pool_run(dev->pool, finish, &c, 1));
out:
    deco_scratch_give(dev, c.block);
    cpu_pass_end(&c.pass);
    return st;
}
