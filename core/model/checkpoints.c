/* The checkpoints of a run, told by their names. */
#include "model/checkpoints.h"
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LAST_KEPT = 2, TRIES = 8 };

/* sscanf takes more than it should ("weights.+1", "weights.012"), so the name is made again and compared. */
static bool parse(deco_checkpoint *c, const char *name)
{
    char again[96];

    *c = (deco_checkpoint){0};
    if (sscanf(name, "weights.%" SCNd64, &c->epoch) == 1) {
        c->phase_end = true;
        snprintf(again, sizeof again, "weights.%" PRId64 ".safetensors", c->epoch);
    } else if (sscanf(name, "checkpoint.%" SCNd64 ".%" SCNd64, &c->epoch, &c->step) == 2) {
        snprintf(again, sizeof again, "checkpoint.%" PRId64 ".%" PRId64 ".safetensors", c->epoch, c->step);
        c->epoch--;
    } else
        return false;
    return !strcmp(again, name) && c->step >= 0;
}

bool deco_checkpoint_position_of_name(int64_t *epoch, int64_t *step, const char *name)
{
    static const char *const kinds[] = {"conf.", "pose.", "rotation.", "shift.", "reconstruct.", "analysis_"};
    deco_checkpoint c;

    if (parse(&c, name)) {
        *epoch = c.epoch, *step = c.step;
        return true;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i]);
        if (strncmp(name, kinds[i], n) != 0)
            continue;
        *step = 0;
        int numbers = sscanf(name + n, "%" SCNd64 ".%" SCNd64, epoch, step);
        if (numbers == 2) /* inside the epoch */
            --*epoch;
        if (numbers >= 1)
            return true;
    }
    return false;
}

static int newest_first(const void *left, const void *right)
{
    const deco_checkpoint *a = left, *b = right;

    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? 1 : -1;
    if (a->step != b->step)
        return a->step < b->step ? 1 : -1;
    return b->phase_end - a->phase_end; /* the same state twice: the one that stays */
}

void deco_checkpoints_free(deco_checkpoint *list, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        free(list[i].path);
    free(list);
}

static deco_status append(deco_checkpoint **list, int64_t *count, const deco_checkpoint *c, const char *folder, const char *name)
{
    deco_checkpoint *more = realloc(*list, (size_t)(*count + 1) * sizeof *more);

    if (!more)
        return deco_fail_memory((size_t)*count * sizeof *more, "the list of checkpoints");
    *list = more;
    more[*count] = *c;
    if (!(more[*count].path = deco_path_join(folder, name)))
        return deco_fail_memory(strlen(folder), "a file's name");
    ++*count;
    return DECO_OK;
}

deco_status deco_checkpoints_list(deco_checkpoint **list, int64_t *count, const char *outdir)
{
    deco_status st = DECO_OK;
    char *folder = deco_path_join(outdir, "out");
    DIR *d = folder ? opendir(folder) : NULL;
    deco_checkpoint c;

    *list = NULL;
    *count = 0;
    if (!folder)
        TRY(deco_fail_memory(strlen(outdir), "a folder's name"));
    if (!d && errno != ENOENT)
        TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be read", folder));
    for (struct dirent *e; d && (e = readdir(d));)
        if (parse(&c, e->d_name))
            TRY(append(list, count, &c, folder, e->d_name));
    if (*count)
        qsort(*list, (size_t)*count, sizeof **list, newest_first);
out:
    if (st) {
        deco_checkpoints_free(*list, *count);
        *list = NULL;
        *count = 0;
    }
    if (d)
        closedir(d);
    free(folder);
    return st;
}

char *deco_checkpoint_place(const char *outdir, const deco_position *at)
{
    return deco_format("%s/out/checkpoint.%" PRId64 ".%" PRId64 ".safetensors", outdir, at->epoch + 1, at->step);
}

void deco_checkpoints_thin(const char *outdir)
{
    deco_checkpoint *list;
    int64_t count;

    if (deco_checkpoints_list(&list, &count, outdir)) /* the next one tries again */
        return;
    for (int64_t i = LAST_KEPT; i < count; i++)
        if (!list[i].phase_end)
            unlink(list[i].path);
    deco_checkpoints_free(list, count);
}

static bool is_older(const deco_checkpoint *c, const deco_position *at)
{
    return !at || c->epoch < at->epoch || (c->epoch == at->epoch && c->step < at->step);
}

deco_status deco_checkpoints_read_newest(deco_model **out, deco_position *at, deco_device *dev, const char *outdir,
                                         const deco_position *before, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_checkpoint *list;
    int64_t count, i;
    bool gone = true;

    *out = NULL;
    for (int tries = 0; tries < TRIES && gone; tries++) {
        TRY(deco_checkpoints_list(&list, &count, outdir));
        gone = false;
        for (i = 0; i < count && !is_older(&list[i], before);)
            i++;
        for (; i < count && !gone; i++) {
            st = deco_checkpoint_read(out, at, dev, list[i].path, DECO_READ_ALL);
            gone = st == DECO_E_FILE && !deco_path_exists(list[i].path); /* thinned by a run under way, which has newer ones by now */
            if (st != DECO_E_FORMAT)
                break;
            if (i + 1 < count)
                deco_warn(m, "%s; going on from the one before", deco_error());
        }
        deco_checkpoints_free(list, count);
    }
out:
    return st;
}
