/* Sums, gathers and agreements, all made of one exchange of blocks. */
#include "compute/comm_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int deco_comm_rank(const deco_comm *c) { return c ? c->rank : 0; }
int deco_comm_size(const deco_comm *c) { return c ? c->size : 1; }
int deco_comm_threads(const deco_comm *c) { return c ? c->threads : 0; }
int deco_comm_here(const deco_comm *c) { return c ? c->here : 1; }
const char *deco_comm_words(const deco_comm *c) { return c ? c->words : "one worker"; }
double deco_comm_sent(const deco_comm *c) { return c ? c->sent : 0; }

int64_t deco_comm_part(int64_t *from, const deco_comm *c, int rank, int64_t n, int64_t whole)
{
    int64_t size = deco_comm_size(c), each = (whole + size - 1) / size, begin = rank * each, end = begin + each;

    *from = begin < n ? begin : n;
    return (end < n ? end : n) - *from;
}

void deco_comm_at(deco_comm *c, const char *format, ...)
{
    va_list args;

    if (!c)
        return;
    va_start(args, format);
    pthread_mutex_lock(&c->lock);
    vsnprintf(c->at, sizeof c->at, format, args);
    pthread_mutex_unlock(&c->lock);
    va_end(args);
}

/* ---- the end of a job --------------------------------------------------------------------------------------------- */

deco_status deco_comm_check(deco_comm *c)
{
    deco_status st = DECO_OK;

    if (!c)
        return DECO_OK;
    pthread_mutex_lock(&c->lock);
    if (c->lost) {
        st = c->status;
        deco_error_set(c->why);
    }
    pthread_mutex_unlock(&c->lock);
    return st;
}

/* One of the watch's words; it may be writing them. */
static bool is_known(deco_comm *c, const bool *what)
{
    if (!c)
        return false;
    pthread_mutex_lock(&c->lock);
    bool known = c->lost && *what;
    pthread_mutex_unlock(&c->lock);
    return known;
}

bool deco_comm_said(deco_comm *c) { return is_known(c, c ? &c->said : NULL); }
bool deco_comm_wrote(deco_comm *c) { return is_known(c, c ? &c->wrote : NULL); }

static bool is_over(void *context)
{
    deco_comm *c = context;

    pthread_mutex_lock(&c->lock);
    bool lost = c->lost;
    pthread_mutex_unlock(&c->lock);
    return lost;
}

static void wait_for(deco_comm *c, const char *what)
{
    pthread_mutex_lock(&c->lock);
    c->waiting = what != NULL;
    if (what) {
        memcpy(c->before, c->at, sizeof c->at);
        snprintf(c->at, sizeof c->at, "%.60s, in %.50s", c->before, what);
    } else
        memcpy(c->at, c->before, sizeof c->at);
    pthread_mutex_unlock(&c->lock);
}

/* A transport that broke knows less than the watch, which is about to hear of it: a worker that died closed both. */
static deco_status broken(deco_comm *c, const char *what)
{
    double until = deco_seconds() + 5;

    while (!is_over(c) && deco_seconds() < until)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    deco_status st = deco_comm_check(c);
    return st ? st : deco_fail(DECO_E_DEVICE, "worker %d of %d: %s: %s", c->rank, c->size, what, c->transport->message);
}

static deco_status exchange(deco_comm *c, const deco_parcel *out, const deco_parcel *in, const char *what)
{
    deco_status st = deco_comm_check(c);

    if (st)
        return st;
    wait_for(c, what);
    bool done = c->transport->exchange(c->transport, out, in, is_over, c);
    wait_for(c, NULL);
    for (int i = 0; done && i < c->size; i++)
        c->sent += i == c->rank ? 0 : (double)out[i].bytes;
    return done ? DECO_OK : broken(c, what);
}

/* ---- what all do together ------------------------------------------------------------------------------------------ */

/* Room for a call, kept. */
static deco_status make_room(deco_comm *c, size_t bytes)
{
    deco_status st = DECO_OK;

    if (bytes <= c->room_bytes)
        return DECO_OK;
    free(c->room);
    c->room = NULL;
    c->room_bytes = 0;
    TRY(deco_alloc(&c->room, bytes, 1, "what the workers tell one another"));
    c->room_bytes = bytes;
out:
    return st;
}

static int64_t segment(const deco_comm *c, int64_t n, int i) { return n / c->size * i + (n % c->size < i ? n % c->size : i); }

/* Each worker adds up a segment of x, then all tell theirs. What is sent is rounded before it is added, the worker's own part as well: so
 * everyone's sum is of the same numbers. */
deco_status deco_comm_sum(deco_comm *c, float *x, int64_t n, double weight, const char *what)
{
    deco_status st = DECO_OK;
    size_t f = sizeof *x;

    if (!c || !n)
        return DECO_OK;
    deco_parcel *out = c->parcel, *in = out + c->size;
    int64_t mine = segment(c, n, c->rank), count = segment(c, n, c->rank + 1) - mine;
    TRY(make_room(c, (size_t)count * (size_t)c->size * f));
    float *room = c->room;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(weight * (double)x[i]);
    for (int i = 0; i < c->size; i++) {
        c->first[i] = (size_t)segment(c, n, i) * f;
        out[i] = (deco_parcel){x + segment(c, n, i), (size_t)(segment(c, n, i + 1) - segment(c, n, i)) * f};
        in[i] = (deco_parcel){room + (int64_t)i * count, (size_t)count * f};
    }
    c->first[c->size] = (size_t)n * f;
    TRY(exchange(c, out, in, what));
    memcpy(room + (int64_t)c->rank * count, x + mine, (size_t)count * f);
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int g = 0; g < c->size; g++)
            sum += (double)room[g * count + i];
        x[mine + i] = (float)sum;
    }
    TRY(deco_comm_gather(c, x, c->first, what));
out:
    return st;
}

deco_status deco_comm_gather(deco_comm *c, void *x, const size_t *first, const char *what)
{
    unsigned char *at = x;

    if (!c)
        return DECO_OK;
    deco_parcel *out = c->parcel, *in = out + c->size;
    for (int i = 0; i < c->size; i++) {
        out[i] = (deco_parcel){at + first[c->rank], first[c->rank + 1] - first[c->rank]};
        in[i] = (deco_parcel){at + first[i], first[i + 1] - first[i]};
    }
    return exchange(c, out, in, what);
}

/* As many bytes from each, into `all` [size,bytes]. */
static deco_status gather_equal(deco_comm *c, void *all, size_t bytes, const char *what)
{
    for (int i = 0; i <= c->size; i++)
        c->first[i] = (size_t)i * bytes;
    return deco_comm_gather(c, all, c->first, what);
}

deco_status deco_comm_sum_doubles(deco_comm *c, double *x, int64_t n, const char *what)
{
    deco_status st = DECO_OK;

    if (!c || !n)
        return DECO_OK;
    TRY(make_room(c, (size_t)n * (size_t)c->size * sizeof *x));
    double *all = c->room;
    memcpy(all + c->rank * n, x, (size_t)n * sizeof *x);
    TRY(gather_equal(c, all, (size_t)n * sizeof *x, what));
    for (int64_t i = 0; i < n; i++) {
        x[i] = 0;
        for (int g = 0; g < c->size; g++)
            x[i] += all[g * n + i];
    }
out:
    return st;
}

deco_status deco_comm_any(deco_comm *c, unsigned *bits, const char *what)
{
    deco_status st = DECO_OK;

    if (!c)
        return DECO_OK;
    TRY(make_room(c, (size_t)c->size * sizeof *bits));
    unsigned *all = c->room;
    all[c->rank] = *bits;
    TRY(gather_equal(c, all, sizeof *all, what));
    for (int g = 0; g < c->size; g++)
        *bits |= all[g];
out:
    return st;
}

/* Over a chain of halves: each one that has it tells another one, so that 64 workers take 6 turns. */
deco_status deco_comm_share(deco_comm *c, void *x, size_t bytes, const char *what)
{
    deco_status st = DECO_OK;

    if (!c)
        return DECO_OK;
    deco_parcel *out = c->parcel, *in = out + c->size;
    for (int reach = 1; reach < c->size; reach *= 2) {
        memset(out, 0, 2 * (size_t)c->size * sizeof *out);
        if (c->rank < reach && c->rank + reach < c->size)
            out[c->rank + reach] = (deco_parcel){x, bytes};
        if (c->rank >= reach && c->rank < 2 * reach)
            in[c->rank - reach] = (deco_parcel){x, bytes};
        TRY(exchange(c, out, in, what));
    }
out:
    return st;
}

/* ---- beginning and end --------------------------------------------------------------------------------------------- */

/* Everyone's place, told over the transport; then names for messages, and this one's threads. */
static deco_status introduce(deco_comm *c, char **names, size_t name_size)
{
    deco_status st = DECO_OK;
    comm_place *all = NULL;

    TRY(deco_alloc(&all, (size_t)c->size, sizeof *all, "the workers' places"));
    TRY(deco_alloc(names, (size_t)c->size, name_size, "the workers' names"));
    comm_place_mine(&all[c->rank]);
    TRY(gather_equal(c, all, sizeof *all, "getting to know one another"));
    c->here = 0;
    for (int i = 0; i < c->size; i++)
        c->here += !strcmp(all[i].host, all[c->rank].host);
    for (int i = 0; i < c->size; i++)
        snprintf(*names + (size_t)i * name_size, name_size, "process %lld on host %.60s", all[i].pid, all[i].host);
    c->threads = comm_threads(all, c->size, c->rank);
out:
    free(all);
    return st;
}

static void release(deco_comm *c, bool failed)
{
    if (c->transport)
        c->transport->close(c->transport, failed);
    free(c->room);
    free(c->host);
    free(c->parcel);
    free(c->first);
    free(c->watch.peer);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

deco_status deco_comm_open(deco_comm **out, double silent_s, deco_monitor *m)
{
    enum { NAME = 120 };
    deco_status st = DECO_OK;
    deco_transport *t = NULL;
    deco_comm *c = NULL;
    int *fd = NULL;
    char *names = NULL;

    *out = NULL;
    TRY(comm_find(&t, &fd));
    if (!t)
        goto out;
    if (t->size > DECO_WORKERS_MOST)
        TRY(deco_fail(DECO_E_UNSUPPORTED, "%d workers; there may be %d", t->size, DECO_WORKERS_MOST));
    TRY(deco_alloc(&c, 1, sizeof *c, "the workers"));
    pthread_mutex_init(&c->lock, NULL);
    c->rank = t->rank, c->size = t->size, c->m = m;
    c->transport = t;
    t = NULL;
    snprintf(c->at, sizeof c->at, "beginning");
    snprintf(c->words, sizeof c->words, "%d workers, %s", c->size, c->transport->words);
    TRY(deco_alloc(&c->parcel, 2 * (size_t)c->size, sizeof *c->parcel, "the workers"));
    TRY(deco_alloc(&c->first, (size_t)c->size + 1, sizeof *c->first, "the workers"));
    TRY(introduce(c, &names, NAME));
    if (!fd) {
        TRY(deco_alloc(&fd, (size_t)c->size, sizeof *fd, "the workers"));
        TRY(comm_connect(fd, c));
    }
    TRY(comm_watch_begin(c, fd, names, NAME, silent_s));
    *out = c;
    c = NULL;
out:
    if (c)
        release(c, true);
    if (t)
        t->close(t, true);
    free(fd);
    free(names);
    return st;
}

void deco_comm_close(deco_comm *c, deco_status st, bool wrote)
{
    if (!c)
        return;
    comm_watch_end(c, st, wrote);
    release(c, c->lost);
}
