#include "job/phases.h"
#include "base/cores.h"
#include "base/disk.h"
#include "base/ticker.h"
#include "training/epoch_work.h"
#include "training/search_stop.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SETTLED_BATCHES = 3 }; /* with so many the first, which touches its memory for the first time, is left out */
static const double measured_share = 0.02, look_every_s = 0.1;

/* Fonts and surfaces of the progress page's pictures. */
static const double picture_bytes = 6e6;

/* Images done, what work they were and what time it took. */
typedef struct measured {
    int64_t images;
    deco_epoch_work work;
    double seconds[DECO_WORK_PARTS];
} measured;

struct deco_phases {
    const deco_options *o;
    const deco_particles *p;
    deco_monitor *m;
    deco_forecast before;
    deco_hypervolume shape;
    const deco_vit *encoder; /* NULL: none */
    int threads;
    deco_ticker *ticker;
    _Atomic double peak; /* bytes held, since the phase began */
    bool alone;          /* no thread looks: batches do */

    bool running; /* the phase */
    deco_epoch_kind kind;
    double begun; /* deco_seconds() */
    int64_t batches;
    measured over, now, first; /* of its epochs that are over, of the one under way so far, and of the very first batch */
    int64_t epoch;             /* that one */
    /* The forecast: 0 seconds: none yet. */
    double said_share, said_seconds, said_memory;
};

static void note_memory(deco_phases *s)
{
    double now = deco_memory_held(), peak = atomic_load(&s->peak);
    while (now > peak && !atomic_compare_exchange_weak(&s->peak, &peak, now))
        continue;
}

static bool look(void *context)
{
    note_memory(context);
    return true;
}

deco_status deco_phases_create(deco_phases **out, const deco_options *o, const deco_particles *p, const deco_forecast *f,
                               const deco_vit *encoder, int threads, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_phases *s = NULL;

    *out = NULL;
    TRY(deco_alloc(&s, 1, sizeof *s, "the forecast of phases"));
    s->o = o;
    s->p = p;
    s->m = m;
    s->before = *f;
    s->encoder = encoder;
    s->threads = threads;
    s->begun = deco_seconds();
    TRY(deco_job_shape(&s->shape, o, p));
    s->ticker = deco_ticker_start(look_every_s, look, s);
    s->alone = !s->ticker;
    *out = s;
    s = NULL;
out:
    free(s);
    return st;
}

void deco_phases_free(deco_phases *s)
{
    if (!s)
        return;
    deco_ticker_stop(s->ticker);
    free(s);
}

/* ---- the end of one ---------------------------------------------------------------------------------------------- */

/* ", 52 s forecast after 2 % of it (4 % less)" */
static void compare(char *out, size_t size, double was, double said, const char *when)
{
    double off = was > 0 ? 100 * (said / was - 1) : 0;
    snprintf(out, size, ", %s forecast %s (%.0f %% %s)", deco_time_text(said), when, fabs(off), off < 0 ? "less" : "more");
}

static void tell_end(deco_phases *s, const char *name, double seconds, double before)
{
    char then[120] = "", first[120] = "", memory[80] = "", when[32];
    double peak = atomic_load(&s->peak), disk = deco_disk_used(s->o->outdir);
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddStringToObject(fields, "phase", name);
    cJSON_AddNumberToObject(fields, "seconds", seconds);
    if (s->said_seconds > 0) {
        snprintf(when, sizeof when, "after %.0f %% of it", 100 * s->said_share);
        compare(then, sizeof then, seconds, s->said_seconds, when);
        snprintf(memory, sizeof memory, " (%s forecast)", deco_size_text(s->said_memory));
        cJSON_AddNumberToObject(fields, "forecast_after", s->said_share);
        cJSON_AddNumberToObject(fields, "seconds_forecast", s->said_seconds);
        cJSON_AddNumberToObject(fields, "memory_forecast", s->said_memory);
    }
    if (before > 0) {
        compare(first, sizeof first, seconds, before, "before the run");
        cJSON_AddNumberToObject(fields, "seconds_before", before);
    }
    cJSON_AddNumberToObject(fields, "memory", peak);
    cJSON_AddNumberToObject(fields, "disk", disk);
    deco_info(s->m, "%s took %s%s%s; at most %s of memory%s; %s on disk", name, deco_time_text(seconds), then, first, deco_size_text(peak),
              memory, deco_size_text(disk));
    deco_metric(s->m, "phase", fields);
}

static void begin(deco_phases *s, deco_epoch_kind kind, int64_t epoch, double begun)
{
    s->running = true;
    s->kind = kind;
    s->begun = begun;
    s->batches = 0;
    s->epoch = epoch;
    s->over = s->now = s->first = (measured){0};
    s->said_seconds = 0;
    atomic_store(&s->peak, deco_memory_held());
}

/* ---- its first batches ------------------------------------------------------------------------------------------- */

static measured measure(const deco_phases *s, const deco_batch_record *b)
{
    const deco_epoch_record *r = b->so_far;
    return (measured){b->images,
                      deco_epoch_work_of(s->o, &s->shape, b->plan, b->images),
                      {[DECO_WORK_READING] = r->seconds_waiting,
                       [DECO_WORK_STEPS] = r->seconds_step,
                       [DECO_WORK_SNAPSHOTS] = r->seconds_snapshots,
                       [DECO_WORK_POSES] = r->seconds_search}};
}

static void add_work(deco_epoch_work *to, const deco_epoch_work *w)
{
    for (int i = 0; i < DECO_WORK_PARTS; i++)
        to->part[i] += w->part[i];
}

static void add(measured *to, const measured *m)
{
    to->images += m->images;
    add_work(&to->work, &m->work);
    for (int i = 0; i < DECO_WORK_PARTS; i++)
        to->seconds[i] += m->seconds[i];
}

static double all_seconds(const measured *m)
{
    double sum = 0;
    for (int i = 0; i < DECO_WORK_PARTS; i++)
        sum += m->seconds[i];
    return sum;
}

/* What is left of the phase: of this epoch, and of those of its kind that follow. */
typedef struct what_is_left {
    deco_epoch_work work;
    int64_t images, epochs;
    double memory; /* that later epochs hold more than this one */
} what_is_left;

static double bytes_of(const deco_phases *s, const deco_epoch_plan *e)
{
    return (double)deco_epoch_bytes(s->o, e, &s->shape, s->encoder, s->p->N, s->p->D, s->threads);
}

static what_is_left look_ahead(const deco_phases *s, const deco_batch_record *b)
{
    int64_t N = s->p->N, total = deco_schedule_of(s->o, N, s->p->D).total;
    what_is_left left = {deco_epoch_work_of(s->o, &s->shape, b->plan, b->left), b->left, 1, 0};
    double now = bytes_of(s, b->plan);

    for (int64_t i = b->at->epoch + 2; i + b->at->skipped < total; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(s->o, N, s->p->D, deco_scheduled_epoch(i, b->at->skipped));
        if (e.kind != s->kind)
            break;
        deco_epoch_plan_mend(&e, s->o, N, b->at->mended);
        deco_epoch_plan_follow(&e, b->at->search_radius);
        deco_epoch_work w = deco_epoch_work_of(s->o, &s->shape, &e, e.images);
        add_work(&left.work, &w);
        left.images += e.images;
        left.epochs++;
        left.memory = fmax(left.memory, bytes_of(s, &e) - now);
    }
    return left;
}

/* At the pace of the batches so far; where there are some, without the first, which touches its memory for the first time. */
static double seconds_left(const deco_phases *s, const measured *all, const deco_epoch_work *left)
{
    const measured none = {0}, *from = s->batches >= SETTLED_BATCHES ? &s->first : &none;
    double sum = 0;

    for (int i = 0; i < DECO_WORK_PARTS; i++) {
        double work = all->work.part[i] - from->work.part[i];
        if (work > 0)
            sum += (all->seconds[i] - from->seconds[i]) / work * left->part[i];
    }
    return sum;
}

/* At the phase's end a checkpoint is put together, and a map with its pictures made. */
static double bytes_at_end(const deco_phases *s)
{
    double D = (double)s->p->D;
    return s->before.checkpoint_bytes + 2 * D * D * D * sizeof(float) + (s->o->log_heavy_interval ? picture_bytes : 0);
}

static void tell_forecast(deco_phases *s, const deco_batch_record *b, double more, const what_is_left *left)
{
    cJSON *fields = cJSON_CreateObject();

    note_memory(s);
    s->said_seconds = deco_seconds() - s->begun + more;
    s->said_memory = atomic_load(&s->peak) + fmax(left->memory, 0) + bytes_at_end(s);
    deco_info(s->m, "forecast after %.0f %% of the %s: %s more for %lld epoch%s (%lld images), %s of memory, %s on disk",
              100 * s->said_share, deco_phase_name(s->kind), deco_time_text(more), (long long)left->epochs, left->epochs == 1 ? "" : "s",
              (long long)left->images, deco_size_text(s->said_memory), deco_size_text(s->before.disk_bytes));
    cJSON_AddStringToObject(fields, "phase", deco_phase_name(s->kind));
    cJSON_AddNumberToObject(fields, "epoch", (double)b->at->epoch + 1);
    cJSON_AddNumberToObject(fields, "after", s->said_share);
    cJSON_AddNumberToObject(fields, "seconds_left", more);
    cJSON_AddNumberToObject(fields, "memory", s->said_memory);
    cJSON_AddNumberToObject(fields, "disk", s->before.disk_bytes);
    deco_metric(s->m, "forecast", fields);
}

void deco_phases_batch(deco_phases *s, const deco_batch_record *b)
{
    measured so_far = measure(s, b), all;
    double begun = deco_seconds() - all_seconds(&so_far);

    if (!s->running || s->kind != b->plan->kind) {
        if (b->plan->initial_model && !b->at->step)
            tell_end(s, "the initial model", begun - s->begun, s->before.initial_seconds);
        begin(s, b->plan->kind, b->at->epoch, begun);
    }
    if (s->alone)
        note_memory(s);
    if (s->said_seconds > 0)
        return;
    if (s->epoch != b->at->epoch) {
        add(&s->over, &s->now);
        s->epoch = b->at->epoch;
    }
    s->now = so_far;
    all = s->over;
    add(&all, &so_far);
    if (!s->batches++)
        s->first = all;
    what_is_left left = look_ahead(s, b);
    s->said_share = (double)all.images / (double)(all.images + left.images);
    if (s->said_share >= measured_share)
        tell_forecast(s, b, seconds_left(s, &all, &left.work), &left);
}

void deco_phases_phase_done(deco_phases *s)
{
    if (!s->running)
        return;
    tell_end(s, deco_phase_name(s->kind), deco_seconds() - s->begun, s->before.phase[s->kind].seconds);
    deco_phases_restart(s);
}

void deco_phases_restart(deco_phases *s)
{
    s->running = false;
    s->said_seconds = 0;
    s->begun = deco_seconds();
    atomic_store(&s->peak, deco_memory_held());
}

void deco_phases_end(deco_phases *s)
{
    tell_end(s, "the analysis", deco_seconds() - s->begun, 0);
    if (s->before.memory_bytes > 0)
        deco_info(s->m, "before the run %s of memory at its peak and %s on disk were forecast", deco_size_text(s->before.memory_bytes),
                  deco_size_text(s->before.disk_bytes));
}
