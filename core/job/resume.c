/* Going on with a run: its options, and the checkpoint to go on from. */
#include "base/file.h"
#include "model/checkpoints.h"
#include "job/forecast.h"
#include "job/run_job.h"
#include "training/train.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A new run from options that asked to resume one. */
static deco_status begin_anew(run_job *j, const deco_options *given)
{
    deco_status st = DECO_OK;

    TRY(deco_options_copy(&j->o, given));
    TRY(deco_options_put(j->o, "resume", "", DECO_FROM_COMMAND));
    TRY(deco_options_put(j->o, "load", "false", DECO_FROM_COMMAND));
out:
    return st;
}

deco_status run_job_resume_options(run_job *j, const deco_options *given)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(given->outdir, "job.yaml");

    if (!path)
        TRY(deco_fail_memory(strlen(given->outdir), "a file's name"));
    if (deco_path_exists(path)) {
        if (!given->dry_run) /* before its job.yaml is read, which another process may be about to write */
            TRY(deco_lock_take(&j->lock, given->outdir, j->m));
        TRY(deco_options_continue(&j->o, given, path));
        j->resumed = true;
    } else if (strcmp(deco_options_resume(given), "auto") != 0) {
        TRY(deco_fail(DECO_E_FILE, "%s: not found; --resume %s goes on with the run in outdir, and %s holds none", path,
                      deco_options_resume(given), given->outdir));
    } else {
        deco_info(j->m, "%s holds no run to go on with: a new one begins", given->outdir);
        TRY(begin_anew(j, given));
    }
    TRY(deco_options_check(j->o, DECO_FOR_RUN));
out:
    free(path);
    return st;
}

/* "12" is the path of weights.12.safetensors in the run's directory; other words are paths. */
static deco_status path_of(char **path, const run_job *j, const char *from)
{
    char *end;
    errno = 0;
    long long epoch = strtoll(from, &end, 10);

    if (end > from && !*end && !errno)
        *path = deco_format("%s/out/weights.%lld.safetensors", j->o->outdir, epoch);
    else
        *path = strdup(from);
    if (!*path)
        return deco_fail_memory(strlen(from), "a file's name");
    if (deco_path_exists(*path))
        return DECO_OK;
    deco_status st =
        deco_fail(DECO_E_FILE, "%s: not found; --resume takes auto, an epoch whose weights are in %s/out, or the path of a checkpoint",
                  *path, j->o->outdir);
    free(*path);
    *path = NULL;
    return st;
}

/* Is it of this run? The digest knows the particles, the seed their order and the first weights, and job.yaml was compared already. */
static deco_status check_model(const run_job *j, const char *from)
{
    const deco_particles *p = j->particles;
    deco_hypervolume shape, *its = &j->model->shape;
    char digest[17];
    deco_status st = deco_job_shape(&shape, j->o, p);

    if (st)
        return st;
    deco_particles_digest(digest, p);
    if (strcmp(digest, j->at.digest) != 0 || j->model->N != p->N)
        return deco_fail(
            DECO_E_ARGUMENT,
            "%s: the input changed since the run: its particles, images, box or pixel size are others (digest %s, the run's %s); "
            "give the input of before, or start anew without resume",
            p->source, digest, j->at.digest);
    if (j->at.seed != (uint64_t)j->o->seed)
        return deco_fail(DECO_E_ARGUMENT, "%s: its seed is %" PRIu64 ", that of %s/job.yaml is %" PRId64 "; it is of another run", from,
                         j->at.seed, j->o->outdir, j->o->seed);
    if (its->L != shape.L || its->pe_dim != shape.pe_dim || its->H != shape.H || its->n != shape.n || its->Z != shape.Z ||
        its->layer_norm != shape.layer_norm)
        return deco_fail(DECO_E_ARGUMENT, "%s: its decoder is not of the shape that %s/job.yaml gives; it is of another run", from,
                         j->o->outdir);
    if (j->o->use_conf_encoder != (j->model->encoder != NULL))
        return deco_fail(DECO_E_ARGUMENT, "%s: holds %s encoder, and %s/job.yaml asks for %s; it is of another run", from,
                         j->model->encoder ? "an" : "no", j->o->outdir, j->model->encoder ? "none" : "one");
    if (deco_trains_poses(j->o) && !j->model->rotations.m)
        return deco_fail(DECO_E_ARGUMENT,
                         "%s: was made without training of poses, so epochs_sgd cannot grow from 0 with pose_refine table; start anew",
                         from);
    return DECO_OK;
}

/* It is no error: the run is as good, but not the same to the bit. */
static void tell_arithmetic(const run_job *j)
{
    const char *now = deco_device_arithmetic(j->dev);
    if (j->at.arithmetic[0] && strcmp(j->at.arithmetic, now) != 0)
        deco_warn(
            j->m,
            "the run was made with %s kernels until here and goes on with %s: its numbers will differ in their last digits from those of a "
            "run that nobody stopped; where nodes differ, set CRYODECO_KERNELS to what all of them have",
            j->at.arithmetic, now);
}

deco_status run_job_resume_model(run_job *j, const char *from)
{
    deco_status st = DECO_OK;
    char *path = NULL;

    if (!strcmp(from, "auto")) {
        TRY(deco_checkpoints_read_newest(&j->model, &j->at, j->dev, j->o->outdir, NULL, j->m));
    } else {
        TRY(path_of(&path, j, from));
        TRY(deco_checkpoint_read(&j->model, &j->at, j->dev, path, DECO_READ_ALL));
    }
    if (j->model) {
        TRY(check_model(j, path ? path : j->o->outdir));
        tell_arithmetic(j);
    }
out:
    free(path);
    return st;
}
