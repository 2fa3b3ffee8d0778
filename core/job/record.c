/* What a run keeps of its particles beside the weights: arrays whose rows are the particles in use, in their order. */
#include "job/record.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "formats/npy.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_record_paths_of(deco_record_paths *p, const char *outdir, int64_t epoch)
{
    *p = (deco_record_paths){
        .weights = deco_format("%s/out/weights.%" PRId64 ".safetensors", outdir, epoch),
        .latents = deco_format("%s/out/conf.%" PRId64 ".npy", outdir, epoch),
        .pose = deco_format("%s/out/pose.%" PRId64 ".npy", outdir, epoch),
        .rotation = deco_format("%s/out/rotation.%" PRId64 ".npy", outdir, epoch),
        .shift = deco_format("%s/out/shift.%" PRId64 ".npy", outdir, epoch),
        .map = deco_format("%s/out/reconstruct.%" PRId64 ".mrc", outdir, epoch),
        .uid = deco_format("%s/out/uid.npy", outdir),
        .ind = deco_format("%s/out/ind.npy", outdir),
    };
    if (p->weights && p->latents && p->pose && p->rotation && p->shift && p->map && p->uid && p->ind)
        return DECO_OK;
    deco_record_paths_free(p);
    return deco_fail_memory(strlen(outdir), "names of files");
}

void deco_record_paths_free(deco_record_paths *p)
{
    free(p->weights);
    free(p->latents);
    free(p->pose);
    free(p->rotation);
    free(p->shift);
    free(p->map);
    free(p->uid);
    free(p->ind);
    *p = (deco_record_paths){0};
}

deco_status deco_record_uids(const char *outdir, const deco_particles *p)
{
    deco_status st = DECO_OK;
    deco_record_paths path = {0};
    uint64_t *uid = NULL;

    TRY(deco_record_paths_of(&path, outdir, 0));
    TRY(deco_alloc(&uid, (size_t)p->N, sizeof *uid, "uids"));
    for (int64_t i = 0; i < p->N; i++)
        uid[i] = deco_particles_uid(p, i);
    TRY(deco_npy_write(path.uid, "<u8", 1, &p->N, uid));
    if (p->input_row)
        TRY(deco_npy_write(path.ind, "<i8", 1, &p->N, p->input_row));
out:
    free(uid);
    deco_record_paths_free(&path);
    return st;
}

/* pose.<epoch>.npy: a record array of both, as the published program's users know it. */
static deco_status write_pose_records(const char *path, const float *R, const float *shift, int64_t N)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    deco_column *column = NULL;
    static const int64_t three_by_three[] = {3, 3}, two[] = {2};

    TRY(deco_table_create(&t, N, path));
    TRY(deco_table_add(t, &column, "R", 'f', sizeof(float), 2, three_by_three));
    memcpy(column->data, R, (size_t)N * 9 * sizeof(float));
    TRY(deco_table_add(t, &column, "shift", 'f', sizeof(float), 1, two));
    memcpy(column->data, shift, (size_t)N * 2 * sizeof(float));
    TRY(deco_npy_write_table(path, t));
out:
    deco_table_free(t);
    return st;
}

deco_status deco_record_map(float *map, const char *outdir, deco_model *m, int64_t epoch, const float *latents)
{
    deco_status st = DECO_OK;
    deco_record_paths path = {0};
    int64_t Z = m->shape.Z;
    float *mean = NULL;

    TRY(deco_record_paths_of(&path, outdir, epoch));
    TRY(deco_alloc(&mean, (size_t)Z + 1, sizeof *mean, "a latent"));
    for (int64_t c = 0; c < Z; c++) {
        double sum = 0;
        for (int64_t i = 0; i < m->N; i++)
            sum += latents[i * Z + c];
        mean[c] = (float)(sum / (double)m->N);
    }
    TRY(deco_model_decode(map, m, m->D, mean));
    TRY(deco_mrc_write_volume(path.map, map, m->D, m->D, m->D, m->psize_A, "cryodeco: map at the mean latent"));
out:
    free(mean);
    deco_record_paths_free(&path);
    return st;
}

deco_status deco_record_epoch(const char *outdir, deco_model *m, const deco_position *at)
{
    deco_status st = DECO_OK;
    deco_record_paths path = {0};
    float *latents = NULL, *R = NULL, *shift = NULL, *map = NULL;
    int64_t N = m->N, Z = m->shape.Z;

    TRY(deco_record_paths_of(&path, outdir, at->epoch));
    TRY(deco_alloc(&latents, (size_t)(N * Z) + 1, sizeof *latents, "latents"));
    if (Z)
        TRY(deco_device_download(m->dev, latents, m->latents.x, (size_t)(N * Z) * sizeof *latents));
    TRY(deco_npy_write(path.latents, "<f4", 2, (int64_t[]){N, Z}, latents));
    TRY(deco_alloc(&R, (size_t)N, 9 * sizeof *R, "rotations"));
    TRY(deco_alloc(&shift, (size_t)N, 2 * sizeof *shift, "shifts"));
    TRY(deco_poses_get(R, shift, m, NULL, N));
    TRY(write_pose_records(path.pose, R, shift, N));
    TRY(deco_npy_write(path.rotation, "<f4", 3, (int64_t[]){N, 3, 3}, R));
    TRY(deco_npy_write(path.shift, "<f4", 2, (int64_t[]){N, 2}, shift));
    TRY(deco_alloc(&map, (size_t)(m->D * m->D * m->D), sizeof *map, "a map"));
    TRY(deco_record_map(map, outdir, m, at->epoch, latents));
    /* Last, so that weights of an epoch are never there without its arrays. */
    TRY(deco_checkpoint_write(path.weights, m, at));
out:
    free(latents);
    free(R);
    free(shift);
    free(map);
    deco_record_paths_free(&path);
    return st;
}
