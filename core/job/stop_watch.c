#include "job/stop_watch.h"
#include "base/file.h"
#include "base/ticker.h"
#include "job/forecast.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const double look_every_s = 1; /* on a network file system a look takes time */
static const double slurm_spare_s = 60;

struct deco_stop_watch {
    deco_monitor *m;
    char *stop_file;
    struct stat stale;         /* of the one that was there before; its st_ino 0: none was */
    double end;                /* by deco_seconds; INFINITY: none */
    const char *of;            /* whose end that is */
    _Atomic double checkpoint; /* seconds that the last one took */
    deco_ticker *ticker;
};

/* Seconds until Slurm ends the job; INFINITY where it does not say. */
static double slurm_left(void)
{
    const char *text = getenv("SLURM_JOB_END_TIME");
    char *behind;
    double end = text ? strtod(text, &behind) : 0;

    if (!text || behind == text || *behind || !(end > 0))
        return INFINITY;
    return end - (double)time(NULL) - slurm_spare_s;
}

static void set_end(deco_stop_watch *w, double hours)
{
    double slurm = slurm_left(), given = hours > 0 ? 3600 * hours : INFINITY;

    w->end = deco_seconds() + fmin(slurm, given);
    w->of = slurm < given ? "the end of the Slurm job" : "max_hours";
    if (isfinite(w->end))
        deco_info(w->m, "the run stops with a checkpoint in %s at the latest (%s); --resume auto goes on with it",
                  deco_time_text(fmax(0, fmin(slurm, given))), w->of);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Until there is a reason to stop. */
static bool look(void *context)
{
    deco_stop_watch *w = context;
    struct stat now;

    if (deco_seconds() >= w->end - 2 * atomic_load(&w->checkpoint)) {
        deco_warn(w->m, "stopping: %s is near", w->of);
    } else if (!stat(w->stop_file, &now) && !is_same(&now, &w->stale)) {
        deco_info(w->m, "stopping: %s is there", w->stop_file);
    } else {
        return true;
    }
    deco_monitor_stop(w->m);
    return false;
}

deco_status deco_stop_watch_begin(deco_stop_watch **out, const char *stop_file, double hours, deco_monitor *m)
{
    deco_stop_watch *w = calloc(1, sizeof *w);

    *out = NULL;
    if (!w || !(w->stop_file = strdup(stop_file))) {
        free(w);
        return deco_fail_memory(sizeof *w, "the watch for a stop");
    }
    w->m = m;
    if (stat(stop_file, &w->stale))
        memset(&w->stale, 0, sizeof w->stale);
    set_end(w, hours);
    w->ticker = deco_ticker_start(look_every_s, look, w);
    if (!w->ticker)
        deco_warn(m, "no thread can be started that looks for %s and for the end of the time: signals still stop the run", stop_file);
    *out = w;
    return DECO_OK;
}

void deco_stop_watch_end(deco_stop_watch *w)
{
    if (!w)
        return;
    deco_ticker_stop(w->ticker);
    free(w->stop_file);
    free(w);
}

void deco_stop_watch_checkpoint(deco_stop_watch *w, double seconds)
{
    if (w)
        atomic_store(&w->checkpoint, seconds);
}
