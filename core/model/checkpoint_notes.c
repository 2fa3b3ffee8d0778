/* What a checkpoint says about its tensors: shape of the decoder, box and scale, and where training stands. */
#include "model/checkpoint_notes.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_NAME "cryodeco checkpoint"
/* 2: with poses. */
#define VERSION 2
#define MOST    INT64_C(4000000000000000) /* no count of ours comes near, and sums of a few stay inside 64 bits */

void deco_notes_add(deco_notes *n, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    n->key[n->count] = key;
    vsnprintf(n->text[n->count], sizeof n->text[0], format, args);
    va_end(args);
    n->count++;
}

static void note_whole(deco_notes *n, const char *key, int64_t value) { deco_notes_add(n, key, "%" PRId64, value); }

deco_status deco_notes_of(deco_notes *n, const deco_model *m, const deco_position *at)
{
    const deco_hypervolume *h = &m->shape;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before; /* the host's language may write 1,5 */

    if (!c)
        return deco_fail_memory(0, "the C locale");
    before = uselocale(c);
    deco_notes_add(n, "format", "%s", FORMAT_NAME);
    note_whole(n, "version", VERSION);
    note_whole(n, "epoch", at->epoch);
    note_whole(n, "step", at->step);
    deco_notes_add(n, "seed", "%" PRIu64, at->seed);
    deco_notes_add(n, "digest", "%s", at->digest);
    deco_notes_add(n, "arithmetic", "%s", deco_device_arithmetic(m->dev));
    note_whole(n, "images", at->images);
    deco_notes_add(n, "loss_sum", "%.17g", at->loss_sum);
    note_whole(n, "halvings", at->halvings);
    note_whole(n, "turned_little", at->turned_little);
    note_whole(n, "moved_little", at->moved_little);
    note_whole(n, "still", at->still);
    note_whole(n, "skipped", at->skipped);
    deco_notes_add(n, "agreement", "%.17g", at->agreement);
    deco_notes_add(n, "work", "%.17g", at->work);
    deco_notes_add(n, "sample_work", "%.17g", at->sample_work);
    note_whole(n, "sampled", at->sampled);
    note_whole(n, "sampled_alike", at->sampled_alike);
    note_whole(n, "mended", at->mended);
    note_whole(n, "search_radius", at->search_radius);
    note_whole(n, "box", m->D);
    note_whole(n, "radius", m->radius);
    deco_notes_add(n, "psize_A", "%.17g", m->psize_A);
    deco_notes_add(n, "std", "%.17g", m->std);
    note_whole(n, "pe_dim", h->pe_dim);
    note_whole(n, "hypervolume_dim", h->H);
    note_whole(n, "hypervolume_layers", h->n);
    note_whole(n, "latent_dim", h->Z);
    note_whole(n, "decoder_ln", h->layer_norm);
    note_whole(n, "particles", m->rotations.count ? m->N : 0);
    note_whole(n, "decoder_steps", m->decoder_steps);
    note_whole(n, "latent_steps", m->latent_steps);
    note_whole(n, "poses_trained", m->rotations.m != NULL);
    note_whole(n, "pose_steps", m->pose_steps);
    if (deco_checkpoint_start_rows(m, at))
        note_whole(n, "epoch_start_rows", m->start.n);
    if (m->encoder) { /* the image's side and the patch are Cryo-IEF's */
        note_whole(n, "encoder_width", m->encoder->shape.C);
        note_whole(n, "encoder_depth", m->encoder->shape.depth);
        note_whole(n, "encoder_heads", m->encoder->shape.heads);
        note_whole(n, "encoder_first", m->encoder->first);
        note_whole(n, "encoder_batches", m->encoder->batches);
        note_whole(n, "encoder_steps", m->encoder->steps);
    }
    uselocale(before);
    freelocale(c);
    return DECO_OK;
}

/* Reads one note after another; the first that is wrong stops the rest. */
typedef struct reader {
    const deco_tensors *t;
    deco_notes *n;
    locale_t c;
    deco_status st;
} reader;

static const char *next_text(reader *r, const char *key)
{
    const char *text = deco_safetensors_metadata(r->t, key);
    if (r->st)
        return "";
    if (!text || strlen(text) >= sizeof r->n->text[0]) {
        r->st = deco_fail(DECO_E_FORMAT, "%s: its metadata has no %s \"%s\"; this is no checkpoint of cryodeco", r->t->path,
                          text ? "usable" : "entry", key);
        return "";
    }
    deco_notes_add(r->n, key, "%s", text);
    return text;
}

static int64_t next_whole(reader *r, const char *key, int64_t least, int64_t most)
{
    const char *text = next_text(r, key);
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!r->st && (end == text || *end || errno || v < least || v > most))
        r->st = deco_fail(DECO_E_FORMAT, "%s: its metadata says %s = \"%s\"; it must be a whole number from %lld to %lld", r->t->path, key,
                          text, (long long)least, (long long)most);
    return r->st ? 0 : v;
}

static double next_real(reader *r, const char *key)
{
    const char *text = next_text(r, key);
    char *end;
    double v = strtod_l(text, &end, r->c);
    if (!r->st && (end == text || *end || !isfinite(v) || !(v >= 0)))
        r->st = deco_fail(DECO_E_FORMAT, "%s: its metadata says %s = \"%s\"; it must be a number of at least 0", r->t->path, key, text);
    return r->st ? 0 : v;
}

static void read_position(reader *r, deco_position *at)
{
    const char *text;
    char *end;

    at->epoch = next_whole(r, "epoch", -2, MOST);
    at->step = next_whole(r, "step", 0, MOST);
    text = next_text(r, "seed");
    errno = 0;
    at->seed = strtoull(text, &end, 10);
    if (!r->st && (end == text || *end || *text == '-' || errno))
        r->st = deco_fail(DECO_E_FORMAT, "%s: its metadata says seed = \"%s\"; it must be a whole number below 2^64", r->t->path, text);
    text = next_text(r, "digest");
    if (!r->st && strlen(text) >= sizeof at->digest)
        r->st = deco_fail(DECO_E_FORMAT, "%s: its metadata says digest = \"%s\"; it has at most 16 characters", r->t->path, text);
    snprintf(at->digest, sizeof at->digest, "%.16s", text);
    at->arithmetic[0] = 0;
    if (deco_safetensors_metadata(r->t, "arithmetic")) /* not in older ones */
        snprintf(at->arithmetic, sizeof at->arithmetic, "%.16s", next_text(r, "arithmetic"));
    at->images = next_whole(r, "images", 0, MOST);
    at->loss_sum = next_real(r, "loss_sum");
    at->halvings = next_whole(r, "halvings", 0, 1000);
    at->turned_little = next_whole(r, "turned_little", 0, MOST);
    at->moved_little = next_whole(r, "moved_little", 0, MOST);
    at->still = next_whole(r, "still", 0, MOST);
    at->skipped = next_whole(r, "skipped", 0, MOST);
    at->agreement = next_real(r, "agreement");
    if (!deco_safetensors_metadata(r->t, "work"))
        return; /* written before agreement was measured */
    at->work = next_real(r, "work");
    at->sample_work = next_real(r, "sample_work");
    at->sampled = next_whole(r, "sampled", 0, MOST);
    at->sampled_alike = next_whole(r, "sampled_alike", 0, MOST);
    at->mended = next_whole(r, "mended", 0, 4);
    if (deco_safetensors_metadata(r->t, "search_radius")) /* not in older ones */
        at->search_radius = next_whole(r, "search_radius", 0, 1 << 15);
}

static void read_facts(reader *r, deco_model *f, bool *pose_moments)
{
    f->D = next_whole(r, "box", 2, 1 << 15);
    if (!r->st && f->D % 2)
        r->st = deco_fail(DECO_E_FORMAT, "%s: its metadata says box = %lld; boxes are even", r->t->path, (long long)f->D);
    f->radius = next_whole(r, "radius", 1, f->D / 2);
    f->psize_A = next_real(r, "psize_A");
    f->std = next_real(r, "std");
    f->shape.L = f->D + 1;
    f->shape.pe_dim = next_whole(r, "pe_dim", 1, 1 << 20);
    f->shape.H = next_whole(r, "hypervolume_dim", 1, 1 << 20);
    f->shape.n = next_whole(r, "hypervolume_layers", 0, 1 << 20);
    f->shape.Z = next_whole(r, "latent_dim", 0, 1 << 20);
    f->shape.layer_norm = next_whole(r, "decoder_ln", 0, 1);
    f->N = next_whole(r, "particles", 0, MOST / (f->shape.Z + 8));
    f->decoder_steps = next_whole(r, "decoder_steps", 0, MOST);
    f->latent_steps = next_whole(r, "latent_steps", 0, MOST);
    *pose_moments = next_whole(r, "poses_trained", 0, 1);
    f->pose_steps = next_whole(r, "pose_steps", 0, MOST);
    if (deco_safetensors_metadata(r->t, "epoch_start_rows")) /* inside an epoch, and not in older ones */
        f->start.n = next_whole(r, "epoch_start_rows", 1, f->N > 0 ? f->N : 1);
}

/* There is an encoder when its width is told. */
static void read_encoder(reader *r, deco_encoder_facts *e, int64_t Z)
{
    *e = (deco_encoder_facts){0};
    if (r->st || !deco_safetensors_metadata(r->t, "encoder_width"))
        return;
    e->shape = (deco_vit){.side = DECO_ENCODER_SIDE, .patch = DECO_ENCODER_PATCH, .Z = Z};
    e->shape.C = next_whole(r, "encoder_width", 4, 16384);
    e->shape.depth = next_whole(r, "encoder_depth", 1, 1024);
    e->shape.heads = next_whole(r, "encoder_heads", 1, 16384);
    if (!r->st && deco_vit_check(&e->shape))
        r->st = deco_fail_context(DECO_E_FORMAT, "%s", r->t->path);
    e->first = next_whole(r, "encoder_first", 0, r->st ? MOST : deco_vit_head_offset(&e->shape));
    e->batches = next_whole(r, "encoder_batches", 0, MOST);
    e->steps = next_whole(r, "encoder_steps", 0, MOST);
}

deco_status deco_notes_read(deco_model *facts, bool *pose_moments, deco_encoder_facts *encoder, deco_position *at, deco_notes *n,
                            const deco_tensors *t)
{
    reader r = {t, n, newlocale(LC_ALL_MASK, "C", (locale_t)0), DECO_OK};

    if (!r.c)
        return deco_fail_memory(0, "the C locale");
    const char *format = next_text(&r, "format");
    if (!r.st && strcmp(format, FORMAT_NAME) != 0)
        r.st = deco_fail(DECO_E_FORMAT, "%s: its metadata says format = \"%s\"; this is no checkpoint of cryodeco", t->path, format);
    next_whole(&r, "version", VERSION, VERSION);
    read_position(&r, at);
    read_facts(&r, facts, pose_moments);
    read_encoder(&r, encoder, facts->shape.Z);
    freelocale(r.c);
    if (!r.st && deco_hypervolume_check(&facts->shape))
        r.st = deco_fail_context(DECO_E_FORMAT, "%s", t->path);
    return r.st;
}
