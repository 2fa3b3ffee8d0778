/* Checkpoints: a model and where its training stands, as one safetensors file. The same state gives the same bytes, and a damaged file is
 * refused: every number, name and note is under one 64-bit checksum. */
#include "model/checkpoint_notes.h"
#include "model/model.h"

#include "formats/safetensors.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_SHOWN = 8 };

/* One stored tensor: its name and shape, and where its numbers live on the device (NULL: not held by this model). */
typedef struct stored {
    char name[80];
    int dims;
    int64_t shape[4], count;
    float *at;
} stored;

typedef struct inventory {
    stored *tensor;
    int64_t count, numbers; /* tensors; the sum of their counts */
} inventory;

static void add_stored(inventory *v, const char *prefix, const char *name, int dims, const int64_t *shape, float *at)
{
    stored *s = v->tensor + v->count++;
    snprintf(s->name, sizeof s->name, "%s%s", prefix, name);
    s->dims = dims;
    s->count = 1;
    for (int i = 0; i < dims; i++) {
        s->shape[i] = shape[i];
        s->count *= shape[i];
    }
    s->at = at;
    v->numbers += s->count;
}

static void add_decoder(inventory *v, const char *prefix, const deco_hypervolume *h, float *vector)
{
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        add_stored(v, prefix, p.name, p.dims, p.shape, vector ? vector + p.offset : NULL);
    }
}

/* The encoder's tensors, of `vector` from parameter `first` on. */
static void add_encoder(inventory *v, const char *prefix, const deco_vit *shape, float *vector, int64_t first)
{
    for (int64_t i = 0; i < deco_vit_tensors(shape); i++) {
        deco_vit_tensor t = deco_vit_tensor_at(shape, i);
        if (t.offset >= first)
            add_stored(v, prefix, t.name, t.dims, t.shape, vector ? vector + t.offset - first : NULL);
    }
}

static void add_running(inventory *v, const deco_vit *shape, float *running)
{
    char name[64];
    for (int64_t i = 0; i < 2 * shape->depth; i++) {
        snprintf(name, sizeof name, "blocks.%lld.norm2.running_%s", (long long)i / 2, i % 2 ? "var" : "mean");
        add_stored(v, "encoder.", name, 1, &shape->C, running ? running + i * shape->C : NULL);
    }
}

/* What a checkpoint holds: the shapes that its notes tell. */
typedef struct contents {
    deco_hypervolume h;
    int64_t N, start_rows;
    bool pose_moments;
    deco_encoder_facts encoder; /* its depth 0: none */
} contents;

static contents contents_of(const deco_model *m, const deco_position *at)
{
    contents c = {.h = m->shape,
                  .N = m->rotations.count ? m->N : 0,
                  .start_rows = deco_checkpoint_start_rows(m, at),
                  .pose_moments = m->rotations.m != NULL};
    if (m->encoder)
        c.encoder = (deco_encoder_facts){m->encoder->shape, m->encoder->first, m->encoder->batches, m->encoder->steps};
    return c;
}

/* A table of N rows, and its moments where it is trained. */
static void add_table(inventory *v, const char *name, int64_t N, int64_t width, const deco_trained *t, bool moments)
{
    const int64_t shape[2] = {N, width};

    if (!N || !width)
        return;
    add_stored(v, "", name, 2, shape, t->x);
    if (moments) {
        add_stored(v, "adam.m.", name, 2, shape, t->m);
        add_stored(v, "adam.v.", name, 2, shape, t->v);
    }
}

static void add_start(inventory *v, const contents *c, const deco_epoch_start *start)
{
    const int64_t six[2] = {c->start_rows, 6}, shift[2] = {c->start_rows, 2}, z[2] = {c->start_rows, c->h.Z};

    if (!c->start_rows)
        return;
    if (c->h.Z)
        add_stored(v, "epoch_start.", "latents", 2, z, start->z);
    add_stored(v, "epoch_start.", "pose.rotation", 2, six, start->six);
    add_stored(v, "epoch_start.", "pose.shift", 2, shift, start->shift);
}

/* Every tensor of a checkpoint, in the order of the file. Without a model: names and shapes alone. */
static deco_status take_inventory(inventory *v, const contents *c, const deco_model *m)
{
    deco_status st = DECO_OK;
    static const deco_model none;
    static const deco_encoder no_encoder;
    const deco_hypervolume *h = &c->h;
    const deco_vit *vit = &c->encoder.shape;
    const int64_t freqs[2] = {3 * h->pe_dim, 3};
    int64_t tensors = 4 * deco_hypervolume_tensors(h) + 13 + (vit->depth ? 3 * deco_vit_tensors(vit) + 2 * vit->depth : 0);

    *v = (inventory){0};
    TRY(deco_alloc(&v->tensor, (size_t)tensors, sizeof *v->tensor, "the list of a checkpoint's tensors"));
    if (!m)
        m = &none;
    const deco_encoder *e = m->encoder ? m->encoder : &no_encoder;
    add_decoder(v, "", h, m->decoder.x);
    add_stored(v, "", "rand_freqs", 2, freqs, m->freqs);
    add_decoder(v, "mean.", h, m->mean);
    add_decoder(v, "adam.m.", h, m->decoder.m);
    add_decoder(v, "adam.v.", h, m->decoder.v);
    if (vit->depth) {
        add_encoder(v, "encoder.", vit, e->x, 0);
        add_running(v, vit, e->running);
        add_encoder(v, "adam.m.encoder.", vit, e->m, c->encoder.first);
        add_encoder(v, "adam.v.encoder.", vit, e->v, c->encoder.first);
    }
    add_table(v, "latents", c->N, h->Z, &m->latents, !vit->depth);
    add_table(v, "pose.rotation", c->N, 6, &m->rotations, c->pose_moments);
    add_table(v, "pose.shift", c->N, 2, &m->shifts, c->pose_moments);
    add_start(v, c, &m->start);
out:
    return st;
}

static void inventory_free(inventory *v) { free(v->tensor); }

/* FNV-1a, by bytes for text and by 4-byte words for tensors. Each step is one-to-one, so a change in any one place always shows. */
static uint64_t fnv(uint64_t h, uint32_t word) { return (h ^ word) * UINT64_C(1099511628211); }

static uint64_t checksum_text(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = fnv(h, (unsigned char)*text);
    return fnv(h, '\n');
}

static uint64_t checksum_numbers(uint64_t h, const void *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const char *)data + 4 * i, 4); /* a file's tensors may stand at any byte */
        h = fnv(h, word);
    }
    return h;
}

static uint64_t checksum_notes(const deco_notes *n)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (int i = 0; i < n->count; i++)
        h = checksum_text(checksum_text(h, n->key[i]), n->text[i]);
    return h;
}

static deco_status write_tensors(const char *path, const inventory *v, const float *host, deco_notes *notes)
{
    deco_status st = DECO_OK;
    deco_tensor_out *out = NULL;
    const char *value[DECO_NOTES];
    uint64_t sum = checksum_notes(notes);

    TRY(deco_alloc(&out, (size_t)v->count, sizeof *out, "the list of a checkpoint's tensors"));
    for (int64_t i = 0; i < v->count; i++) {
        const stored *s = v->tensor + i;
        out[i] = (deco_tensor_out){.name = s->name, .dtype = "F32", .dims = s->dims, .data = host};
        memcpy(out[i].shape, s->shape, sizeof s->shape);
        sum = checksum_numbers(checksum_text(sum, s->name), host, s->count);
        host += s->count;
    }
    deco_notes_add(notes, "checksum", "%016" PRIx64, sum);
    for (int i = 0; i < notes->count; i++)
        value[i] = notes->text[i];
    TRY(deco_safetensors_write(path, out, v->count, notes->key, value, notes->count));
out:
    free(out);
    return st;
}

/* A lost model must not take the place of a sound one. */
static deco_status check_finite(const char *path, const stored *s, const float *x)
{
    for (int64_t i = 0; i < s->count; i++)
        if (!isfinite(x[i]))
            return deco_fail(DECO_E_DIVERGED, "%s is not written: number %lld of %s is %g", path, (long long)i, s->name, (double)x[i]);
    return DECO_OK;
}

deco_status deco_checkpoint_write(const char *path, deco_model *m, const deco_position *at)
{
    deco_status st = DECO_OK;
    inventory v = {0};
    deco_notes notes = {0};
    float *host = NULL, *next;

    const contents all = contents_of(m, at);
    TRY(take_inventory(&v, &all, m));
    TRY(deco_alloc(&host, (size_t)v.numbers, sizeof *host, "a checkpoint"));
    next = host;
    for (int64_t i = 0; i < v.count; i++) {
        TRY(deco_device_download(m->dev, next, v.tensor[i].at, (size_t)v.tensor[i].count * sizeof *host));
        TRY(check_finite(path, &v.tensor[i], next));
        next += v.tensor[i].count;
    }
    TRY(deco_notes_of(&notes, m, at));
    TRY(write_tensors(path, &v, host, &notes));
out:
    free(host);
    inventory_free(&v);
    return st;
}

/* All wrong tensors in one message, so that one look says what the file is. */
static deco_status check_tensors(const deco_tensors *t, const inventory *v)
{
    char list[NAMES_SHOWN * 100] = "";
    size_t used = 0;
    int64_t wrong = 0;

    for (int64_t i = 0; i < v->count; i++) {
        const stored *s = v->tensor + i;
        const deco_tensor *f = deco_safetensors_find(t, s->name);
        bool same = f && strcmp(f->dtype, "F32") == 0 && f->dims == s->dims;
        for (int d = 0; same && d < s->dims; d++)
            same = f->shape[d] == s->shape[d];
        if (!same && wrong++ < NAMES_SHOWN)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s %s", used ? ", " : "", s->name, f ? "misshapen" : "missing");
    }
    if (!wrong)
        return DECO_OK;
    return deco_fail(DECO_E_FORMAT, "%s: %lld of %lld tensors are not those of its decoder: %s%s; this is no whole checkpoint of cryodeco",
                     t->path, (long long)wrong, (long long)v->count, list, wrong > NAMES_SHOWN ? ", ..." : "");
}

static deco_status check_sum(const deco_tensors *t, const inventory *v, const deco_notes *notes)
{
    const char *text = deco_safetensors_metadata(t, "checksum");
    char mine[17];
    uint64_t sum = checksum_notes(notes);

    for (int64_t i = 0; i < v->count; i++)
        sum =
            checksum_numbers(checksum_text(sum, v->tensor[i].name), deco_safetensors_find(t, v->tensor[i].name)->data, v->tensor[i].count);
    snprintf(mine, sizeof mine, "%016" PRIx64, sum);
    if (!text || strcmp(text, mine) != 0)
        return deco_fail(DECO_E_FORMAT, "%s: its checksum is %s and its content gives %s: the file is damaged; take an older checkpoint",
                         t->path, text ? text : "not there", mine);
    return DECO_OK;
}

static deco_status load_tensors(deco_model *m, const contents *all, const deco_tensors *t)
{
    deco_status st = DECO_OK;
    inventory v = {0};
    float *host = NULL;

    TRY(take_inventory(&v, all, m));
    for (int64_t i = 0; i < v.count; i++) {
        const stored *s = v.tensor + i;
        if (!s->at)
            continue;
        TRY(deco_alloc(&host, (size_t)s->count, sizeof *host, s->name));
        TRY(deco_tensor_floats(host, deco_safetensors_find(t, s->name), t->path));
        TRY(deco_device_upload(m->dev, s->at, host, (size_t)s->count * sizeof *host));
        free(host);
        host = NULL;
    }
out:
    free(host);
    inventory_free(&v);
    return st;
}

/* Memory for what is wanted of it. */
static deco_status make_room(deco_model **out, deco_device *dev, const contents *all, deco_reading what)
{
    deco_status st = DECO_OK;
    const deco_encoder_facts *e = &all->encoder;
    unsigned holding = what != DECO_READ_ALL ? DECO_HOLD_DECODER : all->pose_moments ? DECO_HOLD_POSE_MOMENTS : DECO_HOLD_TABLES;

    TRY(deco_model_allocate(out, dev, &all->h, all->N, holding | (e->shape.depth ? DECO_HOLD_ENCODED : 0U)));
    if (all->start_rows && what == DECO_READ_ALL) {
        TRY(deco_epoch_start_make(*out, all->start_rows));
        (*out)->start.known = true;
    }
    if (!e->shape.depth || what == DECO_READ_DECODER)
        goto out;
    TRY(deco_encoder_allocate(&(*out)->encoder, dev, &e->shape, e->first, what == DECO_READ_ALL));
    (*out)->encoder->batches = e->batches;
    (*out)->encoder->steps = e->steps;
out:
    return st;
}

deco_status deco_checkpoint_read(deco_model **out, deco_position *at, deco_device *dev, const char *path, deco_reading what)
{
    deco_status st = DECO_OK;
    deco_tensors *t = NULL;
    deco_model *m = NULL, facts = {0}; /* facts: what the notes say, before anything of that size is allocated */
    inventory v = {0};
    deco_notes notes = {0};
    contents all = {0};

    *out = NULL;
    TRY(deco_safetensors_read(&t, path));
    TRY(deco_notes_read(&facts, &all.pose_moments, &all.encoder, at, &notes, t));
    all.h = facts.shape;
    all.N = facts.N;
    all.start_rows = facts.start.n;
    TRY(take_inventory(&v, &all, NULL));
    TRY(check_tensors(t, &v));
    TRY(check_sum(t, &v, &notes));
    TRY(make_room(&m, dev, &all, what));
    m->D = facts.D;
    m->radius = facts.radius;
    m->psize_A = facts.psize_A;
    m->std = facts.std;
    m->decoder_steps = facts.decoder_steps;
    m->latent_steps = facts.latent_steps;
    m->pose_steps = facts.pose_steps;
    TRY(load_tensors(m, &all, t));
    *out = m;
    m = NULL;
out:
    deco_model_free(m);
    inventory_free(&v);
    deco_safetensors_free(t);
    return st;
}
