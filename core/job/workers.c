/* A run of several workers: the first one leads, checks, writes and speaks; the others train along. */
#include "base/file.h"
#include "job/run_job.h"
#include "training/train.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the first worker found and decided. */
typedef struct beginning {
    int trains, resumed, float32, encoder, cached;
    double mean, std;
    int64_t block, seed, shuffle_block, N;
    char digest[17];
} beginning;

/* And what a training begins from, beside the numbers of the model. */
typedef struct start {
    deco_position at;
    deco_hypervolume shape;
    deco_vit encoder; /* its depth 0: none */
    int64_t first, D, radius, pose_moments;
    double psize_A, std;
} start;

deco_status run_job_join_workers(run_job *j, const deco_options *o)
{
    deco_status st = DECO_OK;

    TRY(deco_comm_open(&j->comm, o->worker_timeout, j->m));
    if (deco_comm_rank(j->comm))
        deco_monitor_mute(j->m, true);
    if (o->workers > 1 && deco_comm_size(j->comm) != o->workers && !o->dry_run)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "workers is %" PRId64
                      ", and this is %s: the program cryodeco starts them itself; under mpirun or srun, and from Python, "
                      "leave it out",
                      o->workers, deco_comm_words(j->comm)));
out:
    return st;
}

deco_status run_job_tell_workers(run_job *j, bool trains)
{
    beginning b = {.trains = trains,
                   .resumed = j->resumed,
                   .float32 = j->stats.float32,
                   .encoder = j->stats.encoder,
                   .cached = j->stats.cache != NULL,
                   .mean = j->stats.mean,
                   .std = j->stats.std,
                   .block = j->stats.block,
                   .seed = j->o->seed,
                   .shuffle_block = j->o->shuffle_block,
                   .N = j->particles->N};

    deco_particles_digest(b.digest, j->particles);
    return deco_comm_share(j->comm, &b, sizeof b, "what the first worker found");
}

deco_status run_job_share_model(run_job *j)
{
    deco_model *m = j->model;
    start s = {.at = j->at, .shape = m->shape, .D = m->D, .radius = m->radius, .psize_A = m->psize_A, .std = m->std};

    m->comm = j->comm;
    if (!j->comm)
        return DECO_OK;
    s.pose_moments = m->rotations.m != NULL;
    if (m->encoder) {
        s.encoder = m->encoder->shape;
        s.first = m->encoder->first;
    }
    deco_status st = deco_comm_share(j->comm, &s, sizeof s, "the model's shape");
    return st ? st : deco_model_share(m);
}

/* ---- the others ------------------------------------------------------------------------------------------------------ */

/* The options of the first worker: those given, over those of a run that goes on, with what was drawn and settled. */
static deco_status take_options(run_job *j, const deco_options *given, const beginning *b)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(given->outdir, "job.yaml");

    if (!path)
        TRY(deco_fail_memory(strlen(given->outdir), "a file's name"));
    j->resumed = b->resumed;
    if (b->resumed)
        TRY(deco_options_continue(&j->o, given, path));
    else
        TRY(deco_options_copy(&j->o, given));
    TRY(deco_options_put_whole(j->o, "seed", b->seed));
    if (b->shuffle_block != j->o->shuffle_block)
        TRY(deco_options_put_whole(j->o, "shuffle_block", b->shuffle_block));
    run_job_absolute_paths(j->o);
out:
    free(path);
    return st;
}

/* The same particles and images. Without the cache on this host they are prepared from the stacks, to the same bits. */
static deco_status open_input(run_job *j, const beginning *b)
{
    deco_status st = DECO_OK;
    char digest[17];

    TRY(deco_device_create(&j->dev, j->o->device, j->o->threads ? (int)j->o->threads : deco_comm_threads(j->comm)));
    deco_device_use_bf16(j->dev, j->o->use_amp);
    TRY(run_job_open_particles(j));
    deco_particles_digest(digest, j->particles);
    if (j->particles->N != b->N || strcmp(digest, b->digest) != 0)
        TRY(deco_fail(DECO_E_FILE, "%s: this worker sees other particles there than the first one; all need the same files",
                      j->particles->source));
    j->stats = (deco_image_stats){.mean = b->mean, .std = b->std, .float32 = b->float32, .encoder = b->encoder, .block = b->block};
    if (b->cached)
        TRY(deco_images_find_cache(&j->stats.cache, j->particles, j->o, j->m));
out:
    return st;
}

static deco_status take_model(run_job *j)
{
    deco_status st = DECO_OK;
    start s;

    TRY(deco_comm_share(j->comm, &s, sizeof s, "the model's shape"));
    j->at = s.at;
    TRY(deco_model_allocate(&j->model, j->dev, &s.shape, j->particles->N,
                            (s.pose_moments ? DECO_HOLD_POSE_MOMENTS : DECO_HOLD_TABLES) | (s.encoder.depth ? DECO_HOLD_ENCODED : 0U)));
    j->model->D = s.D, j->model->radius = s.radius, j->model->psize_A = s.psize_A, j->model->std = s.std;
    j->model->comm = j->comm;
    if (s.encoder.depth)
        TRY(deco_encoder_allocate(&j->model->encoder, j->dev, &s.encoder, s.first, true));
    TRY(deco_model_share(j->model));
out:
    return st;
}

deco_status run_job_work(run_job *j, const deco_options *given, bool *wrote)
{
    deco_status st = DECO_OK;
    beginning b;

    deco_comm_at(j->comm, "waiting for the first worker's checks");
    TRY(deco_comm_share(j->comm, &b, sizeof b, "what the first worker found"));
    if (!b.trains)
        goto out;
    *wrote = true;
    TRY(take_options(j, given, &b));
    TRY(open_input(j, &b));
    do { /* a training that diverged begins again with the first worker's last checkpoint */
        deco_model_free(j->model);
        j->model = NULL;
        TRY(take_model(j));
        st = deco_train(j->model, &j->at, j->particles, &j->stats, j->o, NULL, j->m);
        deco_status lost = deco_comm_check(j->comm);
        st = lost ? lost : st;
    } while (st == DECO_E_DIVERGED);
out:
    return st;
}
