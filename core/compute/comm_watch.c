/* Looks after the other workers on a thread of its own: the first one after all, all after the first. A connection that closes, a worker without
 * a sign of life, one that should work and takes no processor time: each ends the job with one message. */
#include "base/threads.h"
#include "compute/comm_parts.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const double beat_most_s = 0.5, beats_least_s = 10;

/* A worker that works takes at least this share of one core; a thread that only beats takes less. */
static const double working_share = 0.002;

/* ---- frames -------------------------------------------------------------------------------------------------------- */

/* Frames are small: one that does not fit into the connection's buffer goes to a worker that has not read for minutes, and is lost. */
static void send_frame(const comm_peer *p, const comm_frame *f)
{
    const char *at = (const char *)f;
    size_t left = sizeof *f;
    int turns = 0;

    while (p->fd >= 0 && left && turns < 100) {
        ssize_t n = send(p->fd, at, left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (left == sizeof *f)
                return;
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            turns++;
        } else if (errno != EINTR)
            return;
    }
}

static void send_all(const deco_comm *c, const comm_frame *f, int but)
{
    for (int i = 0; i < c->watch.peers; i++)
        if (i != but)
            send_frame(&c->watch.peer[i], f);
}

static double processor_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void beat(deco_comm *c)
{
    comm_frame f = {.kind = COMM_BEAT, .cpu_s = processor_s(), .stops = deco_monitor_stopped(c->m)};

    pthread_mutex_lock(&c->lock);
    f.waiting = c->waiting;
    memcpy(f.at, c->at, sizeof f.at);
    pthread_mutex_unlock(&c->lock);
    send_all(c, &f, -1);
}

/* ---- losses -------------------------------------------------------------------------------------------------------- */

/* The first word stands. The first worker speaks; of a loss of the first the second. */
static void lose(deco_comm *c, deco_status status, bool speak, bool wrote, const char *why)
{
    pthread_mutex_lock(&c->lock);
    bool first = !c->lost;
    if (first) {
        snprintf(c->why, sizeof c->why, "%s", why);
        c->status = status;
        c->said = true;
        c->wrote = wrote;
        c->lost = true;
    }
    pthread_mutex_unlock(&c->lock);
    if (first && speak) {
        deco_monitor_mute(c->m, false);
        deco_log(c->m, DECO_LOG_ERROR, "%s", why);
    }
    if (first && c->m)
        deco_monitor_stop(c->m); /* whatever it does on its own meanwhile */
}

static void lose_peer(deco_comm *c, int i, deco_status status, const char *how)
{
    comm_peer *p = &c->watch.peer[i];
    comm_frame over = {.kind = COMM_LEAVES, .status = (int)status, .wrote = 1};
    char why[DECO_MESSAGE_SIZE];

    snprintf(why, sizeof why, "worker %d of %d (%s) %s; the job ends, its last checkpoint stands. It was at: %s", p->rank, c->size, p->name,
             how, *p->at ? p->at : "its beginning");
    p->left = true;
    lose(c, status, c->rank == (p->rank == 0), true, why);
    send_all(c, &over, i);
}

static void hear(deco_comm *c, int i, const comm_frame *f)
{
    comm_peer *p = &c->watch.peer[i];
    char how[sizeof f->text + 16];

    p->heard = deco_seconds();
    if (f->kind == COMM_BEAT) {
        double worked = f->cpu_s - p->cpu_s;
        if (f->stops) /* a file or a time limit tells the first alone, and a step that can be abandoned must be by all */
            deco_monitor_stop(c->m);
        memcpy(p->at, f->at, sizeof p->at);
        p->at[sizeof p->at - 1] = 0;
        if (f->waiting || worked >= working_share * (p->heard - p->worked)) {
            p->worked = p->heard;
            p->cpu_s = f->cpu_s;
        }
    } else if (f->kind == COMM_FAILED) {
        snprintf(how, sizeof how, "failed: %.*s", (int)sizeof f->text - 1, f->text);
        lose_peer(c, i, (deco_status)f->status, how);
    } else {
        p->left = true;
        if (f->status)
            lose(c, (deco_status)f->status, false, f->wrote, "the first worker ended the job");
    }
}

/* What there is to read of one. */
static void read_peer(deco_comm *c, int i)
{
    comm_peer *p = &c->watch.peer[i];
    comm_frame f;
    ssize_t n = recv(p->fd, &f, sizeof f, MSG_WAITALL);

    if (n == (ssize_t)sizeof f) {
        hear(c, i, &f);
        return;
    }
    if (n < 0 && errno == EINTR)
        return;
    if (!p->left)
        lose_peer(c, i, DECO_E_DEVICE, "is gone: it was killed, or its host is away");
    close(p->fd);
    p->fd = -1;
}

/* Reading may wait minutes for a file server that starts again; beats wait for nothing, and a process without them is stopped or its host hangs. */
static double silence_of(double timeout) { return fmin(timeout, fmax(beats_least_s, timeout / 5)); }

/* Signs of life come `every` so many seconds. */
static void look_after(deco_comm *c, double every)
{
    double now = deco_seconds(), idle = c->watch.silent_s, silent = silence_of(idle);
    char how[160];

    for (int i = 0; i < c->watch.peers; i++) {
        comm_peer *p = &c->watch.peer[i];
        if (p->left || p->fd < 0)
            continue;
        if (now - p->heard > silent)
            snprintf(how, sizeof how, "gives no sign of life for %.0f s: it is stopped, or its host hangs", now - p->heard);
        else if (now - p->worked > idle && now - p->heard < 1.5 * every) /* one that is silent too may be stopped: that will show */
            snprintf(how, sizeof how, "hangs: it waits for none, and took no processor time for %.0f s", now - p->worked);
        else
            continue;
        lose_peer(c, i, DECO_E_DEVICE, how);
    }
}

/* ---- the thread ---------------------------------------------------------------------------------------------------- */

static void *watch_main(void *argument)
{
    deco_comm *c = argument;
    comm_watch *w = &c->watch;
    double every = fmin(beat_most_s, w->silent_s / 4), due = 0, before = deco_seconds();
    struct pollfd *p = calloc((size_t)w->peers + 1, sizeof *p);

    while (p) {
        double now = deco_seconds();
        if (now - before > 2 * every + 1) /* we were stopped ourselves: what the others said meanwhile has to be read first */
            for (int i = 0; i < w->peers; i++)
                w->peer[i].heard = w->peer[i].worked = now;
        before = now;
        if (now >= due) {
            beat(c);
            due = now + every;
        }
        for (int i = 0; i < w->peers; i++)
            p[i] = (struct pollfd){.fd = w->peer[i].fd, .events = POLLIN};
        p[w->peers] = (struct pollfd){.fd = w->wake[0], .events = POLLIN};
        int n = poll(p, (nfds_t)w->peers + 1, (int)ceil(1000 * fmax(0, due - now)));
        if (n > 0 && p[w->peers].revents)
            break;
        for (int i = 0; n > 0 && i < w->peers; i++)
            if (p[i].revents)
                read_peer(c, i);
        look_after(c, every);
    }
    free(p);
    return NULL;
}

static void close_all(comm_watch *w)
{
    for (int i = 0; i < w->peers; i++)
        if (w->peer[i].fd >= 0)
            close(w->peer[i].fd);
    for (int i = 0; i < 2; i++)
        if (w->wake[i] > 0)
            close(w->wake[i]);
}

deco_status comm_watch_begin(deco_comm *c, const int *fd, const char *names, size_t name_size, double silent_s)
{
    deco_status st = DECO_OK;
    comm_watch *w = &c->watch;

    w->silent_s = silent_s;
    TRY(deco_alloc(&w->peer, (size_t)c->size, sizeof *w->peer, "the watch over the workers"));
    for (int i = 0; i < c->size; i++) {
        if (i == c->rank || fd[i] < 0)
            continue;
        comm_peer *p = &w->peer[w->peers++];
        p->fd = fd[i], p->rank = i;
        p->heard = p->worked = deco_seconds();
        snprintf(p->name, sizeof p->name, "%s", names + (size_t)i * name_size);
    }
    if (pipe(w->wake))
        TRY(deco_fail_errno(DECO_E_MEMORY, "no pipe for the watch over the workers"));
    TRY(deco_thread_start(&w->thread, watch_main, c, "a thread for the watch over the workers"));
    w->running = true;
out:
    if (st)
        close_all(w);
    return st;
}

void comm_watch_end(deco_comm *c, deco_status st, bool wrote)
{
    comm_watch *w = &c->watch;
    bool failed = st && st != DECO_E_STOPPED, first = c->rank == 0;
    comm_frame f = {.kind = failed && !first ? COMM_FAILED : COMM_LEAVES, .status = first || failed ? (int)st : 0, .wrote = wrote};

    if (w->running) {
        char one = 1;
        while (write(w->wake[1], &one, 1) < 0 && errno == EINTR)
            ;
        pthread_join(w->thread, NULL);
        w->running = false;
    }
    if (c->lost)
        f.kind = COMM_LEAVES; /* it is known */
    snprintf(f.text, sizeof f.text, "%s", f.kind == COMM_FAILED ? deco_error() : "");
    send_all(c, &f, -1);
    close_all(w);
    w->peers = 0;
}
