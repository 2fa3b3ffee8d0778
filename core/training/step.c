/* One gradient step of METHOD.md section 5: loss of CTF · slice against the shifted image, its gradients, AdamW on the decoder, Adam on
 * the tables of latents and poses. */
#include "training/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSSES = 64 }; /* steps between two looks at the loss */
enum { ADAM_DECODER, ADAM_LATENTS, ADAM_POSES, ADAMS };
static const double loss_most = 100; /* times the images' power */

struct deco_step {
    deco_model *m;
    deco_device *dev;
    int64_t P, Z, batch, most; /* of one worker; of all together */
    bool want_pose;
    deco_encoded *encoded; /* NULL: latents are the table's */
    unsigned char *block;  /* all of the device memory below */

    float *k;                                         /* [P,2] */
    float *images, *target, *ctf_values, *dpredicted; /* [batch,P] */
    deco_ctf_row *ctf;                                /* [batch] */
    float *R, *six, *shift, *z;                       /* [batch,9], [batch,6], [batch,2], [most,Z] */
    int64_t *row;                                     /* [most] */
    float *dparams, *dz, *dR, *dsix, *dshift, *minus; /* [most,...] what the tables need of all; minus [batch,2]: -1 */
    deco_adam_step *adam;                             /* [3]: decoder, latents, poses */
    float *blend;                                     /* [1]: weight of the newest decoder in its mean */
    double *loss;                                     /* [LOSSES], one slot a step */

    /* With workers. */
    float *exchanged, *blank; /* 2 [most,Z+8] rows on their way, [at least P] zeros: both on the host */
    bool is_blank;            /* no image is left for this worker: it works on an empty one that counts nothing */
    int64_t all;              /* images of the whole step */
    double share;             /* this worker's part of them */

    int64_t B;                         /* of the last step */
    bool pose_gradients, six_gradient; /* has it worked them out? */
    int losses;                        /* slots in use */
    int64_t loss_images[LOSSES], images_seen;
    double power[LOSSES]; /* of a slot's images: their loss against an empty map */
    double loss_sum;      /* over images, of the slots already read */
};

/* What a step keeps on the device, as {where its address goes, numbers, bytes a number}. */
typedef struct piece {
    void *pointer;
    int64_t count;
    size_t item;
} piece;

enum { PIECES = 20 };

static void list_pieces(piece out[PIECES], deco_step *s, const deco_hypervolume *h, int64_t P, int64_t batch, int64_t most)
{
    const size_t f = sizeof(float);
    int64_t BP = batch * P, BZ = most * h->Z;
    const piece list[PIECES] = {
        {&s->k, 2 * P, f},
        {&s->images, BP, f},
        {&s->target, BP, f},
        {&s->ctf_values, BP, f},
        {&s->dpredicted, BP, f},
        {&s->ctf, batch, sizeof(deco_ctf_row)},
        {&s->R, 9 * batch, f},
        {&s->six, 6 * batch, f},
        {&s->shift, 2 * batch, f},
        {&s->z, BZ, f},
        {&s->row, most, sizeof(int64_t)},
        {&s->dparams, deco_hypervolume_parameters(h), f},
        {&s->dz, BZ, f},
        {&s->dR, 9 * batch, f},
        {&s->dsix, 6 * most, f},
        {&s->dshift, 2 * most, f},
        {&s->minus, 2 * batch, f},
        {&s->adam, ADAMS, sizeof(deco_adam_step)},
        {&s->blend, 1, f},
        {&s->loss, LOSSES, sizeof(double)},
    };
    memcpy(out, list, sizeof list);
}

static size_t piece_bytes(const piece *p) { return ((size_t)p->count * p->item + 63) & ~(size_t)63; }

static size_t step_bytes(const deco_hypervolume *h, int64_t P, int64_t batch, int64_t most)
{
    deco_step none;
    piece list[PIECES];
    size_t sum = 0;

    list_pieces(list, &none, h, P, batch, most);
    for (int i = 0; i < PIECES; i++)
        sum += piece_bytes(&list[i]);
    return sum;
}

size_t deco_step_bytes(const deco_hypervolume *h, int64_t P, int64_t batch) { return step_bytes(h, P, batch, batch); }

deco_status deco_step_create(deco_step **out, deco_model *m, const deco_mask *mask, int64_t batch)
{
    deco_status st = DECO_OK;
    deco_step *s = NULL;
    float *minus = NULL;
    piece list[PIECES];

    *out = NULL;
    if (batch < 1 || batch > INT64_MAX / 64 / mask->P || mask->L != m->shape.L)
        return deco_fail(DECO_E_ARGUMENT, "a step of %lld images on a lattice of %lld with a model of %lld cannot be", (long long)batch,
                         (long long)mask->L, (long long)m->shape.L);
    TRY(deco_alloc(&s, 1, sizeof *s, "a training step"));
    s->m = m;
    s->dev = m->dev;
    s->P = mask->P;
    s->Z = m->shape.Z;
    s->batch = batch;
    s->most = batch * deco_comm_size(m->comm);
    TRY(deco_device_alloc(s->dev, &s->block, step_bytes(&m->shape, s->P, batch, s->most), "a training step"));
    list_pieces(list, s, &m->shape, s->P, batch, s->most);
    unsigned char *next = s->block;
    for (int i = 0; i < PIECES; i++) {
        memcpy(list[i].pointer, &next, sizeof next); /* pointers to numbers of several types, through one list */
        next += piece_bytes(&list[i]);
    }
    TRY(deco_device_upload(s->dev, s->k, mask->k, (size_t)(2 * s->P) * sizeof *s->k));
    TRY(deco_alloc(&minus, (size_t)(2 * batch), sizeof *minus, "a training step"));
    for (int64_t i = 0; i < 2 * batch; i++)
        minus[i] = -1;
    TRY(deco_device_upload(s->dev, s->minus, minus, (size_t)(2 * batch) * sizeof *minus));
    if (m->comm) {
        TRY(deco_alloc(&s->exchanged, (size_t)s->most, 2 * (size_t)(s->Z + 8) * sizeof *s->exchanged, "rows of the workers"));
        TRY(deco_alloc(&s->blank, (size_t)s->P + DECO_ENCODER_PIXELS, sizeof *s->blank, "an empty image"));
    }
    *out = s;
    s = NULL;
out:
    free(minus);
    deco_step_free(s);
    return st;
}

void deco_step_free(deco_step *s)
{
    if (!s)
        return;
    deco_encoded_free(s->encoded);
    deco_device_release(s->dev, s->block);
    free(s->exchanged);
    free(s->blank);
    free(s);
}

void deco_step_take_encoder(deco_step *s, deco_encoded *e) { s->encoded = e; }

void deco_step_want_pose_gradients(deco_step *s, bool want) { s->want_pose = want; }

static deco_array per_point(const deco_step *s, float *p) { return deco_f32_2(p, s->B, s->P); }
static deco_array lattice(const deco_step *s) { return deco_f32_2(s->k, s->P, 2); }
static deco_array rotations(const deco_step *s, float *p) { return deco_f32_3(p, s->B, 3, 3); }
static deco_array shifts(const deco_step *s, float *p) { return deco_f32_2(p, s->B, 2); }
static deco_array latents(const deco_step *s, float *p) { return s->Z ? deco_f32_2(p, s->B, s->Z) : deco_none(); }
static deco_array sixes(const deco_step *s, float *p) { return deco_f32_2(p, s->B, 6); }
static deco_array rows(const deco_step *s) { return deco_i64_1(s->row, s->B); }
static deco_array table(const deco_step *s, float *p, int64_t width) { return deco_f32_2(p, s->m->N, width); }

static deco_array records(void *data, int64_t n, size_t item)
{
    deco_array a = deco_array_of(data, DECO_BYTES, 1, n, 1, 1, 1);
    a.item = item;
    return a;
}

static bool takes_latents(const deco_step *s, const deco_step_input *in) { return s->Z && !in->z; }
static bool trains_latents(const deco_step *s, const deco_step_input *in)
{
    return takes_latents(s, in) && !s->encoded && !in->latents_frozen;
}
static bool trains_encoder(const deco_step *s, const deco_step_input *in)
{
    return takes_latents(s, in) && s->encoded && !in->encoder_frozen;
}
static bool trains_poses(const deco_step_input *in) { return in->train_rotations || in->train_shifts; }

static deco_status check_batch(const deco_step *s, const deco_step_input *in)
{
    if (in->B < 1 || in->B > s->batch)
        return deco_fail(DECO_E_ARGUMENT, "a batch of %lld images; this step takes 1 to %lld", (long long)in->B, (long long)s->batch);
    if (trains_poses(in) && (in->R || !s->m->rotations.m))
        return deco_fail(DECO_E_ARGUMENT, "poses are to be trained, and %s",
                         in->R ? "given with the batch: leave them to the table" : "the model holds no moments for them");
    if (takes_latents(s, in) && !s->encoded != !in->pixels)
        return deco_fail(DECO_E_ARGUMENT, "a batch %s images for an encoder, and the step has %s", in->pixels ? "with" : "without",
                         s->encoded ? "one" : "none");
    for (int64_t i = 0; i < in->B && (takes_latents(s, in) || !in->R); i++)
        if (in->row[i] < 0 || in->row[i] >= s->m->N)
            return deco_fail(DECO_E_ARGUMENT, "image %lld of a batch is row %lld; the tables have %lld rows", (long long)i,
                             (long long)in->row[i], (long long)s->m->N);
    return DECO_OK;
}

static deco_status check_input(const deco_step *s, const deco_step_input *in)
{
    if (!in->bounds != !s->m->comm || (in->bounds && in->bounds[deco_comm_size(s->m->comm)] > s->most))
        return deco_fail(DECO_E_ARGUMENT, "a step of several workers needs the whole batch, of at most %lld, and a step of one has none",
                         (long long)s->most);
    return check_batch(s, in);
}

/* Given, or of the table; trained or not. */
static deco_status load_poses(deco_step *s, const deco_step_input *in)
{
    deco_status st = DECO_OK;
    size_t B = (size_t)in->B, f = sizeof(float);

    if (in->R) {
        TRY(deco_device_upload(s->dev, s->R, in->R, B * 9 * f));
        TRY(deco_device_upload(s->dev, s->shift, in->shift, B * 2 * f));
    } else {
        TRY(deco_rows_gather(s->dev, sixes(s, s->six), table(s, s->m->rotations.x, 6), rows(s)));
        TRY(deco_rows_gather(s->dev, shifts(s, s->shift), table(s, s->m->shifts.x, 2), rows(s)));
        TRY(deco_six_rotations(s->dev, rotations(s, s->R), sixes(s, s->six)));
    }
out:
    return st;
}

/* The encoder's latents of a batch, for the step and for whoever asks the table next. */
static deco_status encode(deco_step *s, const uint8_t *pixels, deco_encoder_mode mode)
{
    deco_status st = DECO_OK;

    TRY(deco_encoded_run(s->encoded, s->z, pixels, s->B, mode));
    if (!s->m->comm) /* those of all workers are put there together */
        TRY(deco_rows_put(s->dev, table(s, s->m->latents.x, s->Z), latents(s, s->z), rows(s)));
out:
    return st;
}

deco_status deco_step_encode(deco_step *s, const int64_t *row, const uint8_t *pixels, int64_t B)
{
    deco_status st = DECO_OK;
    const deco_step_input in = {.B = B, .row = row, .pixels = pixels};

    TRY(check_batch(s, &in));
    s->B = B;
    TRY(deco_device_upload(s->dev, s->row, row, (size_t)B * sizeof *s->row));
    TRY(encode(s, pixels, DECO_ENCODER_EVAL));
    if (s->m->comm)
        TRY(deco_rows_put(s->dev, table(s, s->m->latents.x, s->Z), latents(s, s->z), rows(s)));
out:
    return st;
}

/* The batch's images, CTFs, poses and latents on the device. */
static deco_status load_batch(deco_step *s, const deco_step_input *in)
{
    deco_status st = DECO_OK;
    size_t B = (size_t)in->B, P = (size_t)s->P, f = sizeof(float);

    s->B = in->B;
    TRY(deco_device_upload(s->dev, s->images, in->images, B * P * f));
    if (in->ctf_values) {
        TRY(deco_device_upload(s->dev, s->ctf_values, in->ctf_values, B * P * f));
    } else {
        TRY(deco_device_upload(s->dev, s->ctf, in->ctf, B * sizeof *s->ctf));
        TRY(deco_ctf_values(s->dev, per_point(s, s->ctf_values), records(s->ctf, s->B, sizeof *s->ctf), lattice(s)));
    }
    if (takes_latents(s, in) || !in->R)
        TRY(deco_device_upload(s->dev, s->row, in->row, B * sizeof *s->row));
    TRY(load_poses(s, in));
    if (takes_latents(s, in) && s->encoded) {
        TRY(encode(s, in->pixels, trains_encoder(s, in) ? DECO_ENCODER_TRAIN : DECO_ENCODER_EVAL));
    } else if (takes_latents(s, in)) {
        TRY(deco_rows_gather(s->dev, latents(s, s->z), table(s, s->m->latents.x, s->Z), rows(s)));
    } else if (s->Z) {
        TRY(deco_device_upload(s->dev, s->z, in->z, B * (size_t)s->Z * f));
    }
out:
    return st;
}

/* Mean square over batch and masked points. A shift moves images and leaves their power as it is. */
static double power_of(const float *images, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)images[i] * images[i];
    return sum / (double)n;
}

/* Mean squared error over batch and masked points between CTF · slice and the shifted image, with its gradients. */
static deco_status forward_and_backward(deco_step *s, const deco_step_input *in)
{
    deco_status st = DECO_OK;
    const deco_model *m = s->m;
    deco_array dz = trains_latents(s, in) || trains_encoder(s, in) ? latents(s, s->dz) : deco_none(),
               loss = deco_f64_1(s->loss + s->losses, 1), dR, dpredicted;

    s->pose_gradients = s->want_pose || trains_poses(in);
    s->six_gradient = in->train_rotations;
    dR = s->pose_gradients ? rotations(s, s->dR) : deco_none();
    dpredicted = s->pose_gradients ? per_point(s, s->dpredicted) : deco_none();

    TRY(deco_shift(s->dev, per_point(s, s->target), per_point(s, s->images), shifts(s, s->shift), lattice(s)));
    TRY(deco_slice_loss(s->dev, &m->shape, loss, deco_f32_1(s->dparams, m->decoder.count), dz, dR, dpredicted,
                        deco_f32_1(m->decoder.x, m->decoder.count), deco_f32_2(m->freqs, 3 * m->shape.pe_dim, 3), lattice(s),
                        rotations(s, s->R), latents(s, s->z), per_point(s, s->ctf_values), per_point(s, s->target)));
    s->power[s->losses] = power_of(in->images, s->B * s->P);
    s->loss_images[s->losses++] = s->is_blank ? 0 : s->B;
    if (s->pose_gradients) { /* the image is on the other side of the difference: its gradient is -dpredicted */
        TRY(deco_shift_backward(s->dev, shifts(s, s->dshift), dpredicted, per_point(s, s->images), shifts(s, s->shift), lattice(s)));
        TRY(deco_multiply(s->dev, shifts(s, s->dshift), shifts(s, s->dshift), shifts(s, s->minus)));
    }
out:
    return st;
}

/* AdamW; weight decay falls on every decoder tensor, biases and norms too. */
static deco_status update_decoder(deco_step *s)
{
    deco_trained *d = &s->m->decoder;
    return deco_adam(s->dev, deco_f32_1(d->x, d->count), deco_f32_1(s->dparams, d->count), deco_f32_1(d->m, d->count),
                     deco_f32_1(d->v, d->count), records(&s->adam[ADAM_DECODER], 1, sizeof *s->adam));
}

/* The mean over the last mean_steps steps, but never more than a quarter of all: the first weights know nothing. */
static double weight_in_mean(const deco_step *s, const deco_step_input *in)
{
    double quarter = (double)s->m->decoder_steps / 4, steps = quarter < (double)in->mean_steps ? quarter : (double)in->mean_steps;
    return steps > 1 ? 1 / steps : 1;
}

/* At a constant learning rate the weights never come to rest; their mean does, and gives the better map. */
static deco_status update_mean(deco_step *s)
{
    deco_model *m = s->m;
    return deco_blend(s->dev, deco_f32_1(m->mean, m->decoder.count), deco_f32_1(m->decoder.x, m->decoder.count), deco_f32_1(s->blend, 1));
}

/* Adam on a dense table: a row outside the batch has zero gradient and still moves by its old moments. Gradients are those of all workers. */
static deco_status update_table(deco_step *s, deco_trained *t, float *of_all, int64_t width, int adam)
{
    deco_array gradient = deco_f32_2(of_all, s->all, width);
    return deco_adam_rows(s->dev, table(s, t->x, width), gradient, deco_i64_1(s->row, s->all), table(s, t->m, width), table(s, t->v, width),
                          records(&s->adam[adam], 1, sizeof *s->adam));
}

static deco_status update_poses(deco_step *s, const deco_step_input *in)
{
    deco_status st = DECO_OK;

    if (in->train_rotations)
        TRY(update_table(s, &s->m->rotations, s->dsix, 6, ADAM_POSES));
    if (in->train_shifts)
        TRY(update_table(s, &s->m->shifts, s->dshift, 2, ADAM_POSES));
out:
    return st;
}

/* The optimisers' numbers of this step. */
static deco_status load_rates(deco_step *s, const deco_step_input *in)
{
    deco_model *m = s->m;
    const deco_adam_step a = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .step = 1};
    deco_adam_step all[ADAMS] = {a, a, a};

    all[ADAM_DECODER].lr = in->lr_decoder;
    all[ADAM_DECODER].decay = in->decay;
    m->decoder_steps += !in->decoder_frozen;
    all[ADAM_DECODER].step = m->decoder_steps;
    all[ADAM_LATENTS].lr = in->lr_latents;
    if (trains_latents(s, in))
        all[ADAM_LATENTS].step = ++m->latent_steps;
    all[ADAM_POSES].lr = in->lr_poses;
    if (trains_poses(in))
        all[ADAM_POSES].step = ++m->pose_steps;
    float blend = (float)weight_in_mean(s, in);
    deco_status st = deco_device_upload(s->dev, s->blend, &blend, sizeof blend);
    return st ? st : deco_device_upload(s->dev, s->adam, all, sizeof all);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

/* A worker that no image is left for takes part in all that is added up, with an empty image that counts nothing. */
static deco_step_input stand_in(deco_step *s, const deco_step_input *in)
{
    deco_step_input blank = *in;

    blank.B = 1;
    blank.row = in->all_rows;
    blank.images = blank.ctf_values = s->blank;
    blank.z = in->z ? s->blank : NULL;
    blank.pixels = s->encoded ? (const uint8_t *)s->blank : NULL;
    return blank;
}

/* One piece of a row for the others: from the device, times its weight, into column `at` of what is exchanged. */
static deco_status lay_out(deco_step *s, const float *from, int64_t width, int64_t at, int64_t whole, int64_t first, double weight)
{
    deco_status st = DECO_OK;
    float *room = s->exchanged + s->most * whole; /* behind the rows */

    TRY(deco_device_download(s->dev, room, from, (size_t)(s->B * width) * sizeof *room));
    for (int64_t i = 0; i < s->B && !s->is_blank; i++)
        for (int64_t k = 0; k < width; k++)
            s->exchanged[(first + i) * whole + at + k] = (float)(weight * (double)room[i * width + k]);
out:
    return st;
}

/* And back: all rows of it, on the device. */
static deco_status take_in(deco_step *s, float *to, int64_t width, int64_t at, int64_t whole)
{
    float *room = s->exchanged + s->most * whole;

    for (int64_t i = 0; i < s->all; i++)
        for (int64_t k = 0; k < width; k++)
            room[i * width + k] = s->exchanged[i * whole + at + k];
    return deco_device_upload(s->dev, to, room, (size_t)(s->all * width) * sizeof *room);
}

/* The decoder's gradient added up; of each image what the tables need of it, from the worker that has it to all. */
static deco_status join_workers(deco_step *s, const deco_step_input *in)
{
    deco_status st = DECO_OK;
    deco_comm *c = s->m->comm;
    bool z = takes_latents(s, in) && s->encoded, dz = trains_latents(s, in);
    int64_t six = in->train_rotations ? 6 : 0, shift = in->train_shifts ? 2 : 0, first = in->bounds[deco_comm_rank(c)];
    int64_t Z = z || dz ? s->Z : 0, whole = Z + six + shift;

    if (!in->decoder_frozen)
        TRY(deco_comm_sum_on(c, s->dev, s->dparams, s->m->decoder.count, s->share, "the decoder's gradient"));
    if (!whole)
        return DECO_OK;
    if (Z)
        TRY(lay_out(s, z ? s->z : s->dz, Z, 0, whole, first, z ? 1 : s->share));
    if (six)
        TRY(lay_out(s, s->dsix, 6, Z, whole, first, s->share));
    if (shift)
        TRY(lay_out(s, s->dshift, 2, Z + six, whole, first, s->share));
    size_t bounds[DECO_WORKERS_MOST + 1];
    for (int g = 0; g <= deco_comm_size(c); g++)
        bounds[g] = (size_t)(in->bounds[g] * whole) * sizeof *s->exchanged;
    TRY(deco_comm_gather(c, s->exchanged, bounds, "the rows of a batch"));
    if (dz)
        TRY(take_in(s, s->dz, Z, 0, whole));
    if (six)
        TRY(take_in(s, s->dsix, 6, Z, whole));
    if (shift)
        TRY(take_in(s, s->dshift, 2, Z + six, whole));
    TRY(deco_device_upload(s->dev, s->row, in->all_rows, (size_t)s->all * sizeof *s->row));
    if (z) {
        TRY(take_in(s, s->z, Z, 0, whole));
        TRY(deco_rows_put(s->dev, table(s, s->m->latents.x, Z), deco_f32_2(s->z, s->all, Z), deco_i64_1(s->row, s->all)));
    }
out:
    return st;
}

/* Its gradient is that of the mean over this worker's images: the encoder's is added up of parts of the whole mean. */
static deco_status train_encoder(deco_step *s, const deco_step_input *in)
{
    deco_status st = DECO_OK;

    if (s->m->comm) {
        size_t n = (size_t)(s->B * s->Z);
        TRY(deco_device_download(s->dev, s->exchanged, s->dz, n * sizeof *s->dz));
        for (size_t i = 0; i < n; i++)
            s->exchanged[i] = (float)(s->share * (double)s->exchanged[i]);
        TRY(deco_device_upload(s->dev, s->dz, s->exchanged, n * sizeof *s->dz));
    }
    TRY(deco_encoded_train(s->encoded, s->dz, in->lr_encoder));
out:
    return st;
}

/* Reads the losses of the steps since the last look. */
static deco_status read_losses(deco_step *s)
{
    deco_status st = DECO_OK;
    double loss[LOSSES], sums[3] = {0}; /* of losses, of the images' power, of images */
    int n = s->losses;

    s->losses = 0;
    if (!n)
        return DECO_OK;
    TRY(deco_device_download(s->dev, loss, s->loss, (size_t)n * sizeof *loss));
    for (int i = 0; i < n; i++) {
        if (!isfinite(loss[i]) && !s->m->comm) {
            st = deco_fail(DECO_E_DIVERGED, "the loss became %g in step %lld of the decoder", loss[i],
                           (long long)s->m->decoder_steps - n + 1 + i);
            goto out;
        }
        sums[0] += loss[i] * (double)s->loss_images[i];
        sums[1] += s->power[i] * (double)s->loss_images[i];
        sums[2] += (double)s->loss_images[i];
        if (!s->m->comm)
            s->loss_sum += loss[i] * (double)s->loss_images[i];
    }
    if (s->m->comm) {
        TRY(deco_comm_sum_doubles(s->m->comm, sums, 3, "the losses"));
        if (!isfinite(sums[0]))
            TRY(deco_fail(DECO_E_DIVERGED, "the loss became %g in the last %d steps up to %lld of the decoder", sums[0], n,
                          (long long)s->m->decoder_steps));
        s->loss_sum += sums[0];
    }
    s->images_seen += (int64_t)sums[2];
    if (sums[1] > 0 && sums[0] > loss_most * sums[1])
        st = deco_fail(DECO_E_DIVERGED, "the loss is %.3g times that of an empty map, in the last %d steps up to %lld of the decoder",
                       sums[0] / sums[1], n, (long long)s->m->decoder_steps);
out:
    return st;
}

deco_status deco_step_run(deco_step *s, const deco_step_input *asked)
{
    deco_status st = DECO_OK;
    deco_step_input blank;
    const deco_step_input *in = asked;

    s->is_blank = s->m->comm && asked->bounds && !asked->B;
    if (s->is_blank) {
        blank = stand_in(s, asked);
        in = &blank;
    }
    TRY(check_input(s, in));
    s->all = in->bounds ? in->bounds[deco_comm_size(s->m->comm)] : in->B;
    s->share = (double)asked->B / (double)s->all;
    if (s->encoded)
        s->m->encoder->blank = s->is_blank;
    if (s->losses == LOSSES)
        TRY(read_losses(s));
    TRY(load_batch(s, in));
    TRY(forward_and_backward(s, in));
    TRY(load_rates(s, in));
    if (in->train_rotations)
        TRY(deco_six_rotations_backward(s->dev, sixes(s, s->dsix), rotations(s, s->dR), sixes(s, s->six)));
    if (s->m->comm)
        TRY(join_workers(s, in));
    if (!in->decoder_frozen) {
        TRY(update_decoder(s));
        TRY(update_mean(s));
    }
    if (trains_latents(s, in))
        TRY(update_table(s, &s->m->latents, s->dz, s->Z, ADAM_LATENTS));
    if (trains_encoder(s, in))
        TRY(train_encoder(s, in));
    TRY(update_poses(s, in));
out:
    return st;
}

deco_status deco_step_losses(deco_step *s, double *sum, int64_t *images)
{
    deco_status st = read_losses(s);

    *sum = s->loss_sum;
    *images = s->images_seen;
    return st;
}

void deco_step_losses_from(deco_step *s, double sum, int64_t images)
{
    s->loss_sum = sum;
    s->images_seen = images;
}

deco_status deco_step_loss(deco_step *s, double *mean, int64_t *images)
{
    double sum;
    deco_status st = deco_step_losses(s, &sum, images);

    *mean = *images ? sum / (double)*images : 0;
    deco_step_losses_from(s, 0, 0);
    return st;
}

deco_step_gradients deco_step_gradients_of(deco_step *s)
{
    return (deco_step_gradients){
        .decoder = deco_f32_1(s->dparams, s->m->decoder.count),
        .latents = latents(s, s->dz),
        .encoder = s->encoded ? deco_encoded_gradient(s->encoded) : deco_none(),
        .R = s->pose_gradients ? rotations(s, s->dR) : deco_none(),
        .shift = s->pose_gradients ? shifts(s, s->dshift) : deco_none(),
        .six = s->six_gradient ? sixes(s, s->dsix) : deco_none(),
        .dpredicted = s->pose_gradients ? per_point(s, s->dpredicted) : deco_none(),
        .shifted = per_point(s, s->target),
    };
}
