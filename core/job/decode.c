/* `cryodeco decode`: maps at any latents of a run, or on the way between them. */
#include "analysis/analysis.h"
#include "analysis/hand.h"
#include "analysis/series.h"
#include "analysis/staging.h"
#include "analysis/traversal.h"
#include "analysis/volumes.h"
#include "base/file.h"
#include "formats/npy.h"
#include "job/job.h"
#include "job/outdir.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct decode_job {
    deco_options *o;
    deco_monitor *m;
    deco_device *dev;
    deco_model *model;
    int64_t N, Z;
    float *latent; /* [N,Z] of all particles; NULL while nobody asks */
    double *stop;  /* [stops,Z] */
    int64_t *row;  /* [stops] the particle of each stop; NULL when they are not particles */
    int64_t stops;
    double *z; /* [count,Z] what is decoded */
    int64_t count;
    int64_t *way; /* [count] the particle of each; NULL when they are none */
    deco_map_shape shape;
} decode_job;

static deco_status take_latents(decode_job *j)
{
    deco_status st = DECO_OK;

    if (j->latent)
        return DECO_OK;
    TRY(deco_alloc(&j->latent, (size_t)(j->N * j->Z) + 1, sizeof *j->latent, "latents"));
    TRY(deco_device_download(j->dev, j->latent, j->model->latents.x, (size_t)(j->N * j->Z) * sizeof *j->latent));
out:
    return st;
}

static deco_status particles_of(double **z, const decode_job *j, const int64_t *row, int64_t n)
{
    deco_status st = deco_alloc(z, (size_t)(n * j->Z) + 1, sizeof **z, "latents to decode");

    for (int64_t i = 0; !st && i < n * j->Z; i++)
        (*z)[i] = j->latent[row[i / j->Z] * j->Z + i % j->Z];
    return st;
}

/* The particles that --at names. */
static deco_status stops_at_particles(decode_job *j)
{
    deco_status st = DECO_OK;

    j->stops = j->o->at.count;
    TRY(deco_alloc(&j->row, (size_t)j->stops, sizeof *j->row, "particles"));
    for (int64_t i = 0; i < j->stops; i++) {
        double row = deco_list_number(&j->o->at, i);
        if (row != floor(row) || row >= (double)j->N)
            TRY(deco_fail(DECO_E_ARGUMENT, "at: there is no particle %s; they count from 0 to %" PRId64 ", as the rows of out/uid.npy",
                          j->o->at.items[i], j->N - 1));
        j->row[i] = (int64_t)row;
    }
    TRY(take_latents(j));
    TRY(particles_of(&j->stop, j, j->row, j->stops));
out:
    return st;
}

/* Numbers of a text, whatever stands between them; '#' begins a comment. Refuses what is no number, and a count that is no multiple of Z. */
static deco_status stops_from_text(decode_job *j, const char *path)
{
    deco_status st = DECO_OK;
    char *text = NULL, *at, *end;
    size_t size;
    int64_t n = 0;

    TRY(deco_file_get(&text, &size, path, (size_t)1 << 30));
    TRY(deco_alloc(&j->stop, size / 2 + 2, sizeof *j->stop, "latents to decode"));
    for (at = text; *(at += strspn(at, " \t\r\n,")); at = end) {
        if (*at == '#') {
            end = at + strcspn(at, "\n");
            continue;
        }
        j->stop[n] = strtod(at, &end);
        if (end == at || !isfinite(j->stop[n]))
            TRY(deco_fail(DECO_E_FORMAT, "%s: number %" PRId64 " is '%.*s'; a latent is finite numbers", path, n + 1,
                          (int)strcspn(at, " \t\r\n,"), at));
        n++;
    }
    if (!n || n % j->Z)
        TRY(deco_fail(DECO_E_FORMAT, "%s: holds %" PRId64 " numbers; latents of this run have %" PRId64 " each", path, n, j->Z));
    j->stops = n / j->Z;
out:
    free(text);
    return st;
}

static deco_status stops_from_array(decode_job *j, const char *path)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};

    TRY(deco_npy_read(&a, path));
    if (a.kind != 'f' || (a.item != 4 && a.item != 8) || !a.count || a.dims > 2 || a.shape[a.dims - 1] != j->Z)
        TRY(deco_fail(DECO_E_FORMAT, "%s: must hold floating-point numbers, %" PRId64 " a row, as latents of this run have", path, j->Z));
    j->stops = a.count / j->Z;
    TRY(deco_alloc(&j->stop, (size_t)a.count, sizeof *j->stop, "latents to decode"));
    for (int64_t i = 0; i < a.count; i++) {
        j->stop[i] = a.item == 4 ? ((const float *)a.data)[i] : ((const double *)a.data)[i];
        if (!isfinite(j->stop[i]))
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %" PRId64 " has %g; a latent is finite numbers", path, i / j->Z, j->stop[i]));
    }
out:
    deco_npy_free(&a);
    return st;
}

/* The particle nearest to each stop. */
static deco_status nearest_particles(decode_job *j)
{
    deco_status st = DECO_OK;

    TRY(take_latents(j));
    TRY(deco_alloc(&j->row, (size_t)j->stops, sizeof *j->row, "particles"));
    deco_nearest_to_places(j->row, j->stop, j->stops, j->latent, j->N, j->Z);
out:
    return st;
}

static deco_status find_places(decode_job *j)
{
    deco_status st = DECO_OK;
    const char *how = j->o->traverse;

    if (j->o->z)
        TRY(strstr(j->o->z, ".npy") ? stops_from_array(j, j->o->z) : stops_from_text(j, j->o->z));
    else
        TRY(stops_at_particles(j));
    if (strcmp(how, "none") != 0 && j->stops < 2)
        TRY(deco_fail(DECO_E_ARGUMENT, "traverse goes from latent to latent, and there is only one"));
    if (!strcmp(how, "graph")) {
        if (!j->row)
            TRY(nearest_particles(j));
        TRY(take_latents(j));
        TRY(deco_traverse_graph(&j->way, &j->count, j->latent, j->N, j->Z, j->row, j->stops, j->o->frames, 1, deco_device_pool(j->dev),
                                j->m));
        TRY(particles_of(&j->z, j, j->way, j->count));
        goto out;
    }
    TRY(deco_traverse_directly(&j->z, &j->count, j->stop, j->stops, j->Z, strcmp(how, "direct") ? 2 : j->o->frames));
out:
    return st;
}

/* The run's poses in the hand of the maps; where the input stays as it is its own count. */
static deco_status take_poses(float **R, float **shift, deco_subset_input *in, const decode_job *j)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(R, (size_t)j->N + 1, 9 * sizeof **R, "rotations"));
    TRY(deco_alloc(shift, (size_t)j->N + 1, 2 * sizeof **shift, "shifts"));
    TRY(deco_poses_get(*R, *shift, j->model, NULL, j->N));
    for (int64_t i = 0; j->o->flip_hand && i < j->N; i++)
        deco_pose_mirror(*R + 9 * i);
    in->R = *R;
    in->shift = *shift;
    in->poses_estimated = !j->o->use_gt_poses || j->o->flip_hand;
out:
    return st;
}

/* A way is also a volume series, with the particles of each frame where the run's input can still be read. */
static deco_status write_series(decode_job *j, const char *directory)
{
    deco_status st = DECO_OK;
    deco_particles *p = NULL;
    deco_subset_input in = {.analysis = deco_path_name(j->o->outdir)};
    double *place = NULL;
    float *R = NULL, *shift = NULL;

    TRY(deco_series_write(directory, j->count, j->m));
    st = deco_job_open_particles(&p, j->o, 0, j->m);
    if (st == DECO_E_FILE || st == DECO_E_FORMAT || st == DECO_E_ARGUMENT) {
        deco_warn(j->m, "no subsets of the particles near each frame: %s", deco_error());
        st = DECO_OK;
        goto out;
    }
    TRY(st);
    if (p->N != j->N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has %" PRId64 " particles, and the run %" PRId64 "; the input changed since the run", p->source,
                      p->N, j->N));
    TRY(take_latents(j));
    TRY(take_poses(&R, &shift, &in, j));
    in.particles = p;
    TRY(deco_alloc(&place, (size_t)j->N + 1, sizeof *place, "places on a way"));
    TRY(deco_places_on_way(place, j->latent, j->N, j->Z, j->z, j->count, j->stops - 1, deco_device_pool(j->dev)));
    TRY(deco_frames_write(directory, deco_path_name(j->o->output), &in, place, j->count, j->m));
out:
    deco_particles_free(p);
    free(place);
    free(R);
    free(shift);
    return st;
}

static deco_status write_all(decode_job *j)
{
    deco_status st = DECO_OK;
    deco_staging staging = {0};
    double *row = NULL;

    TRY(deco_staging_begin(&staging, j->o->output, false, j->m));
    deco_progress_begin(j->m, "maps", j->count, "maps");
    st = deco_volumes_write(staging.path, j->model, j->z, j->count, j->o->flip_hand, &j->shape, j->m);
    deco_progress_end(j->m);
    TRY(st);
    TRY(deco_latents_write(staging.path, "z_values.txt", j->z, j->count, j->Z));
    if (j->way) {
        TRY(deco_alloc(&row, (size_t)j->count, sizeof *row, "particles"));
        for (int64_t i = 0; i < j->count; i++)
            row[i] = (double)j->way[i];
        TRY(deco_latents_write(staging.path, "z_ind.txt", row, j->count, 1));
    }
    if (j->o->series && strcmp(j->o->traverse, "none") != 0)
        TRY(write_series(j, staging.path));
    TRY(deco_staging_publish(&staging));
out:
    free(row);
    deco_staging_end(&staging);
    return st;
}

deco_status deco_job_decode(const deco_options *given, deco_monitor *m, bool *wrote, char **out)
{
    deco_status st = DECO_OK;
    decode_job j = {.m = m};
    deco_position at;
    int64_t epoch;

    TRY(deco_job_options(&j.o, given));
    if (j.o->particles.count)
        TRY(deco_output_check("output", j.o->output, j.o->particles.items[0]));
    TRY(deco_device_create(&j.dev, j.o->device, (int)j.o->threads));
    TRY(deco_job_read_model(&j.model, &at, &epoch, j.dev, j.o, m));
    j.N = j.model->N;
    j.Z = j.model->shape.Z;
    if (!j.Z)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: this run has one state, without latents; its map is out/reconstruct.<epoch>.mrc", j.o->outdir));
    j.shape = (deco_map_shape){j.o->low_pass, j.o->crop, j.o->map_box};
    TRY(deco_map_shape_check(&j.shape, j.model->D));
    TRY(find_places(&j));
    *wrote = true;
    TRY(write_all(&j));
    *out = deco_format("maps      %s/vol_*.mrc (%" PRId64 ", of epoch %" PRId64 ")\nChimeraX  %s/open_all.cxc\n", j.o->output, j.count,
                       epoch, j.o->output);
out:
    free(j.latent);
    free(j.stop);
    free(j.row);
    free(j.z);
    free(j.way);
    deco_model_free(j.model);
    deco_device_free(j.dev);
    deco_options_free(j.o);
    return st;
}
