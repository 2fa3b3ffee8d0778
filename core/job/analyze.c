/* `cryodeco analyze`: the analysis of a finished run again, with other settings. */
#include "analysis/analysis.h"
#include "analysis/cluster_count.h"
#include "base/file.h"
#include "job/head.h"
#include "job/job.h"
#include "job/lock.h"
#include "job/metrics.h"
#include "job/outdir.h"
#include "job/report.h"
#include "job/record.h"
#include "job/training_plots.h"
#include "model/checkpoints.h"
#include "training/search_stop.h"
#include "training/train.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

deco_status deco_job_options(deco_options **out, const deco_options *o)
{
    deco_status st = DECO_OK;
    deco_options *merged = NULL;
    char *path = NULL;

    if (!o->outdir || !*o->outdir)
        return deco_fail(DECO_E_ARGUMENT, "outdir is not given: name the directory of a run");
    TRY(deco_options_copy(&merged, o));
    if (!(path = deco_path_join(o->outdir, "job.yaml")))
        TRY(deco_fail_memory(strlen(o->outdir), "a file's name"));
    if (!deco_path_exists(path))
        TRY(deco_fail(DECO_E_FILE, "%s: not found; %s does not hold a run of cryodeco", path, o->outdir));
    TRY(deco_options_read_yaml(merged, path, DECO_FROM_PRESET));
    *out = merged;
    merged = NULL;
out:
    free(path);
    deco_options_free(merged);
    return st;
}

deco_status deco_job_read_model(deco_model **model, deco_position *at, int64_t *epoch, deco_device *dev, const deco_options *o,
                                deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_record_paths path = {0};

    if (deco_option_given(o, DECO_OPT_epoch)) {
        *epoch = o->epoch;
        TRY(deco_record_paths_of(&path, o->outdir, o->epoch));
        if (!deco_path_exists(path.weights))
            TRY(deco_fail(DECO_E_ARGUMENT, "%s/out holds no weights of epoch %" PRId64, o->outdir, o->epoch));
        TRY(deco_checkpoint_read(model, at, dev, path.weights, DECO_READ_ALL));
        goto out;
    }
    TRY(deco_checkpoints_read_newest(model, at, dev, o->outdir, NULL, m));
    if (!*model)
        TRY(deco_fail(DECO_E_FILE, "%s/out holds no weights.<epoch>.safetensors; the run has not got to its first checkpoint", o->outdir));
    TRY(deco_record_paths_of(&path, o->outdir, at->epoch));
    *epoch = at->step == 0 && deco_path_exists(path.weights) ? at->epoch : at->epoch + 1;
out:
    deco_record_paths_free(&path);
    return st;
}

/* The outermost shell that any epoch up to this one has looked for poses with; 0: none has. */
static int64_t pose_radius(const deco_options *o, int64_t N, int64_t D, int64_t epoch)
{
    int64_t most = 0;

    if (o->use_gt_poses)
        return 0;
    for (int64_t i = 0; i < o->initial_radii.count && !o->refine_gt_poses; i++)
        most = most > atoll(o->initial_radii.items[i]) ? most : atoll(o->initial_radii.items[i]);
    for (int64_t i = 0; i < o->initial_state_radii.count && !o->refine_gt_poses; i++)
        most = most > atoll(o->initial_state_radii.items[i]) ? most : atoll(o->initial_state_radii.items[i]);
    for (int64_t e = 0; e <= epoch; e++) {
        deco_epoch_plan plan = deco_epoch_plan_of(o, N, D, e);
        int64_t here = plan.kind == DECO_EPOCH_TABLE                                      ? plan.radius
                       : plan.kind == DECO_EPOCH_SEARCH || plan.kind == DECO_EPOCH_REFINE ? plan.search_radius
                                                                                          : 0;
        most = most > here ? most : here;
    }
    return most;
}

/* What the run's own files add to an analysis. */
typedef struct report_parts {
    const char *directory;
    const deco_particles *p;
    const deco_options *o;
    int64_t epoch;
    const float *shift;
    deco_monitor *mon;
} report_parts;

static deco_status add_report(void *context, const char *made)
{
    deco_status st = DECO_OK;
    const report_parts *r = context;

    TRY(deco_training_plots_write(made, r->o->outdir, r->epoch, r->mon));
    TRY(deco_report_write(r->o->outdir, made, deco_path_name(r->directory), r->p, r->shift, r->o, r->mon));
out:
    return st;
}

deco_status deco_job_analyze_model(char **summary, const char *directory, bool patient, deco_model *m, const deco_position *at,
                                   const deco_particles *p, const deco_options *o, deco_monitor *mon)
{
    deco_status st = DECO_OK;
    int64_t N = p->N, Z = m->shape.Z;
    float *z = NULL, *R = NULL, *shift = NULL;
    deco_image_stats images = {.std = 1, .float32 = !strcmp(o->image_precision, "float32")};
    report_parts more = {directory, p, o, at->epoch, NULL, mon};
    double moved;

    TRY(deco_images_find_cache(&images.cache, p, o, mon));
    TRY(deco_metrics_latents_moved(&moved, o->outdir, at->epoch));
    TRY(deco_alloc(&z, (size_t)(N * Z) + 1, sizeof *z, "latents"));
    if (Z)
        TRY(deco_device_download(m->dev, z, m->latents.x, (size_t)(N * Z) * sizeof *z));
    TRY(deco_alloc(&R, (size_t)N, 9 * sizeof *R, "rotations"));
    TRY(deco_alloc(&shift, (size_t)N, 2 * sizeof *shift, "shifts"));
    TRY(deco_poses_get(R, shift, m, NULL, N));
    more.shift = shift;
    TRY(deco_analysis_write(directory,
                            &(deco_analysis_input){.model = m,
                                                   .particles = p,
                                                   .z = z,
                                                   .R = R,
                                                   .shift = shift,
                                                   .poses_estimated = !o->use_gt_poses,
                                                   .poses_given = o->use_gt_poses || o->refine_gt_poses,
                                                   .pose_radius = pose_radius(o, N, m->D, deco_scheduled_epoch(at->epoch, at->skipped)),
                                                   .starts_agree = at->agreement,
                                                   .latents_moved = moved,
                                                   .images = &images,
                                                   .patient = patient,
                                                   .add = add_report,
                                                   .context = &more,
                                                   .trained_seed = at->seed,
                                                   .seed = (uint64_t)o->seed},
                            o, mon));
    *summary = deco_job_summary(directory, o, Z);
out:
    deco_images_close(&images);
    free(z);
    free(R);
    free(shift);
    return st;
}

deco_status deco_job_open_particles(deco_particles **out, const deco_options *o, int need, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_record_paths path = {0};
    deco_input in;

    *out = NULL;
    if (!o->particles.count)
        TRY(deco_fail(DECO_E_ARGUMENT, "particles is not given, and %s/job.yaml does not name an input", o->outdir));
    TRY(deco_record_paths_of(&path, o->outdir, 0));
    in = deco_input_of(o);
    if (in.ind || in.min_score) /* the run's rows */
        in.ind = path.ind;
    in.min_score = NULL;
    TRY(deco_particles_open_input(out, &in, need, m));
out:
    deco_record_paths_free(&path);
    return st;
}

/* With the images where they are still there: all but the back-projection does without. */
static deco_status open_particles(deco_particles **p, const deco_options *o, deco_monitor *m)
{
    deco_status st = deco_job_open_particles(p, o, o->back_projection ? DECO_NEED_STACKS : 0, m);

    if (o->back_projection && (st == DECO_E_FILE || st == DECO_E_FORMAT)) {
        char *why = strdup(deco_error());
        st = deco_job_open_particles(p, o, 0, m);
        if (!st)
            deco_warn(m, "the images cannot be read (%s)", why ? why : "no memory for the reason");
        free(why);
    }
    return st;
}

/* Beside a run under way an epoch that is not over has a folder for each of its checkpoints: the run will want analysis_<epoch> for itself. */
static char *directory_beside(const deco_position *at, const deco_options *o)
{
    return deco_format("%s/out/analysis_%" PRId64 ".%" PRId64 "%s", o->outdir, at->epoch + 1, at->step, o->flip_hand ? "_flipped" : "");
}

deco_status deco_job_analyze(const deco_options *given, deco_monitor *m, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;
    deco_options *o = NULL;
    deco_device *dev = NULL;
    deco_particles *p = NULL;
    deco_model *model = NULL;
    deco_lock *lock = NULL;
    deco_position at;
    char *directory = NULL, digest[17];
    int64_t epoch = 0;

    TRY(deco_job_options(&o, given));
    if (access(o->outdir, W_OK | X_OK))
        TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be written to", o->outdir));
    TRY(deco_lock_take_if_free(&lock, o->outdir, m));
    TRY(open_particles(&p, o, m));
    if (o->k_num > p->N)
        TRY(deco_fail(DECO_E_ARGUMENT, "k_num is %" PRId64 ", but %s has only %" PRId64 " particles; a cluster needs at least one",
                      o->k_num, p->source, p->N));
    TRY(deco_device_create(&dev, o->device, (int)o->threads));
    TRY(deco_job_read_model(&model, &at, &epoch, dev, o, m));
    deco_particles_digest(digest, p);
    if (strcmp(digest, at.digest) != 0)
        TRY(deco_fail(DECO_E_FORMAT, "%s: the input changed since the run (its digest is %s, the run's %s)", p->source, digest, at.digest));
    directory = !lock && epoch != at.epoch ? directory_beside(&at, o) : deco_analysis_directory(o->outdir, epoch, o);
    if (!directory)
        TRY(deco_fail_memory(strlen(o->outdir), "a folder's name"));

    *wrote = true;
    if (lock) {
        deco_outdir_sweep(o->outdir);
        TRY(deco_monitor_attach(m, o->outdir));
    } else
        deco_info(m, "another process works in %s: this is an analysis of its last checkpoint, and leaves its log alone", o->outdir);
    deco_log_head(m, dev, deco_pool_threads(deco_device_pool(dev)), (uint64_t)o->seed);
    if (epoch != at.epoch)
        deco_info(m, "analysis of epoch %" PRId64 " as it stands after batch %" PRId64, epoch, at.step);
    else
        deco_info(m, "analysis of epoch %" PRId64, epoch);
    TRY(deco_job_analyze_model(summary, directory, false, model, &at, p, o, m));
out:
    free(directory);
    deco_model_free(model);
    deco_device_free(dev);
    deco_particles_free(p);
    deco_lock_release(lock);
    deco_options_free(o);
    return st;
}

char *deco_job_summary(const char *directory, const deco_options *o, int64_t Z)
{
    const char *hand = !deco_searches_poses(o) ? ""
                       : o->flip_hand ? "hand      arbitrary (a coin's toss); these are flipped, --flip_hand False gives the other\n"
                                      : "hand      arbitrary (a coin's toss); cryodeco analyze OUTDIR --flip_hand True gives the other\n";
    char *clustering = NULL, *words;

    if (Z == 0)
        return deco_format("report    %s/report.html\nmap       %s/vol_000.mrc\n%s", directory, directory, hand);
    if (deco_clustering_directory(&clustering, NULL, directory, o) || !clustering)
        return NULL;
    words = deco_format("report    %s/report.html\n"
                        "maps      %s/vol_*.mrc\n"
                        "plot      %s/z_pca.png\n"
                        "subsets   %s/clustering_cs_star/cluster_*.{cs,csg,star}\n"
                        "along PCs %s/pc1_10, %s/pc2_10\n%s",
                        directory, clustering, clustering, clustering, directory, directory, hand);
    free(clustering);
    return words;
}
