/* What a run keeps while it trains: checkpoints on schedule and on request, whole records at the ends of phases. And back to the last of
 * them when training is lost. */
#include "base/file.h"
#include "model/checkpoints.h"
#include "job/metrics.h"
#include "job/outdir.h"
#include "job/record.h"
#include "job/run_job.h"
#include "training/search_stop.h"
#include "training/train.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HALVINGS = 3 };

/* ---- between two batches ----------------------------------------------------------------------------------------- */

static bool is_due(run_job *j, double now)
{
    bool asked = deco_monitor_checkpoint_asked(j->m);
    return asked || (j->o->checkpoint_minutes > 0 && now - j->last_checkpoint >= 60 * j->o->checkpoint_minutes);
}

static bool wants_checkpoint(void *context)
{
    run_job *j = context;
    return !deco_monitor_stopped(j->m) && is_due(j, deco_seconds()); /* a stop writes its own */
}

static deco_status write_checkpoint(run_job *j, const deco_position *at, char **path)
{
    if (!(*path = deco_checkpoint_place(j->o->outdir, at)))
        return deco_fail_memory(64, "a file's name");
    return deco_checkpoint_write(*path, j->model, at);
}

/* A full disk or memory may have room again next time; the checkpoint before stands. */
static deco_status go_on_without(run_job *j, deco_status st)
{
    if (st != DECO_E_FILE && st != DECO_E_MEMORY)
        return st;
    deco_warn(j->m, "%s; the run goes on, earlier checkpoints stand, and the next one is tried in its time", deco_error());
    return DECO_OK;
}

static deco_status checkpoint(void *context, const deco_position *at)
{
    run_job *j = context;
    char *path = NULL;
    double start = deco_seconds();
    deco_status st = write_checkpoint(j, at, &path);

    j->last_checkpoint = deco_seconds();
    deco_stop_watch_checkpoint(j->watch, j->last_checkpoint - start);
    if (!st) {
        deco_info(j->m, "checkpoint: %s", path);
        deco_checkpoints_thin(j->o->outdir);
    }
    free(path);
    return go_on_without(j, st);
}

/* ---- after an epoch ---------------------------------------------------------------------------------------------- */

static deco_epoch_kind kind_of(const run_job *j, int64_t epoch, int64_t skipped)
{
    return deco_epoch_plan_of(j->o, j->particles->N, j->particles->D, deco_scheduled_epoch(epoch, skipped)).kind;
}

static deco_status keep_record(run_job *j, const deco_position *at)
{
    double start = deco_seconds();
    deco_status st = deco_record_epoch(j->o->outdir, j->model, at);

    j->last_checkpoint = deco_seconds();
    deco_stop_watch_checkpoint(j->watch, j->last_checkpoint - start);
    deco_monitor_checkpoint_asked(j->m); /* here is one */
    if (!st)
        deco_checkpoints_thin(j->o->outdir);
    return st;
}

static void batch_done(void *context, const deco_batch_record *b)
{
    run_job *j = context;
    deco_phases_batch(j->phases, b);
}

static deco_status epoch_done(void *context, const deco_epoch_record *r, const deco_position *at)
{
    run_job *j = context;

    (void)r;
    deco_progress_page_epoch(j->page, j->model, at); /* first: behind a checkpoint nothing of its epoch is missing */
    if (deco_scheduled_epoch(at->epoch + 1, at->skipped) == deco_schedule_of(j->o, j->particles->N, j->particles->D).total)
        return DECO_OK; /* the end, which has to be kept */
    if (kind_of(j, at->epoch, at->skipped) != kind_of(j, at->epoch + 1, at->skipped)) {
        deco_status st = go_on_without(j, keep_record(j, at));
        deco_phases_phase_done(j->phases);
        return st;
    }
    if (j->o->checkpoint_minutes == 0 || is_due(j, deco_seconds()))
        return checkpoint(j, at);
    return DECO_OK;
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

static void tell_rollback(run_job *j)
{
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddNumberToObject(fields, "epoch", (double)j->at.epoch);
    cJSON_AddNumberToObject(fields, "batch", (double)j->at.step);
    cJSON_AddNumberToObject(fields, "halvings", (double)j->at.halvings);
    deco_metric(j->m, "rollback", fields);
}

/* To the last whole checkpoint, or to the beginning, with half the learning rates. `j->at` still says how often they were halved. When
 * training went back to that one before and got to no other, the loss was on its way already: then to the one before. */
static deco_status roll_back(run_job *j)
{
    deco_status st = DECO_OK;
    int64_t halvings = j->at.halvings + 1;
    deco_position next;

    if (halvings > MOST_HALVINGS)
        return deco_fail_context(DECO_E_DIVERGED, "training diverged again after its learning rates were halved %d times", MOST_HALVINGS);
    deco_warn(j->m, "training diverged: %s", deco_error());
    deco_model_free(j->model);
    j->model = NULL;
    TRY(deco_checkpoints_read_newest(&j->model, &next, j->dev, j->o->outdir, NULL, j->m));
    if (j->model && j->rolled_back && next.epoch == j->back.epoch && next.step == j->back.step) {
        deco_model_free(j->model);
        TRY(deco_checkpoints_read_newest(&j->model, &next, j->dev, j->o->outdir, &j->back, j->m));
    }
    if (j->model)
        j->at = next;
    else
        TRY(run_job_begin_model(j));
    j->at.halvings = halvings;
    deco_phases_restart(j->phases);
    j->back = j->at;
    j->rolled_back = true;
    TRY(deco_outdir_leave_behind(j->o->outdir, j->at.epoch, j->at.step, j->m));
    TRY(deco_metrics_forget_after(j->o->outdir, j->at.epoch));
    TRY(deco_monitor_attach(j->m, j->o->outdir)); /* to the metrics as they are now, and a page that reads them from their beginning */
    deco_progress_page_free(j->page);
    j->page = NULL;
    TRY(deco_progress_page_create(&j->page, j->o, j->particles, j->forecast.seconds, j->m));
    deco_warn(j->m, "going back to epoch %" PRId64 ", batch %" PRId64 ", with learning rates of 1/%.0f (the %s of at most %d times)",
              j->at.epoch + 1, j->at.step, ldexp(1, (int)halvings),
              halvings == 1   ? "first"
              : halvings == 2 ? "second"
                              : "third",
              MOST_HALVINGS);
    tell_rollback(j);
out:
    return st;
}

/* The end of a run that was asked to stop; `why` says where it stands. */
static deco_status keep_stopped(run_job *j)
{
    deco_status st = DECO_OK;
    char *path = NULL, *why = deco_format("%s", deco_error());

    st = write_checkpoint(j, &j->at, &path);
    if (st)
        st = deco_fail_context(st, "%s, but the checkpoint failed, and the one before stands", why ? why : "stopped on request");
    else {
        deco_checkpoints_thin(j->o->outdir);
        st = deco_fail(DECO_E_STOPPED, "%s; %s holds everything up to there: go on with --resume auto", why ? why : "stopped on request",
                       path);
    }
    free(path);
    free(why);
    return st;
}

deco_status run_job_train(run_job *j)
{
    deco_status st = DECO_OK;
    const deco_watch watch = {
        .context = j, .batch_done = batch_done, .epoch_done = epoch_done, .wants_checkpoint = wants_checkpoint, .checkpoint = checkpoint};

    j->last_checkpoint = deco_seconds();
    for (;;) {
        deco_progress_page_begin(j->page, &j->at);
        TRY(run_job_share_model(j));
        st = deco_train(j->model, &j->at, j->particles, &j->stats, j->o, &watch, j->m);
        if (j->comm)
            deco_info(j->m, "this worker has sent %.0f bytes so far", deco_comm_sent(j->comm));
        deco_status lost = deco_comm_check(j->comm);
        if (lost) /* no checkpoint: the model may be in the middle of a step */
            return lost;
        if (!st)
            st = keep_record(j, &j->at); /* says so too when the model is lost */
        if (!st)
            deco_phases_phase_done(j->phases);
        if (st != DECO_E_DIVERGED)
            break;
        TRY(roll_back(j));
    }
    if (st == DECO_E_STOPPED)
        st = keep_stopped(j);
out:
    return st;
}
