/* OUTDIR/run.lock: a lock of the file system, which goes with its process however that ends; the name of its owner for people; and its time,
 * moved on while the owner lives, for those on other hosts, who see neither. */
#include "job/lock.h"
#include "base/file.h"
#include "base/grip.h"
#include "base/ticker.h"
#include "job/forecast.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

double deco_lock_beat_s = 30;
/* An owner of whom no sign came for so many seconds does not live, or its host is away. */
enum { STALE = 300 };

struct deco_lock {
    int fd;
    char *path;
    deco_monitor *m;
    deco_ticker *heart; /* NULL: other hosts see the lock grow stale, and still do not take it */
};

typedef struct owner {
    char host[sizeof((struct utsname *)0)->nodename];
    long long pid; /* 0: the file names nobody */
} owner;

static owner myself(void)
{
    owner o = {.pid = getpid()};
    struct utsname u;

    if (!uname(&u))
        snprintf(o.host, sizeof o.host, "%s", u.nodename);
    return o;
}

static owner read_owner(int fd)
{
    owner o = {0};
    char text[sizeof o.host + 32], format[24];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = 0;
    snprintf(format, sizeof format, "%%%zus %%lld", sizeof o.host - 1);
    if (sscanf(text, format, o.host, &o.pid) != 2)
        o = (owner){0};
    return o;
}

static deco_status write_owner(const deco_lock *l, const owner *o)
{
    char text[sizeof o->host + 32];
    int n = snprintf(text, sizeof text, "%s %lld\n", o->host, o->pid);

    if (ftruncate(l->fd, 0) || pwrite(l->fd, text, (size_t)n, 0) != n || fsync(l->fd))
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be written", l->path);
    return DECO_OK;
}

/* The file system's own clock, read off a file made there: hosts' clocks differ. Negative: not known. */
static double age_of(const deco_lock *l)
{
    char *probe = deco_format("%s.%lld", l->path, (long long)getpid());
    int fd = probe ? open(probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    struct stat now, then;
    double age = -1;

    if (fd >= 0) {
        if (write(fd, "\n", 1) == 1 && !fsync(fd) && !fstat(fd, &now) && !fstat(l->fd, &then))
            age = difftime(now.st_mtime, then.st_mtime);
        close(fd);
        unlink(probe);
    }
    free(probe);
    return age;
}

static deco_status refuse_foreign(const deco_lock *l, const owner *was, const owner *me)
{
    double age = age_of(l);

    if (age >= 0 && age < STALE)
        return deco_fail(DECO_E_FILE,
                         "%s: process %lld on host %s works in this directory (a sign of life %.0f s ago); wait for it, or give another "
                         "outdir. If you know that it was killed, remove this file and start again",
                         l->path, was->pid, was->host, age);
    return deco_fail(
        DECO_E_FILE,
        "%s: stale: process %lld on host %s gave no sign of life for %s. It was killed, or its host is away: nobody can see that "
        "from %s. If it does not run any more, remove this file and start again",
        l->path, was->pid, was->host, age < 0 ? "an unknown time" : deco_time_text(age), me->host);
}

static deco_status judge(bool *held, const deco_lock *l, deco_grip g, deco_monitor *m)
{
    owner was = read_owner(l->fd), me = myself();
    bool here = !strcmp(was.host, me.host);

    *held = true;
    if (g == DECO_GRIP_HELD && !was.pid) /* it has not got to writing its name */
        return deco_fail(DECO_E_FILE, "%s: another process works in this directory; wait for it, or give another outdir", l->path);
    if (g == DECO_GRIP_HELD ||
        (g == DECO_GRIP_NO_LOCKS && here && was.pid != me.pid && was.pid && (!kill((pid_t)was.pid, 0) || errno == EPERM)))
        return deco_fail(DECO_E_FILE, "%s: process %lld on host %s works in this directory; wait for it, or give another outdir", l->path,
                         was.pid, was.host);
    if (was.pid && !here)
        return refuse_foreign(l, &was, &me);
    if (was.pid)
        deco_info(m, "%s is taken over from process %lld, which was killed", l->path, was.pid);
    *held = false;
    return write_owner(l, &me);
}

/* Somebody took the file away, for a new owner perhaps: two must not train here. */
static bool beat(void *context)
{
    deco_lock *l = context;

    if (!deco_grip_is_gone(l->fd, l->path)) {
        futimens(l->fd, NULL);
        return true;
    }
    deco_warn(l->m, "%s was taken away while this process works here: it stops, as another one may begin", l->path);
    if (l->m)
        deco_monitor_stop(l->m);
    return false;
}

static void let_go(deco_lock *l)
{
    deco_ticker_stop(l->heart);
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    free(l);
}

/* *held: it failed because another process has it. */
static deco_status take(deco_lock **out, bool *held, const char *outdir, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_lock *l = NULL;
    deco_grip g;

    *out = NULL;
    *held = false;
    TRY(deco_alloc(&l, 1, sizeof *l, "a lock"));
    l->fd = -1;
    l->m = m;
    if (!(l->path = deco_path_join(outdir, "run.lock")))
        TRY(deco_fail_memory(strlen(outdir), "a file's name"));
    do {
        if (l->fd >= 0)
            close(l->fd);
        if ((l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
            TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be written", l->path));
        g = deco_grip_try(l->fd, true);
    } while (g == DECO_GRIP_TAKEN && deco_grip_is_gone(l->fd, l->path));
    TRY(judge(held, l, g, m));
    l->heart = deco_ticker_start(deco_lock_beat_s, beat, l);
    *out = l;
    l = NULL;
out:
    if (l)
        let_go(l);
    return st;
}

deco_status deco_lock_take(deco_lock **out, const char *outdir, deco_monitor *m)
{
    bool held;
    return take(out, &held, outdir, m);
}

deco_status deco_lock_take_if_free(deco_lock **out, const char *outdir, deco_monitor *m)
{
    bool held;
    deco_status st = take(out, &held, outdir, m);
    return held ? DECO_OK : st;
}

void deco_lock_release(deco_lock *l)
{
    if (!l)
        return;
    if (!deco_grip_is_gone(l->fd, l->path))
        unlink(l->path); /* while it is still ours */
    let_go(l);
}
