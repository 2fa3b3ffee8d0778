#include "job/summaries.h"
#include "base/file.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static deco_status put_numbers(deco_events *to, const progress_epoch *e)
{
    const struct {
        const char *tag;
        double value;
    } number[] = {{"training/loss", e->loss},
                  {"training/radius", e->radius},
                  {"training/images_per_s", e->images_per_s},
                  {"change/rotation_deg", e->moved_deg},
                  {"change/shift_px", e->moved_px},
                  {"change/latents", e->moved_latents},
                  {"learning_rate/decoder", e->lr_decoder},
                  {"learning_rate/latents", e->lr_latents},
                  {"learning_rate/poses", e->lr_poses}};
    deco_status st = DECO_OK;

    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (isfinite(number[i].value))
            TRY(deco_events_scalar(to, number[i].tag, e->epoch, number[i].value));
out:
    return st;
}

static deco_status put_picture(deco_events *to, const char *outdir, const char *name, int64_t epoch)
{
    deco_status st = DECO_OK;
    char *path = deco_format("%s/out/progress/%s.%" PRId64 ".png", outdir, name, epoch), tag[32], *bytes = NULL;
    size_t size;

    if (!path)
        return deco_fail_memory(strlen(outdir), "a file's name");
    if (!deco_path_exists(path))
        goto out;
    snprintf(tag, sizeof tag, "progress/%s", name);
    TRY(deco_file_get(&bytes, &size, path, 0));
    TRY(deco_events_png(to, tag, epoch, bytes, size));
out:
    free(path);
    free(bytes);
    return st;
}

static deco_status put_heavy(deco_events *to, const char *outdir, int64_t epoch, deco_model *m)
{
    deco_status st = DECO_OK;
    int64_t N = m->N, Z = m->shape.Z;
    float *z = NULL, *R = NULL, *shift = NULL;

    TRY(put_picture(to, outdir, "map", epoch));
    TRY(put_picture(to, outdir, "latents", epoch));
    TRY(put_picture(to, outdir, "views", epoch));
    if (Z) {
        TRY(deco_alloc(&z, (size_t)(N * Z), sizeof *z, "latents"));
        TRY(deco_device_download(m->dev, z, m->latents.x, (size_t)(N * Z) * sizeof *z));
        TRY(deco_events_histogram(to, "latents", epoch, z, N * Z));
    }
    TRY(deco_alloc(&R, (size_t)N, 9 * sizeof *R, "rotations"));
    TRY(deco_alloc(&shift, (size_t)N, 2 * sizeof *shift, "shifts"));
    TRY(deco_poses_get(R, shift, m, NULL, N));
    TRY(deco_events_histogram(to, "shifts_px", epoch, shift, 2 * N));
out:
    free(z);
    free(R);
    free(shift);
    return st;
}

deco_status deco_summaries_epoch(deco_summaries *s, const char *outdir, int64_t epoch, bool heavy, deco_model *m)
{
    deco_status st = DECO_OK;
    char *directory = deco_format("%s/out/summaries", outdir);

    if (!directory)
        TRY(deco_fail_memory(strlen(outdir), "a folder's name"));
    if (!s->events)
        TRY(deco_events_create(&s->events, directory, epoch));
    TRY(progress_data_read(&s->data, outdir));
    if (s->data.epochs && s->data.epoch[s->data.epochs - 1].epoch == epoch)
        TRY(put_numbers(s->events, &s->data.epoch[s->data.epochs - 1]));
    if (heavy)
        TRY(put_heavy(s->events, outdir, epoch, m));
out:
    free(directory);
    return st;
}

void deco_summaries_free(deco_summaries *s)
{
    deco_events_free(s->events);
    progress_data_free(&s->data);
    *s = (deco_summaries){0};
}
