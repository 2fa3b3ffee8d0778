/* The epochs of METHOD.md section 5 with known poses: pretraining, then every image once an epoch in an order of its own. */
#include "training/initial_model.h"
#include "training/hold_out.h"
#include "training/trainer.h"

#include "training/search_resolution.h"
#include "training/search_stop.h"

#include "base/philox.h"
#include "particles/block_order.h"
#include "particles/file_order.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A search batch is large, and its search leaves the loader time enough for the next. */
enum { SEARCH_BATCHES_AHEAD = 1 };

static void phase_end(trainer *t)
{
    trainer_search_free(t);
    deco_loader_free(t->loader);
    deco_step_free(t->step);
    deco_mask_free(t->mask);
    free(t->ctf);
    free(t->z);
    t->loader = NULL, t->step = NULL, t->mask = NULL, t->ctf = NULL, t->z = NULL;
    t->plan = (deco_epoch_plan){0};
}

/* Can an epoch go on with what the one before it needed? */
static bool same_needs(const deco_epoch_plan *a, const deco_epoch_plan *b)
{
    return a->kind == b->kind && a->batch == b->batch && a->radius == b->radius && a->search_batch == b->search_batch &&
           a->search_radius == b->search_radius && a->n_iter == b->n_iter && a->mended == b->mended;
}

/* Of the workers the first has no fewer than the others. */
int64_t trainer_share(const trainer *t, int64_t whole)
{
    int64_t from, n = deco_comm_part(&from, t->m->comm, 0, whole, whole);
    return n > 0 ? n : 1;
}

static deco_status phase_begin(trainer *t, const deco_epoch_plan *plan)
{
    deco_status st = DECO_OK;
    size_t B = (size_t)plan->batch;
    deco_encoded *encoded = NULL;

    if (t->mask && same_needs(&t->plan, plan)) {
        t->plan = *plan;
        return DECO_OK;
    }
    phase_end(t);
    t->plan = *plan;
    t->m->radius = plan->radius;
    int64_t from, share = trainer_share(t, plan->batch), read = trainer_part(&from, t, plan->batch, plan->batch);
    if (plan->search_batch)
        read = trainer_search_share(t, deco_comm_rank(t->m->comm), plan->search_batch);
    read = read > 0 ? read : 1;
    TRY(deco_mask_create(&t->mask, t->m->shape.L, plan->radius));
    TRY(deco_step_create(&t->step, t->m, t->mask, share));
    if (t->m->encoder) {
        TRY(deco_encoded_create(&encoded, t->m, share, plan->kind != DECO_EPOCH_PRETRAIN, t->o->gradient_checkpointing));
        deco_step_take_encoder(t->step, encoded);
    }
    TRY(deco_loader_create(&t->loader, t->p, t->mask, t->stats, t->m->dev, read,
                           plan->search_batch ? SEARCH_BATCHES_AHEAD : (int)t->o->prefetch));
    TRY(deco_alloc(&t->ctf, B, sizeof *t->ctf, "a batch"));
    TRY(deco_alloc(&t->z, B, (size_t)(t->m->shape.Z + 1) * sizeof *t->z, "a batch"));
    if (plan->search_batch)
        TRY(trainer_search_create(t));
out:
    return st;
}

/* Every optimiser's rate at a place in the epoch; 0 of what is not trained. Half as many as often as training diverged. */
static void set_rates(deco_step_input *in, const trainer *t, double fraction, deco_epoch_record *r)
{
    const deco_options *o = t->o;
    int64_t epoch = t->at->epoch + 1;
    double rate = ldexp(t->o->batch_is_global ? 1 : deco_comm_size(t->m->comm), -(int)t->at->halvings),
           e = (double)deco_scheduled_epoch(epoch, t->at->skipped) + fraction;

    in->lr_decoder = rate * t->plan.lr;
    in->lr_poses = rate * t->plan.lr_poses;
    if (t->m->encoder && !in->encoder_frozen)
        in->lr_encoder =
            rate * deco_lr_encoder(o->lr_conf_encoder, o->min_lr_encoder, (double)o->warm_up_epochs_encoder, (double)t->schedule.total, e);
    if (!t->m->encoder && !in->z && !t->plan.latents_frozen) {
        bool whole = !o->warm_up_epochs;
        in->lr_latents =
            rate * deco_lr_latents(o->lr_conf_table, o->min_lr_conf_table, (double)(whole ? t->schedule.total : o->warm_up_epochs),
                                   whole ? e : (double)epoch + fraction);
    }
    r->lr_decoder = in->lr_decoder;
    r->lr_latents = t->m->encoder ? in->lr_encoder : in->lr_latents;
    r->lr_poses = in->lr_poses;
}

/* With log_interval: a line of the images since the last. */
static deco_status tell_losses(trainer *t, const deco_epoch_record *r)
{
    double sum;
    int64_t images;
    deco_status st = deco_step_losses(t->step, &sum, &images);
    cJSON *fields;

    if (st || images - t->told_images < t->o->log_interval)
        return st;
    fields = cJSON_CreateObject();
    cJSON_AddNumberToObject(fields, "epoch", (double)r->epoch);
    cJSON_AddNumberToObject(fields, "images", (double)images);
    cJSON_AddNumberToObject(fields, "loss", (sum - t->told_sum) / (double)(images - t->told_images));
    deco_metric(t->mon, "losses", fields);
    t->told_sum = sum, t->told_images = images;
    return st;
}

/* Part of a batch, all held out of the decoder's training or none: images `from` … of this worker's, those between `first` and `end` of all. */
typedef struct batch_part {
    int64_t from, n, first, end;
    bool held;
} batch_part;

/* Where each worker's images of a part are among those of all. */
static void bounds_of(int64_t *bounds, const trainer *t, const whole_batch *all, const batch_part *part)
{
    int size = deco_comm_size(t->m->comm);

    for (int g = 0; g <= size; g++) {
        int64_t at = all->n;
        if (g < size)
            deco_comm_part(&at, t->m->comm, g, all->n, t->plan.batch);
        bounds[g] = (at < part->first ? part->first : at < part->end ? at : part->end) - part->first;
    }
}

static deco_status step_part(trainer *t, const deco_batch *b, const whole_batch *all, const batch_part *part, const float *z,
                             double fraction, deco_epoch_record *r)
{
    int64_t from = part->from, n = part->n, bounds[DECO_WORKERS_MOST + 1];
    bool held = part->held;
    deco_status st = DECO_OK;
    bool table = t->plan.kind == DECO_EPOCH_TABLE;
    deco_step_input in = {.B = n,
                          .row = b->row + from,
                          .images = b->images + from * t->mask->P,
                          .ctf = t->ctf,
                          .z = z ? z + from * t->m->shape.Z : NULL,
                          .pixels = b->pixels ? b->pixels + from * DECO_ENCODER_PIXELS : NULL,
                          .encoder_frozen = held || t->plan.kind == DECO_EPOCH_PRETRAIN || t->plan.latents_frozen,
                          .decoder_frozen = held,
                          .latents_frozen = t->plan.latents_frozen,
                          .train_rotations = table,
                          .train_shifts = table && !t->o->use_gt_trans && !t->o->no_trans,
                          .decay = t->o->wd,
                          .mean_steps = t->o->decoder_mean_steps};

    if (t->m->comm) {
        bounds_of(bounds, t, all, part);
        in.all_rows = all->row + part->first;
        in.bounds = bounds;
    }
    for (int64_t i = 0; i < n; i++)
        t->ctf[i] = t->p->ctf[in.row[i]];
    set_rates(&in, t, fraction, r);
    TRY(deco_step_run(t->step, &in));
    if (t->o->log_interval)
        TRY(tell_losses(t, r));
out:
    return st;
}

/* Those held out stand behind the others in a batch, as in an epoch: one batch has both. */
deco_status trainer_step(trainer *t, const deco_batch *b, const whole_batch *all, const float *z, double fraction, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    int64_t kept = 0, begin, n = trainer_part(&begin, t, all->n, t->plan.batch);

    if (n != b->B)
        return deco_fail(DECO_E_ARGUMENT, "a worker has %lld images of a batch where %lld are its part", (long long)b->B, (long long)n);
    while (kept < all->n && !deco_is_held_out(t->at->seed, all->row[kept], t->o->hold_out))
        kept++;
    int64_t mine = kept < begin ? 0 : kept > begin + n ? n : kept - begin;
    const batch_part trained = {0, mine, 0, kept, false}, held = {mine, n - mine, kept, all->n, true};
    if (kept)
        TRY(step_part(t, b, all, &trained, z, fraction, r));
    if (kept < all->n)
        TRY(step_part(t, b, all, &held, z, fraction, r));
out:
    return st;
}

/* Pretraining draws a fresh latent an image and leaves the table alone; an encoder gives them, in evaluation mode. */
static deco_status train_batch(trainer *t, const deco_batch *b, const whole_batch *all, double fraction, deco_epoch_record *r)
{
    int64_t Z = t->m->shape.Z;
    bool pretraining = t->plan.kind == DECO_EPOCH_PRETRAIN && !t->m->encoder;

    for (int64_t i = 0; pretraining && i < b->B; i++)
        deco_latent_draw(t->z + Z * i, Z, t->at->seed, DECO_STREAM_PRETRAIN, b->row[i]);
    return trainer_step(t, b, all, pretraining ? t->z : NULL, fraction, r);
}

deco_status trainer_stopped(const trainer *t, int64_t batches)
{
    return deco_fail(DECO_E_STOPPED, "stopped on request in epoch %lld, after batch %lld of %lld", (long long)t->at->epoch + 1,
                     (long long)t->at->step, (long long)batches);
}

deco_status trainer_between(trainer *t, int64_t batches)
{
    deco_status st = DECO_OK;
    const deco_watch *w = t->watch;
    enum { CHECKPOINT = 1, STOP = 2 };
    unsigned asked = w->wants_checkpoint && w->wants_checkpoint(w->context) ? CHECKPOINT : 0;

    deco_comm_at(t->m->comm, "epoch %lld, batch %lld", (long long)t->at->epoch + 1, (long long)t->at->step);
    if (t->m->comm && deco_monitor_stopped(t->mon))
        asked |= STOP;
    TRY(deco_comm_any(t->m->comm, &asked, "whether to stop"));
    if (asked & CHECKPOINT) {
        TRY(deco_step_losses(t->step, &t->at->loss_sum, &t->at->images)); /* a lost model must not take the place of a sound one */
        if (w->checkpoint)
            TRY(w->checkpoint(w->context, t->at));
    }
    if (asked & STOP || (!t->m->comm && deco_monitor_stopped(t->mon)))
        TRY(trainer_stopped(t, batches));
out:
    return st;
}

void trainer_batch_done(const trainer *t, const deco_epoch_record *r, int64_t images, int64_t left)
{
    const deco_batch_record b = {.so_far = r, .plan = &t->plan, .at = t->at, .images = images, .left = left};

    if (t->watch->batch_done)
        t->watch->batch_done(t->watch->context, &b);
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

/* Another number of workers may have begun the epoch, in batches of another size: then its images tell what is done. */
static deco_status check_position(trainer *t, int64_t batches, int64_t each)
{
    t->begun = t->at->step * each;
    if (t->at->step && !t->plan.search_batch && t->at->images && t->at->images != t->begun) {
        t->begun = t->at->images;
        return DECO_OK;
    }
    if (t->at->step > batches)
        return deco_fail(
            DECO_E_ARGUMENT,
            "the checkpoint stands after batch %lld of epoch %lld, which has %lld batches of %lld: go on with the batch size of before",
            (long long)t->at->step, (long long)t->at->epoch + 1, (long long)batches, (long long)each);
    return DECO_OK;
}

/* The batches of one epoch without a search that are still to be done; at->step counts them. */
static deco_status run_batches(trainer *t, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    int64_t each = t->plan.batch, done = t->begun, left = t->plan.images - done, batches = t->at->step + (left + each - 1) / each;
    int64_t mine = t->m->comm ? 0 : left, from;

    for (int64_t at = 0; t->m->comm && at < left; at += each) {
        int64_t n = trainer_part(&from, t, left - at < each ? left - at : each, each);
        memcpy(t->mine + mine, t->order + done + at + from, (size_t)n * sizeof *t->mine);
        mine += n;
    }
    if (mine)
        TRY(deco_loader_start(t->loader, t->m->comm ? t->mine : t->order + done, mine));
    for (int64_t at = 0; t->at->step < batches; t->at->step++, at += each) {
        const whole_batch all = {t->order + done + at, left - at < each ? left - at : each};
        deco_batch b = {0};
        TRY(trainer_between(t, batches));
        if (trainer_part(&from, t, all.n, each))
            TRY(deco_loader_next(t->loader, &b, &r->seconds_waiting));
        double start = deco_seconds();
        TRY(train_batch(t, &b, &all, (double)t->at->step / (double)batches, r));
        r->seconds_step += deco_seconds() - start;
        deco_progress_add(t->mon, all.n);
        trainer_batch_done(t, r, at + all.n, left - at - all.n);
    }
out:
    return st;
}

/* What is asked of whoever reads that the loss is not a number any more. */
static deco_status say_diverged(const trainer *t, int64_t epoch)
{
    double factor = ldexp(1, -(int)t->at->halvings);
    return deco_fail(DECO_E_DIVERGED, "epoch %lld: %s; lower --lr (now %g) or --%s (now %g)", (long long)epoch, deco_error(),
                     factor * t->o->lr, t->m->encoder ? "lr_conf_encoder" : "lr_conf_table",
                     factor * (t->m->encoder ? t->o->lr_conf_encoder : t->o->lr_conf_table));
}

/* Every epoch's order is its own, whatever came before. */
static deco_status draw_order(trainer *t)
{
    deco_random order = deco_random_at(t->at->seed, DECO_STREAM_ORDER, (uint64_t)(t->at->epoch + 2));
    deco_block_order(t->order, t->in_files, t->p->N, t->o->shuffle_block, &order);
    return deco_held_out_last(t->order, NULL, t->p->N, t->at->seed, t->o->hold_out);
}

/* Every particle's latent, by the encoder as it is now, in evaluation mode: before a search asks the table, and behind the last epoch. */
/* Each worker does a run of the rows; then all have all. */
static deco_status encode_all(trainer *t, const char *why, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    deco_comm *c = t->m->comm;
    int64_t N = t->p->N, Z = t->m->shape.Z, from, n = trainer_part(&from, t, N, N), share = trainer_share(t, t->plan.batch);
    int64_t bounds[DECO_WORKERS_MOST + 1];
    unsigned stop = 0;
    deco_batch b = {0};

    deco_comm_at(c, "%s", why);
    for (int64_t i = 0; i < N; i++)
        t->order[i] = i;
    deco_progress_begin(t->mon, why, n, "images");
    if (n)
        TRY(deco_loader_start(t->loader, t->order + from, n));
    for (int64_t done = 0; done < n && !stop; done += b.B) {
        stop = deco_monitor_stopped(t->mon);
        if (stop)
            break;
        TRY(deco_loader_next(t->loader, &b, &r->seconds_waiting));
        for (int64_t i = 0; i < b.B; i += share) { /* a search reads more at once */
            int64_t some = b.B - i < share ? b.B - i : share;
            TRY(deco_step_encode(t->step, b.row + i, b.pixels + i * DECO_ENCODER_PIXELS, some));
        }
        deco_progress_add(t->mon, b.B);
    }
    TRY(deco_comm_any(c, &stop, "whether to stop"));
    if (stop)
        TRY(deco_fail(DECO_E_STOPPED, "stopped on request while %s, which the run that goes on begins anew", why));
    for (int g = 0; g <= deco_comm_size(c); g++) {
        bounds[g] = N;
        if (g < deco_comm_size(c))
            deco_comm_part(&bounds[g], c, g, N, N);
    }
    TRY(deco_comm_gather_on(c, t->m->dev, t->m->latents.x, bounds, Z, "the latents of all images"));
out:
    deco_progress_end(t->mon);
    return st;
}

static deco_status make_initial_model(trainer *t)
{
    deco_initial_result r;
    deco_image_stats images = *t->stats;
    images.encoder = false; /* nothing asks for latents yet */
    deco_status st = deco_initial_model_run(&r, t->m, t->p, &images, t->o, t->at->seed, t->mon);

    if (!st)
        t->at->agreement = r.starts > 1 ? fmax(r.agreement, 1e-9) : 0; /* compared, and nothing alike */
    return st;
}

/* By the first worker, for all: the others wait for its poses. */
static deco_status begin_with_poses(trainer *t)
{
    deco_status st = DECO_OK;
    int stopped = 0;

    deco_comm_at(t->m->comm, "the initial model");
    if (!deco_comm_rank(t->m->comm)) {
        st = make_initial_model(t);
        stopped = st == DECO_E_STOPPED;
        if (st && (!stopped || !t->m->comm))
            goto out;
        st = DECO_OK;
    }
    TRY(deco_comm_share(t->m->comm, &stopped, sizeof stopped, "the initial model of the first worker"));
    if (stopped)
        TRY(deco_fail(DECO_E_STOPPED, "stopped on request in the initial model, which the run that goes on begins anew"));
    if (t->m->comm)
        TRY(deco_model_share_poses(t->m));
    TRY(deco_comm_share(t->m->comm, &t->at->agreement, sizeof t->at->agreement, "how far the starts agree"));
out:
    return st;
}

static const char last_encoding[] = "encoding all images once more, with the encoder at rest";

static deco_status run_epoch(trainer *t, int64_t epoch, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    char what[64];
    deco_epoch_plan plan = deco_epoch_plan_of(t->o, t->p->N, t->p->D, deco_scheduled_epoch(epoch, t->at->skipped));
    double start = deco_seconds(), slices = seconds_in_slices(t->m->dev);
    deco_epoch_plan_mend(&plan, t->o, t->p->N, t->at->mended);
    deco_epoch_plan_follow(&plan, t->at->search_radius);
    deco_epoch_plan_share(&plan, t->o, t->p->N, deco_comm_size(t->m->comm));
    int64_t each = plan.search_batch ? plan.search_batch : plan.batch;

    *r = (deco_epoch_record){.epoch = epoch, .kind = plan.kind, .radius = plan.radius, .images_before = t->at->images};
    TRY(check_position(t, (plan.images + each - 1) / each, each));
    if (epoch < 0 && plan.initial_model && !t->at->step)
        TRY(begin_with_poses(t));
    TRY(phase_begin(t, &plan));
    if (t->m->encoder && epoch == 0 && plan.search_batch && !t->at->step)
        TRY(encode_all(t, "encoding all images for the search", r));
    TRY(draw_order(t));
    TRY(deco_changes_begin(t->changes, t->at->step > 0));
    deco_step_losses_from(t->step, t->at->loss_sum, t->at->images);
    t->told_sum = t->at->loss_sum, t->told_images = t->at->images;
    if (epoch < 0)
        snprintf(what, sizeof what, "pretraining");
    else
        snprintf(what, sizeof what, "epoch %lld of 0-%lld", (long long)epoch, (long long)(t->schedule.total - t->at->skipped) - 1);
    deco_progress_begin(t->mon, what, plan.images - t->begun, "images");
    st = plan.search_batch ? trainer_search_run(t, r) : run_batches(t, r);
    deco_progress_end(t->mon);
    if (!st && t->m->encoder && epoch + 1 + t->at->skipped == t->schedule.total) /* part of the epoch: one stopped in it is not over */
        st = encode_all(t, last_encoding, r);
    if (!st || st == DECO_E_STOPPED) { /* a stopped model must be sound too: it is about to be written */
        deco_status lost = deco_step_losses(t->step, &t->at->loss_sum, &t->at->images);
        st = lost ? lost : st;
    }
    if (st == DECO_E_DIVERGED)
        return say_diverged(t, epoch);
    r->images = t->at->images;
    r->loss = r->images ? t->at->loss_sum / (double)r->images : 0;
    r->seconds = deco_seconds() - start;
    r->seconds_slices = seconds_in_slices(t->m->dev) - slices;
    if (!st)
        st = deco_changes_end(&r->moved, t->changes);
out:
    return st;
}

static deco_status check(const trainer *t)
{
    if (t->m->N != t->p->N || t->m->D != t->p->D)
        return deco_fail(DECO_E_ARGUMENT, "%s: %lld particles of box %lld; the model is for %lld of box %lld", t->p->source,
                         (long long)t->p->N, (long long)t->p->D, (long long)t->m->N, (long long)t->m->D);
    if (t->m->encoder && !t->stats->encoder)
        return deco_fail(DECO_E_ARGUMENT, "%s: the model has an encoder, but its view of the images was not asked for", t->p->source);
    return DECO_OK;
}

/* The next epoch begins. */
static void turn_epoch(deco_position *at)
{
    at->epoch++;
    at->step = 0;
    at->images = 0;
    at->loss_sum = 0;
    at->turned_little = at->moved_little = 0;
}

deco_status deco_train(deco_model *m, deco_position *at, const deco_particles *p, const deco_image_stats *stats, const deco_options *o,
                       const deco_watch *watch, deco_monitor *mon)
{
    static const deco_watch nobody;
    deco_status st = DECO_OK;
    trainer t = {.m = m,
                 .at = at,
                 .p = p,
                 .stats = stats,
                 .o = o,
                 .watch = watch ? watch : &nobody,
                 .mon = mon,
                 .schedule = deco_schedule_of(o, p->N, p->D)};
    deco_epoch_record r;
    bool resumed = at->epoch >= -1 || at->step;

    TRY(check(&t));
    if (at->epoch < -1 && !t.schedule.pretrain_images)
        at->epoch = -1;
    TRY(deco_alloc(&t.order, (size_t)p->N, sizeof *t.order, "the order of an epoch"));
    if (m->comm)
        TRY(deco_alloc(&t.mine, (size_t)p->N, sizeof *t.mine, "a worker's order of an epoch"));
    if (m->encoder)
        m->encoder->comm = m->comm;
    if (o->shuffle_block)
        TRY(file_order_rows(&t.in_files, p));
    TRY(deco_changes_create(&t.changes, m));
    trainer_announce(&t, resumed);
    while (at->epoch + 1 + at->skipped < t.schedule.total) {
        TRY(run_epoch(&t, at->epoch + 1, &r));
        bool stopped = r.kind == DECO_EPOCH_SEARCH && deco_search_stop(at, o, p->N, t.schedule.search_epochs - (r.epoch + 1) - at->skipped);
        trainer_search_judge(&t);
        if (!stopped && !deco_comm_rank(m->comm))
            TRY(trainer_search_follow(&t));
        TRY(deco_comm_share(m->comm, &at->search_radius, sizeof at->search_radius, "how far the next search looks"));
        if (stopped && m->encoder && at->epoch + 2 + at->skipped == t.schedule.total)
            TRY(encode_all(&t, last_encoding, &r));
        turn_epoch(at);
        trainer_tell(&t, &r);
        if (stopped)
            deco_info(mon, "poses have stopped moving (under %g deg and %g px for %d epochs: hps_stop); %lld search epochs are left out",
                      o->hps_stop, deco_stop_px, DECO_STOP_EPOCHS, (long long)at->skipped);
        if (t.watch->epoch_done)
            TRY(t.watch->epoch_done(t.watch->context, &r, at));
    }
out:
    phase_end(&t);
    deco_changes_free(t.changes);
    free(t.mine);
    free(t.order);
    free(t.in_files);
    return st;
}

size_t deco_epoch_bytes(const deco_options *o, const deco_epoch_plan *e, const deco_hypervolume *h, const deco_vit *encoder, int64_t N,
                        int64_t D, int threads)
{
    int64_t side = 2 * e->radius + 1, P = side * side; /* the square around the mask */
    int64_t loaded = e->search_batch ? e->search_batch : e->batch;

    return deco_step_bytes(h, P, e->batch) +
           (encoder ? deco_encoded_bytes(encoder, deco_encoder_first(encoder, o->finetune_strategy, o->finetune_layer_num), e->batch,
                                         e->kind != DECO_EPOCH_PRETRAIN, o->gradient_checkpointing)
                    : 0) +
           deco_loader_bytes(D, P, loaded, e->search_batch ? SEARCH_BATCHES_AHEAD : (int)o->prefetch, threads, o->use_conf_encoder) +
           (e->search_batch ? trainer_search_bytes(o, e, N, h->Z) : 0) +
           (e->kind == DECO_EPOCH_SEARCH && !e->exact && deco_search_follows(o) ? deco_half_maps_bytes(P, e->radius) : 0);
}

/* With the CPU's own: gradients of at most 16 runs of images, packed weights, and what a thread holds of an image. */
static size_t encoder_bytes(const deco_options *o, const deco_vit *v, int threads)
{
    const int64_t runs = 16;
    int64_t trained = deco_vit_parameters(v) - deco_encoder_first(v, o->finetune_strategy, o->finetune_layer_num);
    size_t sums = (size_t)((runs + 1) * 12 * v->C * v->C), image = (size_t)(deco_vit_tokens(v) * 12 * v->C) * (size_t)threads;
    return (sums + image + (size_t)(deco_vit_parameters(v) + 2 * trained)) * sizeof(float);
}

size_t deco_train_bytes(const deco_options *o, const deco_hypervolume *h, const deco_vit *encoder, int64_t N, int64_t D, int threads)
{
    /* Of the CPU's fused decoder: copies of the gradient, as far as they fit in so much, and the points of which a thread holds all layers. */
    const size_t most_chunks = 72, least_chunks = 12, chunk_bytes = (size_t)256 << 20, tile_points = 192;
    deco_schedule s = deco_schedule_of(o, N, D);
    size_t decoder = (size_t)deco_hypervolume_parameters(h) * sizeof(float), table = (size_t)(N * h->Z) * sizeof(float), epoch = 0;
    size_t tile = tile_points * (size_t)(12 * h->pe_dim + (2 * h->n + 4) * h->H) * sizeof(float);
    size_t chunks = most_chunks * decoder < chunk_bytes ? most_chunks * decoder : chunk_bytes;

    for (int64_t i = s.pretrain_images ? -1 : 0; i < s.total; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(o, N, D, i);
        if (deco_search_follows(o)) /* at most so far */
            deco_epoch_plan_follow(&e, e.radius);
        size_t bytes = deco_epoch_bytes(o, &e, h, encoder, N, D, threads);
        if (e.initial_model) /* before the epoch's own memory is taken */
            epoch = deco_initial_model_bytes(o, N, D) > epoch ? deco_initial_model_bytes(o, N, D) : epoch;
        epoch = bytes > epoch ? bytes : epoch;
    }
    return 3 * decoder + (encoder ? table + encoder_bytes(o, encoder, threads) : 3 * table) + epoch +
           (size_t)N * (sizeof(int64_t) + (deco_trains_poses(o) ? 24 : 8) * sizeof(float)) +
           (chunks > least_chunks * decoder ? chunks : least_chunks * decoder) + (size_t)threads * tile;
}
