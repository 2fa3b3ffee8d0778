/* What a training says of itself: its plan before it begins, and a line of each epoch. */
#include "training/search_stop.h"
#include "training/trainer.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/* What an epoch was, for the log and metrics.jsonl. */
static const char *kind_name(deco_epoch_kind kind)
{
    static const char *const name[] = {"pretraining", "training", "search", "refinement", "pose table"};
    return name[kind];
}

static bool moves_poses(deco_epoch_kind kind) { return kind == DECO_EPOCH_SEARCH || kind == DECO_EPOCH_REFINE || kind == DECO_EPOCH_TABLE; }

/* What an epoch can have changed, and how far. */
static void describe_change(char *out, size_t size, const trainer *t, const deco_epoch_record *r)
{
    size_t used = 0;

    *out = 0;
    if (moves_poses(r->kind))
        used += (size_t)snprintf(out, size, "; poses moved %.*f deg and %.2f px", r->moved.deg < 1 ? 2 : 1, r->moved.deg, r->moved.px);
    if (t->m->shape.Z && r->kind != DECO_EPOCH_PRETRAIN)
        used += (size_t)snprintf(out + used, size - used, "%s latents %s%.2g", used ? "," : ";", used ? "" : "moved ", r->moved.latents);
    if (used)
        snprintf(out + used, size - used, " (medians)");
}

static void log_epoch(const trainer *t, const deco_epoch_record *r, double rate)
{
    char moved[128];

    describe_change(moved, sizeof moved, t, r);
    if (r->kind == DECO_EPOCH_SEARCH || r->kind == DECO_EPOCH_REFINE)
        deco_info(
            t->mon,
            "epoch %lld: loss %.6f, %s to radius %lld, %.0f images/s, %.1f s: %.1f reading, %.1f snapshots, %.1f poses, %.1f training%s",
            (long long)r->epoch, r->loss, kind_name(r->kind), (long long)r->radius, rate, r->seconds, r->seconds_waiting,
            r->seconds_snapshots, r->seconds_search, r->seconds_step, moved);
    else
        deco_info(t->mon,
                  "epoch %lld: loss %.6f, %s to radius %lld, %.0f images/s, %.1f s: %.1f reading, %.1f decoding and backward, %.1f the "
                  "rest of the steps%s",
                  (long long)r->epoch, r->loss, kind_name(r->kind), (long long)r->radius, rate, r->seconds, r->seconds_waiting,
                  r->seconds_slices, r->seconds_step - r->seconds_slices, moved);
}

void trainer_tell(const trainer *t, const deco_epoch_record *r)
{
    double rate = r->seconds > 0 ? (double)(r->images - r->images_before) / r->seconds : 0;
    cJSON *fields = cJSON_CreateObject();

    log_epoch(t, r, rate);
    cJSON_AddNumberToObject(fields, "epoch", (double)r->epoch);
    cJSON_AddStringToObject(fields, "kind", kind_name(r->kind));
    cJSON_AddNumberToObject(fields, "loss", r->loss);
    cJSON_AddNumberToObject(fields, "images", (double)r->images);
    if (r->images_before)
        cJSON_AddNumberToObject(fields, "images_before", (double)r->images_before);
    cJSON_AddNumberToObject(fields, "radius", (double)r->radius);
    cJSON_AddNumberToObject(fields, "images_per_s", rate);
    cJSON_AddNumberToObject(fields, "seconds", r->seconds);
    cJSON_AddNumberToObject(fields, "seconds_reading", r->seconds_waiting);
    cJSON_AddNumberToObject(fields, "seconds_slices", r->seconds_slices);
    cJSON_AddNumberToObject(fields, "seconds_steps", r->seconds_step);
    cJSON_AddNumberToObject(fields, "lr_decoder", r->lr_decoder);
    cJSON_AddNumberToObject(fields, "lr_latents", r->lr_latents);
    cJSON_AddNumberToObject(fields, "lr_poses", r->lr_poses);
    if (r->kind == DECO_EPOCH_SEARCH || r->kind == DECO_EPOCH_REFINE) {
        cJSON_AddNumberToObject(fields, "seconds_snapshots", r->seconds_snapshots);
        cJSON_AddNumberToObject(fields, "seconds_search", r->seconds_search);
    }
    if (moves_poses(r->kind)) {
        cJSON_AddNumberToObject(fields, "moved_deg", r->moved.deg);
        cJSON_AddNumberToObject(fields, "moved_px", r->moved.px);
    }
    if (t->m->shape.Z && r->kind != DECO_EPOCH_PRETRAIN)
        cJSON_AddNumberToObject(fields, "moved_latents", r->moved.latents);
    if (r->moved.particles < t->p->N)
        cJSON_AddNumberToObject(fields, "moved_sample", (double)r->moved.particles);
    deco_metric(t->mon, "epoch", fields);
}

static void announce_search(const trainer *t, const deco_epoch_plan *first, const deco_epoch_plan *last)
{
    deco_info(t->mon, "epochs 0 to %lld: pose search to radius %lld ... %lld, %lld images %s, training in batches of %lld",
              (long long)t->schedule.search_epochs - 1, (long long)first->search_radius, (long long)last->search_radius,
              (long long)first->search_batch, first->exact ? "through the decoder at once" : "on the same snapshots",
              (long long)first->batch);
    if (t->o->hps_stop > 0)
        deco_info(t->mon, "hps_stop: the search ends after %d epochs running whose median pose moved by less than %g deg and %g px",
                  DECO_STOP_EPOCHS, t->o->hps_stop, deco_stop_px);
}

static void announce_after(const trainer *t, const deco_epoch_plan *first, const deco_epoch_plan *last)
{
    deco_info(t->mon, "epochs %lld to %lld: %s to radius %lld ... %lld in batches of %lld", (long long)t->schedule.search_epochs,
              (long long)t->schedule.total - 1, kind_name(last->kind), (long long)first->radius, (long long)last->radius,
              (long long)last->batch);
}

void trainer_announce(const trainer *t, bool resumed)
{
    const deco_schedule *s = &t->schedule;
    if (resumed)
        deco_info(t->mon, "going on in epoch %lld after its batch %lld", (long long)t->at->epoch + 1, (long long)t->at->step);
    if (t->at->epoch < -1)
        deco_info(t->mon, "epoch -1: pretraining the decoder on %lld images in batches of %lld", (long long)s->pretrain_images,
                  (long long)s->pretrain_batch);
    if (t->o->use_gt_poses)
        deco_info(t->mon, "epochs 0 to %lld: known poses in batches of %lld, decoder and latents (Z = %lld)", (long long)s->total - 1,
                  (long long)t->o->batch_size_known_poses, (long long)t->m->shape.Z);
    for (int phase = 0; !t->o->use_gt_poses && phase < 2; phase++) { /* the search, and what comes after it */
        int64_t from = phase ? s->search_epochs : 0, to = phase ? s->total : s->search_epochs;
        deco_epoch_plan first = deco_epoch_plan_of(t->o, t->p->N, t->p->D, from), last = deco_epoch_plan_of(t->o, t->p->N, t->p->D, to - 1);
        if (from < to)
            (phase ? announce_after : announce_search)(t, &first, &last);
    }
}
