/* `cryodeco run`: everything is checked before anything is written; then train, keep, analyse. */
#include "analysis/analysis.h"
#include "analysis/cluster_count.h"
#include "base/file.h"
#include "job/forecast.h"
#include "job/head.h"
#include "job/job.h"
#include "job/metrics.h"
#include "job/outdir.h"
#include "job/progress_page.h"
#include "job/record.h"
#include "job/run_job.h"
#include "particles/block_order.h"
#include "particles/record.h"
#include "training/initial_model.h"
#include "training/search_stop.h"
#include "training/train.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* A seed not given is drawn, and from then on recorded like a given one. It stays below 2^53, so that any program can read it. */
static deco_status draw_seed(deco_options *o)
{
    uint64_t seed;

    if (deco_option_given(o, DECO_OPT_seed))
        return DECO_OK;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return deco_fail_errno(DECO_E_FILE, "no random seed from the system; give one with --seed");
    return deco_options_put_whole(o, "seed", (int64_t)(seed >> 33));
}

/* job.yaml must mean the same from any directory. A path that does not exist is left for its reader to complain of. */
static void make_absolute(char **path)
{
    char *real = *path ? realpath(*path, NULL) : NULL;
    if (real) {
        free(*path);
        *path = real;
    }
}

/* "J14:split_0" is a directory's path and a name. */
static void make_input_absolute(char **path)
{
    char *colon = strrchr(*path, ':'), *real, *whole;

    if (!colon || deco_path_exists(*path)) {
        make_absolute(path);
        return;
    }
    *colon = 0;
    real = realpath(*path, NULL);
    *colon = ':';
    if (real && (whole = deco_format("%s%s", real, colon))) {
        free(*path);
        *path = whole;
    }
    free(real);
}

/* A resumed run has its rows in out/ind.npy: the user's file may be gone, or hold others by now. */
deco_status run_job_open_particles(run_job *j)
{
    deco_status st = DECO_OK;
    const deco_options *o = j->o;
    bool poses = !deco_searches_poses(o);
    int need = DECO_NEED_STACKS | (poses ? DECO_NEED_POSES : 0) | (poses || o->use_gt_trans ? DECO_NEED_SHIFTS : 0);
    deco_record_paths path = {0};

    if (j->resumed)
        TRY(deco_record_paths_of(&path, o->outdir, 0));
    bool given = o->origin[DECO_OPT_ind] == DECO_FROM_COMMAND || o->origin[DECO_OPT_min_score] == DECO_FROM_COMMAND;
    bool kept = j->resumed && !given && (o->ind || o->min_score) && deco_path_exists(path.ind);
    deco_input in = deco_input_of(o);
    if (kept) {
        in.ind = path.ind;
        in.min_score = NULL; /* they are its rows already */
    }
    TRY(deco_particles_open_input(&j->particles, &in, need, j->m));
out:
    deco_record_paths_free(&path);
    return st;
}

/* Images that do not fit in memory are shuffled by blocks, unless the user said how. Recorded like a given one: on another machine the same run
 * has the same order. */
static deco_status settle_blocks(run_job *j)
{
    record_layout l = record_layout_of(j->particles->D, !strcmp(j->o->image_precision, "float32"), j->o->use_conf_encoder);
    int64_t block = deco_block_for(j->particles->N, (double)l.bytes);

    if (deco_option_given(j->o, DECO_OPT_shuffle_block) || !block || j->resumed)
        return DECO_OK;
    deco_info(j->m, "the images do not fit in memory: they are shuffled by blocks of %" PRId64 " (--shuffle_block 0 shuffles all together)",
              block);
    return deco_options_put_whole(j->o, "shuffle_block", block);
}

/* 0: all. A run that is only asked about stands for the first of its workers. */
static int share_of_cores(const run_job *j)
{
    int cores = deco_cores_allowed(), workers = (int)j->o->workers;
    if (j->comm || workers == 1)
        return deco_comm_threads(j->comm);
    return cores > workers ? cores / workers : 1;
}

static deco_crew crew_of(const run_job *j)
{
    if (j->comm)
        return (deco_crew){deco_comm_size(j->comm), deco_comm_here(j->comm)};
    return (deco_crew){j->o->workers * j->o->tasks * j->o->nodes, j->o->workers * j->o->tasks};
}

deco_status run_job_open_input(run_job *j)
{
    deco_status st = DECO_OK;
    const deco_options *o = j->o;

    TRY(deco_device_create(&j->dev, o->device, o->threads ? (int)o->threads : share_of_cores(j)));
    deco_device_use_bf16(j->dev, o->use_amp);
    if (!j->resumed) /* a run that goes on has its encoder in the checkpoint */
        TRY(run_job_open_encoder(j));
    TRY(run_job_open_particles(j));
    TRY(settle_blocks(j));
    if (o->k_num > j->particles->N)
        TRY(deco_fail(DECO_E_ARGUMENT, "k_num is %" PRId64 ", but %s has only %" PRId64 " particles; a cluster needs at least one",
                      o->k_num, j->particles->source, j->particles->N));
out:
    return st;
}

deco_status run_job_look(run_job *j, const deco_options *o)
{
    deco_status st = DECO_OK;

    TRY(deco_options_copy(&j->o, o));
    TRY(run_job_open_input(j));
    TRY(deco_forecast_sizes(&j->forecast, j->o, j->particles, run_job_encoder(j), j->dev, crew_of(j)));
out:
    return st;
}

void run_job_close(run_job *j)
{
    deco_phases_free(j->phases);
    deco_model_free(j->model);
    deco_encoder_weights_free(j->weights);
    deco_images_close(&j->stats);
    deco_particles_free(j->particles);
    deco_device_free(j->dev);
    deco_lock_release(j->lock);
    deco_options_free(j->o);
    free(j->stop_file);
}

static deco_status check_input(run_job *j)
{
    deco_status st = DECO_OK;
    const deco_options *o = j->o;

    for (int64_t i = 0; i < o->particles.count; i++) { /* that there is one, the option table's check has seen */
        TRY(deco_outdir_check(o->outdir, o->particles.items[i]));
        if (o->cache_dir)
            TRY(deco_cache_dir_check(o->cache_dir, o->particles.items[i]));
    }
    if (!o->dry_run && !j->lock && deco_path_is_directory(o->outdir)) /* a new one is locked when it is made */
        TRY(deco_lock_take(&j->lock, o->outdir, j->m));
    TRY(run_job_open_input(j));
out:
    return st;
}

/* What will be done and what it will take. */
static deco_status log_plan(run_job *j)
{
    deco_status st = DECO_OK;
    const deco_particles *p = j->particles;
    const deco_options *o = j->o;
    deco_schedule s = deco_schedule_of(o, p->N, p->D);
    deco_forecast *f = &j->forecast;

    if (p->input_row && o->ind && !o->min_score)
        deco_info(j->m, "%s: only the %" PRId64 " rows of %s, in its order", p->source, p->N, o->ind);
    deco_info(j->m, "%s: %" PRId64 " particles, box %" PRId64 " px, %.4g Å per pixel, %" PRId64 " stacks, poses from %s", p->source, p->N,
              p->D, p->psize_A, p->stacks, p->poses ? p->poses : "nowhere");
    if (o->refine_gt_poses)
        deco_info(j->m, "%" PRId64 " epochs from the input's poses: %s", s.total,
                  o->refine_radii.count ? "those of refine_radii" : "as many as with a search; --refine_radii gives others");
    else if (deco_searches_poses(o) && o->search_radii.count)
        deco_info(j->m, "%" PRId64 " epochs: %" PRId64 " of search_radii, and %" PRId64 " after them", s.total, s.search_epochs,
                  s.sgd_epochs);
    else if (deco_searches_poses(o) && o->initial_radii.count)
        deco_info(j->m, "%" PRId64 " epochs after an initial model", s.total);
    else if (o->n_imgs_pose_search)
        deco_info(j->m,
                  "%" PRId64 " epochs: the published n_imgs_pose_search = %" PRId64 " images are %" PRId64 " epochs of %" PRId64
                  " particles, and epochs_sgd adds %" PRId64 "; --n_imgs_pose_search 0 leaves %" PRId64,
                  s.total, o->n_imgs_pose_search, s.search_epochs, p->N, s.sgd_epochs, s.sgd_epochs + 2);
    else
        deco_info(j->m, "%" PRId64 " epochs: 2, and epochs_sgd adds %" PRId64, s.total, s.sgd_epochs);
    TRY(deco_forecast_sizes(f, o, p, run_job_encoder(j), j->dev, crew_of(j)));
    TRY(deco_forecast_check(f, o, p));
    if (j->model) /* a forecast of the whole says little of what is left */
        goto out;
    TRY(deco_forecast_times(f, o, p, run_job_encoder(j), j->dev));
    deco_info(j->m, "forecast: %s for %" PRId64 " training images, %s of memory, %s on disk", deco_time_text(f->seconds), f->images,
              deco_forecast_memory_text(f), deco_size_text(f->disk_bytes));
out:
    return st;
}

static deco_status write_options(const run_job *j)
{
    deco_status st = DECO_OK;
    char *yaml = NULL, *path = NULL;

    TRY(deco_options_write_yaml(&yaml, j->o, DECO_FOR_RUN));
    if (!(path = deco_path_join(j->o->outdir, "job.yaml")))
        TRY(deco_fail_memory(16, "a file's name"));
    TRY(deco_file_put(path, yaml, strlen(yaml)));
out:
    free(yaml);
    free(path);
    return st;
}

/* The output directory, with the resolved parameters and the log in it. That of a resumed run stays as it is up to where it goes on. */
static deco_status begin_output(run_job *j)
{
    deco_status st = DECO_OK;
    const char *outdir = j->o->outdir;

    if (!j->lock) {
        TRY(deco_directory_make(outdir));
        TRY(deco_lock_take(&j->lock, outdir, j->m));
    }
    deco_outdir_sweep(outdir);
    TRY(deco_outdir_prepare(outdir, !j->resumed, j->m));
    if (j->model)
        TRY(deco_outdir_leave_behind(outdir, j->at.epoch, j->at.step, j->m));
    if (j->resumed)
        TRY(deco_metrics_forget_after(outdir, j->model ? j->at.epoch : -2));
    TRY(write_options(j));
    TRY(deco_monitor_attach(j->m, outdir));
    TRY(deco_record_uids(outdir, j->particles));
    TRY(deco_phases_create(&j->phases, j->o, j->particles, &j->forecast, run_job_encoder(j), deco_pool_threads(deco_device_pool(j->dev)),
                           j->m));
    TRY(deco_progress_page_create(&j->page, j->o, j->particles, j->forecast.seconds, j->m));
    if (j->stale_stop && !unlink(j->stop_file))
        deco_info(j->m, "%s was there before the run began, and is removed", j->stop_file);
out:
    return st;
}

deco_status run_job_begin_model(run_job *j)
{
    deco_model_config c = {.feat_sigma = j->o->feat_sigma,
                           .psize_A = j->particles->psize_A,
                           .std = j->stats.std,
                           .D = j->particles->D,
                           .radius = j->particles->D / 2,
                           .N = j->particles->N,
                           .train_poses = deco_trains_poses(j->o),
                           .seed = (uint64_t)j->o->seed,
                           .weights = j->weights};
    deco_status st = deco_job_shape(&c.shape, j->o, j->particles);

    if (st)
        return st;
    if (j->encoder.depth) {
        c.encoder = &j->encoder;
        c.encoder_first = deco_encoder_first(&j->encoder, j->o->finetune_strategy, j->o->finetune_layer_num);
    }
    j->at = (deco_position){.epoch = -2, .step = 0, .seed = c.seed};
    deco_particles_digest(j->at.digest, j->particles);
    if ((st = deco_model_create(&j->model, j->dev, &c)))
        return st;
    return deco_poses_start(j->model, j->particles, j->o);
}

/* May one believe what was found? A confident wrong map is the worst that this program can give. */
static void tell_convergence(run_job *j, char **summary)
{
    double share = j->at.agreement;
    bool agreed = share >= DECO_INITIAL_AGREES;
    cJSON *fields = cJSON_CreateObject();
    char *longer = NULL;

    if (agreed)
        deco_info(j->m, "converged: starts from two seeds found the same structure (%.0f %% of the poses within 20 deg, beyond chance)",
                  100 * share);
    else if (share >= DECO_INITIAL_RELATED)
        deco_warn(
            j->m,
            "NOT CONVERGED: the best two starts found like structures, but only %.0f %% of the poses alike, beyond chance. Some of the "
            "particles are at wrong poses: states that differ much, or a molecule that is nearly symmetric. Check the maps; cleaner "
            "particles, more initial_starts or initial_states may help",
            100 * share);
    else if (share > 0)
        deco_warn(j->m,
                  "NOT CONVERGED: no two starts found the same structure (%.0f %% of the poses alike, beyond chance). Do not believe these "
                  "maps. More particles, cleaner ones (2D classes) or more initial_starts may help",
                  100 * share);
    else
        deco_warn(
            j->m,
            "poses were found from one start, and one start cannot tell a wrong structure: believe what runs with other --seed agree on");
    cJSON_AddBoolToObject(fields, "converged", agreed);
    cJSON_AddBoolToObject(fields, "compared", share > 0);
    cJSON_AddNumberToObject(fields, "agreement", share);
    deco_metric(j->m, "convergence", fields);
    if (*summary && (longer = deco_format("%sconverged %s\n", *summary,
                                          agreed                          ? "yes: two starts agree"
                                          : share >= DECO_INITIAL_RELATED ? "NO: two starts agree on some of the poses only; check the maps"
                                          : share > 0                     ? "NO: no two starts agree; do not believe these maps"
                                                                          : "not known: there was one start"))) {
        free(*summary);
        *summary = longer;
    }
}

/* The other workers have left, and their cores with them. */
static deco_status take_their_cores(run_job *j)
{
    deco_pool *pool = deco_device_pool(j->dev);
    int before = deco_pool_threads(pool);

    if (!j->comm || j->o->threads)
        return DECO_OK;
    deco_status st = deco_pool_grow(pool);
    if (deco_pool_threads(pool) > before)
        deco_info(j->m, "the other workers are done: the analysis has %d threads", deco_pool_threads(pool));
    return st;
}

static deco_status analyse(run_job *j, char **summary)
{
    deco_status st = DECO_OK;
    char *directory = deco_analysis_directory(j->o->outdir, j->at.epoch, j->o);

    TRY(take_their_cores(j));
    deco_progress_page_analysis(j->page);
    deco_phases_restart(j->phases);
    if (!directory)
        TRY(deco_fail_memory(64, "a folder's name"));
    TRY(deco_job_analyze_model(summary, directory, true, j->model, &j->at, j->particles, j->o, j->m));
    if (deco_searches_poses(j->o))
        tell_convergence(j, summary);
    deco_phases_end(j->phases);
out:
    free(directory);
    return st;
}

/* The page's last words. The message of a failure stays the thread's. */
static void end_page(run_job *j, deco_status st, const char *summary)
{
    char *message = st ? strdup(deco_error()) : NULL;

    deco_progress_page_end(j->page,
                           !st                    ? DECO_PAGE_DONE
                           : st == DECO_E_STOPPED ? DECO_PAGE_STOPPED
                                                  : DECO_PAGE_FAILED,
                           st ? message : summary);
    if (message)
        deco_error_set(message);
    free(message);
    deco_progress_page_free(j->page);
}

void run_job_absolute_paths(deco_options *o)
{
    for (int64_t i = 0; i < o->particles.count; i++)
        make_input_absolute(&o->particles.items[i]);
    make_absolute(&o->datadir);
    make_absolute(&o->cache_dir);
    make_absolute(&o->ind);
    make_absolute(&o->pretrained_model_path);
}

/* Options with all that follows from them. */
static deco_status resolve_options(run_job *j, const deco_options *given)
{
    deco_status st = DECO_OK;

    if (deco_options_resume(given))
        TRY(run_job_resume_options(j, given));
    else
        TRY(deco_options_copy(&j->o, given));
    TRY(draw_seed(j->o));
    run_job_absolute_paths(j->o);
    if (!(j->stop_file = deco_path_join(j->o->outdir, "STOP")))
        TRY(deco_fail_memory(16, "a file's name"));
    j->stale_stop = deco_path_exists(j->stop_file); /* one that is made from now on is meant for this run */
out:
    return st;
}

static bool is_trained(const run_job *j)
{
    return j->model &&
           deco_scheduled_epoch(j->at.epoch + 1, j->at.skipped) >= deco_schedule_of(j->o, j->particles->N, j->particles->D).total;
}

/* Images are looked at again when a run is resumed (a cache was made of those that the stacks hold now): it is the one way to see that they
 * are still those of before. */
static deco_status survey(run_job *j, bool *wrote)
{
    deco_status st = deco_images_open(&j->stats, j->particles, j->o, j->dev, j->m);

    if (st == DECO_E_STOPPED && j->model)
        *wrote = true; /* a whole checkpoint is there, as before */
    if (!st && j->model && j->model->std != j->stats.std)
        st = deco_fail(DECO_E_ARGUMENT,
                       "%s: the images changed since the run: their standard deviation is %.9g, the run's %.9g; give those of before, or "
                       "start anew without resume",
                       j->particles->source, j->stats.std, j->model->std);
    return st;
}

static void tell_resume(run_job *j)
{
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddNumberToObject(fields, "epoch", (double)j->at.epoch);
    cJSON_AddNumberToObject(fields, "batch", (double)j->at.step);
    deco_metric(j->m, "resume", fields);
}

static deco_status train_all(run_job *j, bool *wrote)
{
    deco_status st = DECO_OK;

    *wrote = true;
    TRY(begin_output(j));
    if (j->resumed && j->model)
        tell_resume(j);
    if (!j->model)
        TRY(run_job_begin_model(j));
    TRY(run_job_tell_workers(j, true));
    TRY(run_job_train(j));
out:
    return st;
}

/* The end of a run whose training is done already: at most the analysis is missing. */
static deco_status finish(run_job *j, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;
    char *directory = deco_analysis_directory(j->o->outdir, j->at.epoch, j->o), *part = NULL;

    if (!directory)
        TRY(deco_fail_memory(64, "a folder's name"));
    if (j->model->shape.Z)
        TRY(deco_clustering_directory(&part, NULL, directory, j->o));
    else if (!(part = strdup(directory)))
        TRY(deco_fail_memory(64, "a folder's name"));
    if (part && deco_path_exists(part)) {
        deco_info(j->m,
                  "epoch %" PRId64 ", the last, is trained and analysed: nothing to do. A larger epochs_sgd trains on, cryodeco analyze "
                  "makes another analysis",
                  j->at.epoch);
        deco_outdir_sweep(j->o->outdir); /* a kill may have come between the analysis and the last progress page */
        *summary = deco_job_summary(directory, j->o, j->model->shape.Z);
        goto out;
    }
    *wrote = true;
    TRY(begin_output(j));
    deco_info(j->m, "epoch %" PRId64 ", the last, is trained: only its analysis is missing", j->at.epoch);
    TRY(analyse(j, summary));
out:
    free(part);
    free(directory);
    return st;
}

static deco_status run(run_job *j, const char *resume, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;

    TRY(check_input(j));
    if (j->resumed)
        TRY(run_job_resume_model(j, resume));
    if (j->resumed && !j->model)
        TRY(run_job_open_encoder(j));
    deco_log_head(j->m, j->dev, deco_pool_threads(deco_device_pool(j->dev)), (uint64_t)j->o->seed);
    TRY(deco_stop_watch_begin(&j->watch, j->stop_file, j->o->max_hours, j->m));
    if (j->comm)
        deco_info(j->m, "%s, this one with %d threads; %s", deco_comm_words(j->comm), deco_pool_threads(deco_device_pool(j->dev)),
                  j->o->batch_is_global ? "batches are of all together" : "a batch for each, learning rates times their number");
    if (is_trained(j) && !j->o->dry_run) {
        TRY(run_job_tell_workers(j, false));
        return finish(j, wrote, summary);
    }
    TRY(log_plan(j));
    TRY(survey(j, wrote));
    if (j->o->dry_run) {
        TRY(run_job_tell_workers(j, false));
        *summary = deco_format("The input is sound; nothing was written.\n");
        goto out;
    }
    TRY(train_all(j, wrote));
    TRY(analyse(j, summary));
out:
    return st;
}

deco_status deco_job_run(const deco_options *o, deco_monitor *m, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;
    run_job j = {.m = m};
    double start = deco_seconds();

    TRY(run_job_join_workers(&j, o));
    if (deco_comm_rank(j.comm)) {
        st = run_job_work(&j, o, wrote);
        goto out;
    }
    TRY(resolve_options(&j, o));
    TRY(run(&j, deco_options_resume(o), wrote, summary));
    deco_info(m, "done in %s", deco_time_text(deco_seconds() - start));
out:
    if (j.comm) {
        bool said = deco_comm_said(j.comm) || deco_comm_rank(j.comm);
        *wrote = *wrote || deco_comm_wrote(j.comm);
        deco_comm_close(j.comm, st, *wrote);
        if (said)
            deco_monitor_mute(m, true); /* the failure was said by the one that saw it */
    }
    deco_stop_watch_end(j.watch);
    if (st == DECO_E_STOPPED && j.lock)
        unlink(j.stop_file); /* it is done, and would stop the run that goes on */
    end_page(&j, st, *summary);
    run_job_close(&j);
    return st;
}
