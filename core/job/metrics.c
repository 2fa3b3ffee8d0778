/* metrics.jsonl read back: of a run that goes on from an earlier place, and what its last epoch was like. */
#include "job/metrics.h"
#include "base/file.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A whole line of JSON that is not about a later epoch. */
static bool stays(const char *line, size_t n, int64_t epoch)
{
    cJSON *object = cJSON_ParseWithLength(line, n);
    const cJSON *of = cJSON_GetObjectItemCaseSensitive(object, "epoch");
    bool keep = cJSON_IsObject(object) && !(cJSON_IsNumber(of) && of->valuedouble > (double)epoch);

    cJSON_Delete(object);
    return keep;
}

deco_status deco_metrics_forget_after(const char *outdir, int64_t epoch)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(outdir, "metrics.jsonl"), *text = NULL;
    deco_file *f = NULL;
    size_t size;

    if (!path)
        TRY(deco_fail_memory(strlen(outdir), "a file's name"));
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_file_get(&text, &size, path, 0));
    TRY(deco_file_create(&f, path));
    for (const char *line = text, *end; (end = memchr(line, '\n', size - (size_t)(line - text))); line = end + 1)
        if (stays(line, (size_t)(end - line), epoch))
            TRY(deco_file_write(f, line, (size_t)(end - line) + 1));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    free(text);
    free(path);
    return st;
}

/* NAN when the line is not the epoch's. */
static double moved_in(const char *line, size_t n, int64_t epoch)
{
    cJSON *object = cJSON_ParseWithLength(line, n);
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(object, "event"), *of = cJSON_GetObjectItemCaseSensitive(object, "epoch"),
                *moved = cJSON_GetObjectItemCaseSensitive(object, "moved_latents");
    bool here = cJSON_IsString(event) && !strcmp(event->valuestring, "epoch") && cJSON_IsNumber(of) && of->valuedouble == (double)epoch;
    double value = here && cJSON_IsNumber(moved) ? moved->valuedouble : NAN;

    cJSON_Delete(object);
    return value;
}

deco_status deco_metrics_latents_moved(double *out, const char *outdir, int64_t epoch)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(outdir, "metrics.jsonl"), *text = NULL;
    size_t size;

    *out = NAN;
    if (!path)
        TRY(deco_fail_memory(strlen(outdir), "a file's name"));
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_file_get(&text, &size, path, 0));
    for (const char *line = text, *end; (end = memchr(line, '\n', size - (size_t)(line - text))); line = end + 1) {
        double moved = moved_in(line, (size_t)(end - line), epoch);
        *out = isfinite(moved) ? moved : *out;
    }
out:
    free(text);
    free(path);
    return st;
}
