/* A forecast in words and in JSON. */
#include "job/forecast.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *deco_phase_name(deco_epoch_kind kind)
{
    static const char *const name[DECO_EPOCH_KINDS] = {"pretraining", "training", "pose search", "refinement of poses",
                                                       "training with the pose table"};
    return name[kind];
}

static void write_lines(FILE *to, const deco_forecast *f, const deco_options *o, bool fits)
{
    if (!fits)
        fprintf(to, "does not fit  %s\n", deco_error());
    if (f->initial_seconds > 0)
        fprintf(to, "time     %-10s the initial model\n", deco_time_text(f->initial_seconds));
    for (int k = 0; k < DECO_EPOCH_KINDS; k++)
        if (f->phase[k].epochs)
            fprintf(to, "time     %-10s %s: %" PRId64 " epoch%s, %" PRId64 " images\n", deco_time_text(f->phase[k].seconds),
                    deco_phase_name((deco_epoch_kind)k), f->phase[k].epochs, f->phase[k].epochs == 1 ? "" : "s", f->phase[k].images);
    if (f->encode_seconds > 0)
        fprintf(to, "time     %-10s passes with the encoder alone\n", deco_time_text(f->encode_seconds));
    if (f->images)
        fprintf(to, "time     %-10s together; reading images and the analysis come on top\n", deco_time_text(f->seconds));
    fprintf(to, "memory   %-10s of %s that may be used here\n", deco_forecast_memory_text(f), deco_size_text(f->memory_allowed));
    fprintf(to, "disk     %-10s under outdir", deco_size_text(f->disk_bytes));
    if (isfinite(f->disk_free))
        fprintf(to, ", where %s are free", deco_size_text(f->disk_free));
    fprintf(to, "; a checkpoint has %s\n", deco_size_text(f->checkpoint_bytes));
    if (f->cache_bytes > 0)
        fprintf(to, "cache    %-10s in %s\n", deco_size_text(f->cache_bytes), o->cache_dir);
}

deco_status deco_forecast_text(char **out, const deco_forecast *f, const deco_options *o, const deco_particles *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    *out = NULL;
    if (!to)
        return deco_fail_memory(1024, "the forecast");
    write_lines(to, f, o, !deco_forecast_check(f, o, p));
    if (fclose(to)) {
        free(text);
        return deco_fail_memory(size, "the forecast");
    }
    *out = text;
    return DECO_OK;
}

static void add_phases(cJSON *root, const deco_forecast *f)
{
    cJSON *list = cJSON_AddArrayToObject(root, "phases");

    for (int k = 0; k < DECO_EPOCH_KINDS; k++) {
        if (!f->phase[k].epochs)
            continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "name", deco_phase_name((deco_epoch_kind)k));
        cJSON_AddNumberToObject(one, "epochs", (double)f->phase[k].epochs);
        cJSON_AddNumberToObject(one, "images", (double)f->phase[k].images);
        cJSON_AddNumberToObject(one, "seconds", f->phase[k].seconds);
        cJSON_AddItemToArray(list, one);
    }
}

deco_status deco_forecast_json(char **out, const deco_forecast *f, const deco_options *o, const deco_particles *p)
{
    cJSON *root = cJSON_CreateObject();
    bool fits = !deco_forecast_check(f, o, p);

    cJSON_AddBoolToObject(root, "fits", fits);
    if (!fits)
        cJSON_AddStringToObject(root, "why_not", deco_error());
    cJSON_AddNumberToObject(root, "particles", (double)p->N);
    cJSON_AddNumberToObject(root, "images", (double)f->images);
    cJSON_AddNumberToObject(root, "seconds", f->seconds);
    cJSON_AddNumberToObject(root, "initial_model_seconds", f->initial_seconds);
    cJSON_AddNumberToObject(root, "encoder_seconds", f->encode_seconds);
    add_phases(root, f);
    cJSON_AddNumberToObject(root, "workers", (double)f->crew.all);
    cJSON_AddNumberToObject(root, "memory_bytes", f->memory_bytes * (double)f->crew.here);
    cJSON_AddNumberToObject(root, "memory_allowed_bytes", f->memory_allowed);
    cJSON_AddNumberToObject(root, "disk_bytes", f->disk_bytes);
    if (isfinite(f->disk_free))
        cJSON_AddNumberToObject(root, "disk_free_bytes", f->disk_free);
    cJSON_AddNumberToObject(root, "checkpoint_bytes", f->checkpoint_bytes);
    cJSON_AddNumberToObject(root, "cache_bytes", f->cache_bytes);
    if (!fits)
        cJSON_AddNumberToObject(root, "particles_that_fit",
                                (double)(f->memory_bytes * (double)f->crew.here > f->memory_allowed ? f->memory_fits : f->disk_fits));
    if (f->batch_fits)
        cJSON_AddNumberToObject(root, "batch_that_fits", (double)f->batch_fits);
    *out = cJSON_Print(root);
    cJSON_Delete(root);
    return *out ? DECO_OK : deco_fail_memory(1024, "the forecast");
}

static char *rotating(void)
{
    static _Thread_local char text[4][32];
    static _Thread_local int next;
    return text[next++ % 4];
}

const char *deco_time_text(double seconds)
{
    char *out = rotating();
    if (seconds < 99.5)
        snprintf(out, 32, "%.0f s", seconds);
    else if (seconds < 99.5 * 60)
        snprintf(out, 32, "%.0f min", seconds / 60);
    else if (seconds < 72 * 3600.0)
        snprintf(out, 32, "%.1f h", seconds / 3600);
    else
        snprintf(out, 32, "%.1f days", seconds / 86400);
    return out;
}

const char *deco_size_text(double bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    char *out = rotating();
    int i = 0;
    for (; bytes >= 999.5 && i < 5; i++)
        bytes /= 1000;
    snprintf(out, 32, bytes < 9.95 && i ? "%.1f %s" : "%.0f %s", bytes, unit[i]);
    return out;
}

const char *deco_forecast_memory_text(const deco_forecast *f)
{
    static _Thread_local char text[64];
    const char *size = deco_size_text(f->memory_bytes * (double)f->crew.here);

    if (f->crew.here == 1)
        return size;
    snprintf(text, sizeof text, "%s (%lld workers)", size, (long long)f->crew.here);
    return text;
}
