/* The epochs of METHOD.md section 5 with known poses: pretraining, then every image once an epoch in an order of its own. */
#include "training/train.h"

#include "base/philox.h"
#include "geometry/lattice.h"
#include "training/step.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES_AHEAD = 4 };

typedef struct trainer {
    deco_model *m;
    deco_position *at;
    const deco_particles *p;
    const deco_image_stats *stats;
    const deco_options *o;
    deco_monitor *mon;
    deco_schedule schedule;
    deco_mask *mask;
    int64_t *order; /* [N] */

    int64_t batch; /* of this phase, and what it needs */
    deco_step *step;
    deco_loader *loader;
    deco_ctf_row *ctf;    /* [batch]: this and what follows are a batch's rows, put together */
    float *R, *shift, *z; /* [batch,9], [batch,2], [batch,Z] */
} trainer;

static void phase_end(trainer *t)
{
    deco_loader_free(t->loader);
    deco_step_free(t->step);
    free(t->ctf);
    free(t->R);
    free(t->shift);
    free(t->z);
    t->loader = NULL, t->step = NULL, t->ctf = NULL, t->R = t->shift = t->z = NULL;
    t->batch = 0;
}

static deco_status phase_begin(trainer *t, int64_t batch)
{
    deco_status st = DECO_OK;
    size_t B = (size_t)batch, f = sizeof(float);

    if (t->batch == batch)
        return DECO_OK;
    phase_end(t);
    t->batch = batch;
    TRY(deco_step_create(&t->step, t->m, t->mask, batch));
    TRY(deco_loader_create(&t->loader, t->p, t->mask, t->stats->std, t->m->dev, batch, BATCHES_AHEAD));
    TRY(deco_alloc(&t->ctf, B, sizeof *t->ctf, "a batch"));
    TRY(deco_alloc(&t->R, B, 9 * f, "a batch"));
    TRY(deco_alloc(&t->shift, B, 2 * f, "a batch"));
    TRY(deco_alloc(&t->z, B, (size_t)(t->m->shape.Z + 1) * f, "a batch"));
out:
    return st;
}

/* One gradient step at the known poses. Pretraining draws a fresh latent an image and leaves the table alone. */
static deco_status train_batch(trainer *t, const deco_batch *b, int64_t epoch, double fraction, deco_epoch_record *r)
{
    int64_t Z = t->m->shape.Z;
    deco_step_input in = {.B = b->B,
                          .row = b->row,
                          .images = b->images,
                          .ctf = t->ctf,
                          .R = t->R,
                          .shift = t->shift,
                          .decay = t->o->wd,
                          .mean_steps = t->o->decoder_mean_steps};

    for (int64_t i = 0; i < b->B; i++) {
        int64_t row = b->row[i];
        t->ctf[i] = t->p->ctf[row];
        memcpy(t->R + 9 * i, t->p->R + 9 * row, 9 * sizeof *t->R);
        memcpy(t->shift + 2 * i, t->p->shift + 2 * row, 2 * sizeof *t->shift);
        if (epoch < 0)
            deco_latent_draw(t->z + Z * i, Z, t->at->seed, DECO_STREAM_PRETRAIN, row);
    }
    in.z = epoch < 0 ? t->z : NULL;
    r->lr_decoder = in.lr_decoder = t->o->lr;
    r->lr_latents = in.lr_latents =
        epoch < 0 ? 0
                  : deco_lr_latents(t->o->lr_conf_table, t->o->min_lr_conf_table, (double)t->o->warm_up_epochs, (double)epoch + fraction);
    return deco_step_run(t->step, &in);
}

static double seconds_in_slices(const deco_device *dev)
{
    double seconds = 0;
    int64_t calls;
    for (int i = 0;; i++) {
        const char *name = deco_op_timing(dev, i, &seconds, &calls);
        if (!name)
            return 0;
        if (strcmp(name, "slice_loss") == 0)
            return seconds;
    }
}

/* The batches of one epoch that are still to be done; at->step counts them. */
static deco_status run_batches(trainer *t, int64_t epoch, int64_t images, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    int64_t batches = (images + t->batch - 1) / t->batch, done = t->at->step;
    deco_random order = deco_random_at(t->at->seed, DECO_STREAM_ORDER, (uint64_t)(epoch + 1));

    if (done > batches)
        return deco_fail(
            DECO_E_ARGUMENT,
            "the checkpoint stands after batch %lld of epoch %lld, which has %lld batches of %lld: go on with the batch size of before",
            (long long)done, (long long)epoch, (long long)batches, (long long)t->batch);
    deco_random_permutation(&order, t->order, t->p->N);
    if (done < batches)
        TRY(deco_loader_start(t->loader, t->order + done * t->batch, images - done * t->batch));
    for (; t->at->step < batches; t->at->step++) {
        deco_batch b;
        if (deco_monitor_stopped(t->mon)) {
            st = deco_fail(DECO_E_STOPPED, "stopped on request in epoch %lld, after batch %lld of %lld", (long long)epoch,
                           (long long)t->at->step, (long long)batches);
            goto out;
        }
        TRY(deco_loader_next(t->loader, &b, &r->seconds_waiting));
        double start = deco_seconds();
        TRY(train_batch(t, &b, epoch, (double)t->at->step / (double)batches, r));
        r->seconds_step += deco_seconds() - start;
        deco_progress_add(t->mon, b.B);
    }
out:
    return st;
}

static void tell(trainer *t, const deco_epoch_record *r)
{
    double rate = r->seconds > 0 ? (double)r->images / r->seconds : 0;
    cJSON *fields = cJSON_CreateObject();

    deco_info(t->mon, "epoch %lld: loss %.6f, %.0f images/s, %.1f s: %.1f reading, %.1f decoding and backward, %.1f the rest of the steps",
              (long long)r->epoch, r->loss, rate, r->seconds, r->seconds_waiting, r->seconds_slices, r->seconds_step - r->seconds_slices);
    cJSON_AddNumberToObject(fields, "epoch", (double)r->epoch);
    cJSON_AddNumberToObject(fields, "loss", r->loss);
    cJSON_AddNumberToObject(fields, "images", (double)r->images);
    cJSON_AddNumberToObject(fields, "images_per_s", rate);
    cJSON_AddNumberToObject(fields, "seconds", r->seconds);
    cJSON_AddNumberToObject(fields, "seconds_reading", r->seconds_waiting);
    cJSON_AddNumberToObject(fields, "seconds_slices", r->seconds_slices);
    cJSON_AddNumberToObject(fields, "seconds_steps", r->seconds_step);
    cJSON_AddNumberToObject(fields, "lr_decoder", r->lr_decoder);
    cJSON_AddNumberToObject(fields, "lr_latents", r->lr_latents);
    deco_metric(t->mon, "epoch", fields);
}

/* What is asked of whoever reads that the loss is not a number any more. */
static deco_status say_diverged(const trainer *t, int64_t epoch)
{
    return deco_fail(DECO_E_DIVERGED, "epoch %lld: %s; lower --lr (now %g) or --lr_conf_table (now %g)", (long long)epoch, deco_error(),
                     t->o->lr, t->o->lr_conf_table);
}

static deco_status run_epoch(trainer *t, int64_t epoch, deco_epoch_record *r)
{
    deco_status st;
    char what[64];
    int64_t images = epoch < 0 ? t->schedule.pretrain_images : t->p->N;
    double start = deco_seconds(), slices = seconds_in_slices(t->m->dev);

    *r = (deco_epoch_record){.epoch = epoch};
    st = phase_begin(t, epoch < 0 ? t->schedule.pretrain_batch : t->o->batch_size_known_poses);
    if (st)
        return st;
    if (epoch < 0)
        snprintf(what, sizeof what, "pretraining");
    else
        snprintf(what, sizeof what, "epoch %lld of 0-%lld", (long long)epoch, (long long)t->schedule.total - 1);
    deco_progress_begin(t->mon, what, images - t->at->step * t->batch, "images");
    st = run_batches(t, epoch, images, r);
    deco_progress_end(t->mon);
    if (!st || st == DECO_E_STOPPED) { /* a stopped model must be sound too: it is about to be written */
        deco_status lost = deco_step_loss(t->step, &r->loss, &r->images);
        st = lost ? lost : st;
    }
    if (st == DECO_E_DIVERGED)
        return say_diverged(t, epoch);
    r->seconds = deco_seconds() - start;
    r->seconds_slices = seconds_in_slices(t->m->dev) - slices;
    return st;
}

static deco_status check(const trainer *t)
{
    if (!t->p->R || !t->p->shift)
        return deco_fail(DECO_E_ARGUMENT, "%s: training at known poses needs poses (alignments3D), and there are none", t->p->source);
    if (t->m->N != t->p->N || t->m->D != t->p->D)
        return deco_fail(DECO_E_ARGUMENT, "%s: %lld particles of box %lld; the model is for %lld of box %lld", t->p->source,
                         (long long)t->p->N, (long long)t->p->D, (long long)t->m->N, (long long)t->m->D);
    return DECO_OK;
}

static void announce(const trainer *t, bool resumed)
{
    const deco_schedule *s = &t->schedule;
    if (resumed)
        deco_info(t->mon, "going on in epoch %lld after its batch %lld", (long long)t->at->epoch + 1, (long long)t->at->step);
    if (t->at->epoch < -1)
        deco_info(t->mon, "epoch -1: pretraining the decoder on %lld images in batches of %lld", (long long)s->pretrain_images,
                  (long long)s->pretrain_batch);
    deco_info(t->mon, "epochs 0 to %lld: known poses in batches of %lld, decoder and latents (Z = %lld)", (long long)s->total - 1,
              (long long)t->o->batch_size_known_poses, (long long)t->m->shape.Z);
}

deco_status deco_train(deco_model *m, deco_position *at, const deco_particles *p, const deco_image_stats *stats, const deco_options *o,
                       deco_epoch_done done, void *context, deco_monitor *mon)
{
    deco_status st = DECO_OK;
    trainer t = {.m = m, .at = at, .p = p, .stats = stats, .o = o, .mon = mon, .schedule = deco_schedule_of(o, p->N)};
    deco_epoch_record r;
    bool resumed = at->epoch >= -1 || at->step;

    TRY(check(&t));
    if (at->epoch < -1 && !t.schedule.pretrain_images)
        at->epoch = -1;
    TRY(deco_mask_create(&t.mask, m->shape.L, m->radius));
    TRY(deco_alloc(&t.order, (size_t)p->N, sizeof *t.order, "the order of an epoch"));
    announce(&t, resumed);
    while (at->epoch + 1 < t.schedule.total) {
        TRY(run_epoch(&t, at->epoch + 1, &r));
        at->epoch++;
        at->step = 0;
        tell(&t, &r);
        if (done)
            TRY(done(context, &r, at));
    }
out:
    phase_end(&t);
    deco_mask_free(t.mask);
    free(t.order);
    return st;
}

size_t deco_train_bytes(const deco_options *o, const deco_hypervolume *h, int64_t N, int64_t D, int threads)
{
    /* Of the CPU's fused decoder: copies of the gradient, as far as they fit in so much, and the points of which a thread holds all layers. */
    const size_t most_chunks = 72, least_chunks = 12, chunk_bytes = (size_t)256 << 20, tile_points = 192;
    deco_schedule s = deco_schedule_of(o, N);
    int64_t batch = s.pretrain_images && s.pretrain_batch > o->batch_size_known_poses ? s.pretrain_batch : o->batch_size_known_poses;
    int64_t P = D * D; /* the square around the mask */
    size_t decoder = (size_t)deco_hypervolume_parameters(h) * sizeof(float), table = (size_t)(N * h->Z) * sizeof(float);
    size_t tile = tile_points * (size_t)(12 * h->pe_dim + (2 * h->n + 4) * h->H) * sizeof(float);
    size_t chunks = most_chunks * decoder < chunk_bytes ? most_chunks * decoder : chunk_bytes;

    return 3 * (decoder + table) + deco_step_bytes(h, N, P, batch) + deco_loader_bytes(D, P, batch, BATCHES_AHEAD, threads) +
           (size_t)N * sizeof(int64_t) + (chunks > least_chunks * decoder ? chunks : least_chunks * decoder) + (size_t)threads * tile;
}
