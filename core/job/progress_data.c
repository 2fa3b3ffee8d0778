#include "job/progress_data.h"
#include "base/file.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The whole lines of a file from byte *at on, with a zero byte behind them; *at moves to their end. A file that is not there has none. */
static deco_status new_lines(char **out, uint64_t *at, const char *outdir, const char *name)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(outdir, name), *text = NULL;
    uint64_t size = 0;
    int fd = -1;

    *out = NULL;
    if (!path)
        TRY(deco_fail_memory(strlen(outdir), name));
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_file_open(&fd, &size, path));
    if (size <= *at)
        goto out;
    TRY(deco_alloc(&text, (size_t)(size - *at) + 1, 1, path));
    TRY(deco_read_at(fd, path, text, (size_t)(size - *at), *at));
    char *end = memrchr(text, '\n', (size_t)(size - *at));
    if (!end)
        goto out;
    end[1] = 0;
    *at += (uint64_t)(end + 1 - text);
    *out = text;
    text = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(text);
    free(path);
    return st;
}

static double number_of(const cJSON *line, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* Room for one more at the end; *n counts. */
static deco_status grow(void *array, int64_t n, size_t size)
{
    void **p = array, *more;

    if (n & (n - 1)) /* room doubles at powers of two */
        return DECO_OK;
    if (!(more = realloc(*p, (size_t)(n ? 2 * n : 1) * size)))
        return deco_fail_memory((size_t)(2 * n) * size, "the progress page");
    *p = more;
    return DECO_OK;
}

static deco_status take_epoch(progress_data *d, const cJSON *line, int64_t epoch)
{
    deco_status st = DECO_OK;
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(line, "kind");

    while (d->epochs && d->epoch[d->epochs - 1].epoch >= epoch)
        d->epochs--;
    TRY(grow(&d->epoch, d->epochs, sizeof *d->epoch));
    progress_epoch *e = &d->epoch[d->epochs++];
    *e = (progress_epoch){.epoch = epoch,
                          .loss = number_of(line, "loss"),
                          .radius = number_of(line, "radius"),
                          .images_per_s = number_of(line, "images_per_s"),
                          .seconds = number_of(line, "seconds"),
                          .moved_deg = number_of(line, "moved_deg"),
                          .moved_px = number_of(line, "moved_px"),
                          .moved_latents = number_of(line, "moved_latents"),
                          .lr_decoder = number_of(line, "lr_decoder"),
                          .lr_latents = number_of(line, "lr_latents"),
                          .lr_poses = number_of(line, "lr_poses")};
    snprintf(e->kind, sizeof e->kind, "%s", cJSON_IsString(kind) ? kind->valuestring : "");
out:
    return st;
}

static deco_status take_map(progress_data *d, const cJSON *line, int64_t epoch)
{
    deco_status st = DECO_OK;

    while (d->maps && d->map[d->maps - 1].epoch >= epoch)
        d->maps--;
    TRY(grow(&d->map, d->maps, sizeof *d->map));
    d->map[d->maps++] = (progress_map){epoch, number_of(line, "agreement_A")};
out:
    return st;
}

static deco_status take_metric(progress_data *d, const char *text)
{
    deco_status st = DECO_OK;
    cJSON *line = cJSON_Parse(text);
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(line, "event");
    double epoch = number_of(line, "epoch");

    if (!cJSON_IsString(event) || !(fabs(epoch) < 1e15))
        goto out;
    if (!strcmp(event->valuestring, "epoch"))
        TRY(take_epoch(d, line, (int64_t)epoch));
    else if (!strcmp(event->valuestring, "map"))
        TRY(take_map(d, line, (int64_t)epoch));
out:
    cJSON_Delete(line);
    return st;
}

/* "2026-01-31 12:00:00  warning: words" */
static deco_status take_log_line(progress_data *d, const char *line)
{
    const size_t stamp = sizeof "2026-01-31 12:00:00" - 1;
    static const char mark[] = "  warning: ";
    char *words;

    if (strlen(line) <= stamp || strncmp(line + stamp, mark, sizeof mark - 1) != 0)
        return DECO_OK;
    if (!(words = deco_format("%.*s  %s", (int)stamp, line, line + stamp + sizeof mark - 1)))
        return deco_fail_memory(strlen(line), "the progress page");
    if (d->shown == PROGRESS_WARNINGS) {
        free(d->warning[0]);
        memmove(d->warning, d->warning + 1, (PROGRESS_WARNINGS - 1) * sizeof *d->warning);
        d->shown--;
    }
    d->warning[d->shown++] = words;
    d->warnings++;
    return DECO_OK;
}

static deco_status take_lines(progress_data *d, char *text, deco_status (*take)(progress_data *d, const char *line))
{
    deco_status st = DECO_OK;

    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        TRY(take(d, line));
    }
out:
    return st;
}

deco_status progress_data_read(progress_data *d, const char *outdir)
{
    deco_status st = DECO_OK;
    char *metrics = NULL, *log = NULL;

    TRY(new_lines(&metrics, &d->metrics_read, outdir, "metrics.jsonl"));
    TRY(take_lines(d, metrics, take_metric));
    TRY(new_lines(&log, &d->log_read, outdir, "run.log"));
    TRY(take_lines(d, log, take_log_line));
out:
    free(metrics);
    free(log);
    return st;
}

void progress_data_free(progress_data *d)
{
    for (int i = 0; i < d->shown; i++)
        free(d->warning[i]);
    free(d->epoch);
    free(d->map);
    *d = (progress_data){0};
}
