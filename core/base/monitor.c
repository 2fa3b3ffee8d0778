/* Log, metrics, progress and the stop flag of one job. */
#include "base/monitor.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/threads.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double first_after = 5, every_on_terminal = 1, every_elsewhere = 30;

/* A file that grows by whole lines; before it has a place the lines wait in memory. */
typedef struct lines {
    int fd; /* -1: none yet */
    char *waiting;
    size_t used;
    bool broken; /* could not be written once: said, and left alone from then on */
} lines;

struct deco_monitor {
    atomic_bool stop, checkpoint;
    atomic_bool terminal, mute;
    pthread_mutex_t lock; /* everything below, and the sink's turn */
    deco_log_sink sink;
    void *user;
    lines log, metrics;

    pthread_t ticker; /* says the progress line when it is due, however long one step takes */
    pthread_cond_t wake;
    bool ticking, closing, active, shown;
    char what[128], unit[32];
    int64_t total;
    _Atomic int64_t done;
    double began, due_sink, due_log;
};

double deco_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

deco_status deco_monitor_create(deco_monitor **out, deco_log_sink sink, void *user)
{
    deco_status st = deco_alloc(out, 1, sizeof **out, "monitor");
    pthread_condattr_t attributes;

    if (st)
        return st;
    deco_monitor *m = *out;
    atomic_init(&m->stop, false);
    atomic_init(&m->checkpoint, false);
    atomic_init(&m->terminal, false);
    atomic_init(&m->mute, false);
    atomic_init(&m->done, 0);
    m->sink = sink;
    m->user = user;
    m->log.fd = m->metrics.fd = -1;
    m->due_sink = m->due_log = INFINITY;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return DECO_OK;
}

static void lines_close(lines *l)
{
    if (l->fd >= 0)
        close(l->fd);
    free(l->waiting);
}

void deco_monitor_free(deco_monitor *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (m->ticking)
        pthread_join(m->ticker, NULL);
    lines_close(&m->log);
    lines_close(&m->metrics);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void deco_monitor_set_terminal(deco_monitor *m, bool terminal)
{
    if (m)
        atomic_store(&m->terminal, terminal);
}

/* One store to a lock-free atomic: all that a signal handler may do. */
void deco_monitor_stop(deco_monitor *m)
{
    if (m)
        atomic_store(&m->stop, true);
}

void deco_monitor_mute(deco_monitor *m, bool mute)
{
    if (m)
        atomic_store(&m->mute, mute);
}

bool deco_monitor_stopped(const deco_monitor *m) { return m && atomic_load(&m->stop); }

void deco_monitor_checkpoint(deco_monitor *m)
{
    if (m)
        atomic_store(&m->checkpoint, true);
}

bool deco_monitor_checkpoint_asked(deco_monitor *m) { return m && atomic_exchange(&m->checkpoint, false); }

/* ---- lines ---- */

static void to_sink(deco_monitor *m, deco_level level, const char *line)
{
    if (m->sink)
        m->sink(m->user, level, line);
}

/* One write a line, so that a kill leaves no half line. */
static void append(deco_monitor *m, lines *l, const char *text, size_t n)
{
    if (l->fd < 0) {
        char *more = realloc(l->waiting, l->used + n);
        if (!more)
            return;
        memcpy(more + l->used, text, n);
        l->waiting = more;
        l->used += n;
        return;
    }
    while (n && !l->broken) {
        ssize_t k = write(l->fd, text, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            char words[160];
            l->broken = true;
            snprintf(words, sizeof words, "%s cannot be written any more: %s", l == &m->log ? "run.log" : "metrics.jsonl", strerror(errno));
            to_sink(m, DECO_LOG_WARNING, words);
            return;
        }
        text += k;
        n -= (size_t)k;
    }
}

static void to_log(deco_monitor *m, deco_level level, const char *line, size_t n)
{
    static const char *const marks[] = {"debug: ", "", "warning: ", "error: ", ""};
    char stamp[40];
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    char *text = deco_format("%s  %s%.*s\n", stamp, marks[level], (int)n, line);
    if (text)
        append(m, &m->log, text, strlen(text));
    free(text);
}

void deco_log(deco_monitor *m, deco_level level, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    if (!m || atomic_load(&m->mute))
        return;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        return;
    pthread_mutex_lock(&m->lock);
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        to_sink(m, level, line);
        to_log(m, level, line, strlen(line));
        if (next && !*next)
            break;
    }
    pthread_mutex_unlock(&m->lock);
    free(text);
}

void deco_metric(deco_monitor *m, const char *event, cJSON *fields)
{
    struct timespec t;
    cJSON *whole = m && !atomic_load(&m->mute) ? cJSON_CreateObject() : NULL;
    char *text = NULL, *line = NULL;

    if (!whole)
        goto out;
    clock_gettime(CLOCK_REALTIME, &t);
    cJSON_AddNumberToObject(whole, "time", (double)t.tv_sec + 1e-3 * floor(1e-6 * (double)t.tv_nsec));
    cJSON_AddStringToObject(whole, "event", event);
    while (fields && fields->child) {
        cJSON *item = cJSON_DetachItemViaPointer(fields, fields->child);
        cJSON_AddItemToObject(whole, item->string, item);
    }
    text = cJSON_PrintUnformatted(whole);
    line = text ? deco_format("%s\n", text) : NULL;
    if (line) {
        pthread_mutex_lock(&m->lock);
        append(m, &m->metrics, line, strlen(line));
        pthread_mutex_unlock(&m->lock);
    }
out:
    free(line);
    cJSON_free(text);
    cJSON_Delete(whole);
    cJSON_Delete(fields);
}

/* A run that was killed may have left half a line: the next one begins on its own. */
static deco_status open_for_append(int *fd, const char *outdir, const char *name)
{
    deco_status st = DECO_OK;
    char last, *path = deco_path_join(outdir, name);

    *fd = path ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (!path)
        st = deco_fail_memory(strlen(outdir), name);
    else if (*fd < 0)
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be written", path);
    else {
        off_t end = lseek(*fd, 0, SEEK_END);
        if (end > 0 && pread(*fd, &last, 1, end - 1) == 1 && last != '\n' && write(*fd, "\n", 1) != 1)
            st = deco_fail_errno(DECO_E_FILE, "%s: cannot be written", path);
    }
    if (st && *fd >= 0)
        close(*fd);
    free(path);
    return st;
}

static void begin_file(deco_monitor *m, lines *l, int fd)
{
    char *waiting = l->waiting;
    size_t n = l->used;

    l->fd = fd;
    l->waiting = NULL;
    l->used = 0;
    append(m, l, waiting, n);
    free(waiting);
}

deco_status deco_monitor_attach(deco_monitor *m, const char *outdir)
{
    deco_status st = DECO_OK;
    int log, metrics;

    if (!m)
        return DECO_OK;
    TRY(open_for_append(&log, outdir, "run.log"));
    st = open_for_append(&metrics, outdir, "metrics.jsonl");
    if (st) {
        close(log);
        goto out;
    }
    pthread_mutex_lock(&m->lock);
    lines_close(&(lines){.fd = m->log.fd});
    lines_close(&(lines){.fd = m->metrics.fd});
    begin_file(m, &m->log, log);
    begin_file(m, &m->metrics, metrics);
    pthread_mutex_unlock(&m->lock);
out:
    return st;
}

/* ---- progress ---- */

/* Under the lock. A terminal gets a line a second; the file does not, or it would be nothing else. */
static void say_progress(deco_monitor *m, double now, bool last)
{
    char words[256];
    double gap = atomic_load(&m->terminal) ? every_on_terminal : every_elsewhere;
    bool sink = last ? m->shown : now >= m->due_sink, log = !last && now >= m->due_log;

    if (!sink && !log)
        return;
    deco_progress_words(words, sizeof words, m->what, m->unit, atomic_load(&m->done), m->total, now - m->began);
    if (sink) {
        to_sink(m, DECO_LOG_PROGRESS, words);
        m->due_sink = now + gap;
        m->shown = true;
    }
    if (log) {
        to_log(m, DECO_LOG_PROGRESS, words, strlen(words));
        m->due_log = now + every_elsewhere;
    }
}

static void *ticker_main(void *argument)
{
    deco_monitor *m = argument;

    pthread_mutex_lock(&m->lock);
    while (!m->closing) {
        if (!m->active) {
            pthread_cond_wait(&m->wake, &m->lock);
            continue;
        }
        double now = deco_seconds(), due = fmin(m->due_sink, m->due_log);
        if (now >= due) {
            say_progress(m, now, false);
            continue;
        }
        struct timespec until = {.tv_sec = (time_t)due, .tv_nsec = (long)(1e9 * (due - floor(due)))};
        pthread_cond_timedwait(&m->wake, &m->lock, &until);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void start_ticker(deco_monitor *m)
{
    /* Without it there is no progress line: no reason to fail. */
    m->ticking = !deco_thread_start(&m->ticker, ticker_main, m, "a thread for the progress line");
}

void deco_progress_begin(deco_monitor *m, const char *what, int64_t total, const char *unit)
{
    if (!m || atomic_load(&m->mute))
        return;
    pthread_mutex_lock(&m->lock);
    double now = deco_seconds();
    snprintf(m->what, sizeof m->what, "%s", what);
    snprintf(m->unit, sizeof m->unit, "%s", unit);
    m->total = total;
    atomic_store(&m->done, 0);
    m->began = now;
    m->shown = false;
    m->active = true;
    /* Counted from the first begin: epochs shorter than the gap must not put it off for ever. */
    if (m->due_log > now + every_elsewhere) {
        m->due_sink = now + (atomic_load(&m->terminal) ? every_on_terminal : first_after);
        m->due_log = now + first_after;
    }
    if (!m->ticking)
        start_ticker(m);
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
}

void deco_progress_add(deco_monitor *m, int64_t done)
{
    if (m)
        atomic_fetch_add(&m->done, done);
}

void deco_progress_end(deco_monitor *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    if (m->active)
        say_progress(m, deco_seconds(), true);
    m->active = false;
    pthread_mutex_unlock(&m->lock);
}

bool deco_monitor_progress(deco_progress *out, deco_monitor *m)
{
    *out = (deco_progress){0};
    if (!m)
        return false;
    pthread_mutex_lock(&m->lock);
    if (m->active) {
        *out = (deco_progress){.done = atomic_load(&m->done), .total = m->total, .seconds = deco_seconds() - m->began};
        memcpy(out->what, m->what, sizeof out->what);
        memcpy(out->unit, m->unit, sizeof out->unit);
    }
    bool active = m->active;
    pthread_mutex_unlock(&m->lock);
    return active;
}
