#include "job/heavy.h"
#include "analysis/agreement.h"
#include "analysis/figures.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "job/record.h"
#include "job/training_plots.h"
#include "training/search_stop.h"
#include "training/train.h"
#include <cjson/cJSON.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double agreement_fsc = 0.5;

bool deco_heavy_due(const deco_options *o, int64_t N, int64_t D, int64_t epoch, int64_t skipped)
{
    int64_t last = deco_schedule_of(o, N, D).total - 1 - skipped, here = deco_scheduled_epoch(epoch, skipped),
            next = deco_scheduled_epoch(epoch + 1, skipped);

    if (!o->log_heavy_interval || epoch < -1)
        return false;
    return epoch >= last || (epoch >= 0 && epoch % o->log_heavy_interval == 0) ||
           deco_epoch_plan_of(o, N, D, here).kind != deco_epoch_plan_of(o, N, D, next).kind;
}

int64_t deco_heavy_count(const deco_options *o, int64_t N, int64_t D)
{
    deco_schedule s = deco_schedule_of(o, N, D);
    int64_t n = 0;

    for (int64_t e = s.pretrain_images ? -1 : 0; e < s.total; e++)
        n += deco_heavy_due(o, N, D, e, 0);
    return n;
}

void deco_heavy_free(deco_heavy *h)
{
    free(h->map);
    free(h->before);
    *h = (deco_heavy){0};
}

/* A picture's path, progress/<what>.<epoch>.png. */
static deco_status path_of(char **out, const char *outdir, const char *what, int64_t epoch)
{
    *out = deco_format("%s/out/progress/%s.%" PRId64 ".png", outdir, what, epoch);
    return *out ? DECO_OK : deco_fail_memory(strlen(outdir), "a file's name");
}

static deco_status transform(float **out, const float *map, deco_model *m)
{
    deco_status st = DECO_OK;
    int64_t D = m->D;
    size_t bytes = (size_t)(D * D * D) * sizeof(float);
    float *on_device = NULL;
    deco_array volume;

    TRY(deco_alloc(out, (size_t)(D * D * D), sizeof **out, "a map's transform"));
    TRY(deco_device_alloc(m->dev, &on_device, bytes, "a map's transform"));
    TRY(deco_device_upload(m->dev, on_device, map, bytes));
    volume = deco_f32_3(on_device, D, D, D);
    TRY(deco_hartley_3d(m->dev, volume, volume, false));
    TRY(deco_device_download(m->dev, *out, on_device, bytes));
out:
    deco_device_release(m->dev, on_device);
    return st;
}

/* The epoch of the last map before `epoch` in OUTDIR/out; INT64_MIN: there is none. */
static int64_t map_before(const char *outdir, int64_t epoch)
{
    char *folder = deco_path_join(outdir, "out"), again[64];
    DIR *d = folder ? opendir(folder) : NULL;
    int64_t last = INT64_MIN, e;

    for (struct dirent *f; d && (f = readdir(d));) {
        if (sscanf(f->d_name, "reconstruct.%" SCNd64, &e) != 1 || e >= epoch || e <= last)
            continue;
        snprintf(again, sizeof again, "reconstruct.%" PRId64 ".mrc", e);
        if (!strcmp(again, f->d_name))
            last = e;
    }
    if (d)
        closedir(d);
    free(folder);
    return last;
}

/* A run that goes on compares with the map that it had made before: that of the file. Without one there is nothing to compare with. */
static deco_status recall(deco_heavy *h, const char *outdir, deco_model *m, int64_t epoch)
{
    deco_status st = DECO_OK;
    int64_t D = m->D, last = map_before(outdir, epoch);
    deco_mrc *file = NULL;
    float *map = NULL;
    char *path = last == INT64_MIN ? NULL : deco_format("%s/out/reconstruct.%" PRId64 ".mrc", outdir, last);

    if (!path)
        goto out;
    TRY(deco_mrc_open(&file, path));
    if (file->nx != D || file->ny != D || file->nz != D)
        goto out;
    TRY(deco_alloc(&map, (size_t)(D * D * D), sizeof *map, "a map"));
    TRY(deco_mrc_read(file, map, 0, D));
    TRY(transform(&h->before, map, m));
    h->compared = true;
out:
    deco_mrc_close(file);
    free(map);
    free(path);
    return st;
}

/* The map's transform takes the place of the last one's; *radius: how far out the two agree, 0 for the first. */
static deco_status compare(deco_heavy *h, double *radius, deco_model *m)
{
    deco_status st = DECO_OK;
    float *now = NULL;

    *radius = 0;
    TRY(transform(&now, h->map, m));
    if (h->compared)
        *radius = deco_agreement_radius(now, h->before, m->D, m->radius, agreement_fsc);
    free(h->before);
    h->before = now;
    now = NULL;
    h->compared = true;
out:
    free(now);
    return st;
}

static void tell(const deco_model *m, int64_t epoch, double agreement, double seconds, deco_monitor *mon)
{
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddNumberToObject(fields, "epoch", (double)epoch);
    cJSON_AddNumberToObject(fields, "radius", (double)m->radius);
    if (agreement > 0)
        cJSON_AddNumberToObject(fields, "agreement_A", (double)m->D * m->psize_A / agreement);
    cJSON_AddNumberToObject(fields, "seconds", seconds);
    deco_metric(mon, "map", fields);
}

static deco_status draw(const char *outdir, deco_model *m, int64_t epoch, const float *map, const float *z, deco_monitor *mon)
{
    deco_status st = DECO_OK;
    char *of_map = NULL, *of_latents = NULL, *of_views = NULL, *of_loss = NULL;
    float *R = NULL, *shift = NULL;

    TRY(path_of(&of_map, outdir, "map", epoch));
    TRY(path_of(&of_latents, outdir, "latents", epoch));
    TRY(path_of(&of_views, outdir, "views", epoch));
    TRY(path_of(&of_loss, outdir, "loss", epoch));
    TRY(deco_training_loss_write(of_loss, outdir, epoch, mon));
    TRY(deco_figure_map(of_map, map, m->D, m->psize_A));
    if (m->shape.Z)
        TRY(deco_figure_latents(of_latents, z, m->N, m->shape.Z, deco_device_pool(m->dev)));
    TRY(deco_alloc(&R, (size_t)m->N, 9 * sizeof *R, "rotations"));
    TRY(deco_alloc(&shift, (size_t)m->N, 2 * sizeof *shift, "shifts"));
    TRY(deco_poses_get(R, shift, m, NULL, m->N));
    TRY(deco_figure_views(of_views, R, m->N));
out:
    free(R);
    free(shift);
    free(of_map);
    free(of_latents);
    free(of_views);
    free(of_loss);
    return st;
}

deco_status deco_heavy_write(deco_heavy *h, const char *outdir, deco_model *m, int64_t epoch, deco_monitor *mon)
{
    deco_status st = DECO_OK;
    int64_t N = m->N, Z = m->shape.Z;
    double start = deco_seconds(), agreement;
    float *z = NULL;
    char *folder = deco_format("%s/out/progress", outdir);

    if (!folder)
        TRY(deco_fail_memory(strlen(outdir), "a folder's name"));
    TRY(deco_directory_make(folder));
    if (!h->map)
        TRY(deco_alloc(&h->map, (size_t)(m->D * m->D * m->D), sizeof *h->map, "a map"));
    TRY(deco_alloc(&z, (size_t)(N * Z) + 1, sizeof *z, "latents"));
    if (Z)
        TRY(deco_device_download(m->dev, z, m->latents.x, (size_t)(N * Z) * sizeof *z));
    TRY(deco_record_map(h->map, outdir, m, epoch, z));
    if (!h->compared)
        TRY(recall(h, outdir, m, epoch));
    TRY(compare(h, &agreement, m));
    TRY(deco_figure_optional(draw(outdir, m, epoch, h->map, z, mon), mon));
    tell(m, epoch, agreement, deco_seconds() - start, mon);
out:
    free(z);
    free(folder);
    return st;
}
