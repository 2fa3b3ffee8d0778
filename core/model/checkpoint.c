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
    int64_t shape[2], count;
    float *at;
} stored;

typedef struct inventory {
    stored *tensor;
    int64_t count, numbers; /* tensors; the sum of their counts */
} inventory;

static void add_stored(inventory *v, const char *prefix, const char *name, int dims, const int64_t shape[2], float *at)
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

/* Every tensor of a checkpoint with tables of N rows, in the order of the file. Without a model: names and shapes alone. */
static deco_status take_inventory(inventory *v, const deco_hypervolume *h, int64_t N, bool pose_moments, const deco_model *m)
{
    deco_status st = DECO_OK;
    static const deco_model none;
    const int64_t freqs[2] = {3 * h->pe_dim, 3};

    *v = (inventory){0};
    TRY(deco_alloc(&v->tensor, (size_t)(4 * deco_hypervolume_tensors(h) + 10), sizeof *v->tensor, "the list of a checkpoint's tensors"));
    if (!m)
        m = &none;
    add_decoder(v, "", h, m->decoder.x);
    add_stored(v, "", "rand_freqs", 2, freqs, m->freqs);
    add_decoder(v, "mean.", h, m->mean);
    add_decoder(v, "adam.m.", h, m->decoder.m);
    add_decoder(v, "adam.v.", h, m->decoder.v);
    add_table(v, "latents", N, h->Z, &m->latents, true);
    add_table(v, "pose.rotation", N, 6, &m->rotations, pose_moments);
    add_table(v, "pose.shift", N, 2, &m->shifts, pose_moments);
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
        out[i] = (deco_tensor_out){.name = s->name, .dtype = "F32", .dims = s->dims, .shape = {s->shape[0], s->shape[1]}, .data = host};
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

    TRY(take_inventory(&v, &m->shape, m->rotations.count ? m->N : 0, m->rotations.m, m));
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

static deco_status load_tensors(deco_model *m, bool pose_moments, const deco_tensors *t)
{
    deco_status st = DECO_OK;
    inventory v = {0};
    float *host = NULL;

    TRY(take_inventory(&v, &m->shape, m->N, pose_moments, m));
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

deco_status deco_checkpoint_read(deco_model **out, deco_position *at, deco_device *dev, const char *path, bool for_training)
{
    deco_status st = DECO_OK;
    deco_tensors *t = NULL;
    deco_model *m = NULL, facts = {0}; /* facts: what the notes say, before anything of that size is allocated */
    inventory v = {0};
    deco_notes notes = {0};
    bool pose_moments;

    *out = NULL;
    TRY(deco_safetensors_read(&t, path));
    TRY(deco_notes_read(&facts, &pose_moments, at, &notes, t));
    TRY(take_inventory(&v, &facts.shape, facts.N, pose_moments, NULL));
    TRY(check_tensors(t, &v));
    TRY(check_sum(t, &v, &notes));
    TRY(deco_model_allocate(&m, dev, &facts.shape, facts.N,
                            !for_training  ? DECO_HOLD_DECODER
                            : pose_moments ? DECO_HOLD_POSE_MOMENTS
                                           : DECO_HOLD_TABLES));
    m->D = facts.D;
    m->radius = facts.radius;
    m->psize_A = facts.psize_A;
    m->std = facts.std;
    m->decoder_steps = facts.decoder_steps;
    m->latent_steps = facts.latent_steps;
    m->pose_steps = facts.pose_steps;
    TRY(load_tensors(m, pose_moments, t));
    *out = m;
    m = NULL;
out:
    deco_model_free(m);
    inventory_free(&v);
    deco_safetensors_free(t);
    return st;
}
