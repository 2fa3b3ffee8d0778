/* The pool. A run is a list entry on its caller's stack; whoever works on it takes its tasks by counting up one number. Of so many threads
 * the last is the caller: handing a run over and being woken at its end takes longer than most runs of a training step. */
#include "base/threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

enum {
    STACK_BYTES = 8 << 20,
    LOOKS = 1000, /* for the others' last tasks, before the caller sleeps: some 10 to 50 microseconds, about what waking it takes */
};

typedef struct run {
    deco_task task;
    void *context;
    int64_t n;
    _Atomic int64_t next; /* lowest task not yet begun */
    _Atomic int workers;  /* inside it now; changed under the lock */
    int64_t failed;       /* lowest failing index; n: none */
    deco_status status;
    char message[DECO_MESSAGE_SIZE];
    pthread_cond_t done;
    struct run *behind;
} run;

typedef struct worker {
    pthread_t thread;
    deco_pool *pool;
    int number;
} worker;

struct deco_pool {
    int threads, room; /* workers that there are, and may be */
    void (*start)(void);
    pthread_mutex_t lock; /* runs, closing, and all of a run but `next` */
    pthread_cond_t work;
    run *first; /* oldest run with tasks not yet begun */
    bool closing, seated;
    worker workers[]; /* [room]; the last of them that there is has a caller's thread: its seat, one caller's at a time */
};

/* Which worker of which pool this thread is now. */
static _Thread_local const worker *here;

/* Holds of this thread's signals, and the mask before the first. A worker, which takes none, begins with one that is never let go. */
static _Thread_local int quiet;
static _Thread_local sigset_t mask_before;

/* Denormals cost a GEMM a factor of 200. This is a setting of this thread alone; returns what it was. */
static uint64_t flush_denormals(void)
{
    uint64_t control = 0;
#if defined(__x86_64__) || defined(__i386__)
    control = _mm_getcsr();
    _mm_setcsr((unsigned)control | 0x8040); /* FTZ, DAZ */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | (uint64_t)1 << 24));
#endif
    return control;
}

static void denormals_back(uint64_t control)
{
#if defined(__x86_64__) || defined(__i386__)
    _mm_setcsr((unsigned)control);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

static void rest_a_moment(void)
{
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static void leave(deco_pool *pool, run *r)
{
    for (run **p = &pool->first; *p; p = &(*p)->behind)
        if (*p == r) {
            *p = r->behind;
            break;
        }
}

/* Under the lock. Indices are begun in rising order, so when one fails all lower ones have begun, and the lowest failing index
 * does not depend on timing. */
static void note_failure(run *r, int64_t index, deco_status st)
{
    atomic_store(&r->next, r->n);
    if (index >= r->failed)
        return;
    r->failed = index;
    r->status = st;
    snprintf(r->message, sizeof r->message, "%s", deco_error());
}

static void work_on(deco_pool *pool, run *r, int number)
{
    for (;;) {
        int64_t i = atomic_fetch_add(&r->next, 1);
        if (i >= r->n)
            return;
        deco_status st = r->task(r->context, i, number);
        if (st) {
            pthread_mutex_lock(&pool->lock);
            note_failure(r, i, st);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void *worker_main(void *argument)
{
    const worker *self = argument;
    deco_pool *pool = self->pool;

    here = self;
    quiet = 1;
    flush_denormals();
    if (pool->start)
        pool->start();
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->first && !pool->closing)
            pthread_cond_wait(&pool->work, &pool->lock);
        run *r = pool->first;
        if (!r)
            break;
        r->workers++;
        pthread_mutex_unlock(&pool->lock);
        work_on(pool, r, self->number);
        pthread_mutex_lock(&pool->lock);
        leave(pool, r);
        if (r->workers == 1)
            pthread_cond_signal(&r->done);
        r->workers--; /* the last that is done with it: the caller may be looking */
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void all_but_faults(sigset_t *out)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

    sigfillset(out);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(out, faults[i]);
}

/* 0 or an errno. */
static int start_quiet(pthread_t *out, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    sigset_t all, before;

    all_but_faults(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(out, attributes, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

void deco_signals_hold(void)
{
    sigset_t all;

    if (quiet++)
        return;
    all_but_faults(&all);
    pthread_sigmask(SIG_BLOCK, &all, &mask_before);
}

void deco_signals_let(void)
{
    if (--quiet == 0)
        pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}

deco_status deco_thread_start(pthread_t *out, void *(*body)(void *), void *argument, const char *what)
{
    errno = start_quiet(out, NULL, body, argument);
    return errno ? deco_fail_errno(DECO_E_MEMORY, "%s cannot be started", what) : DECO_OK;
}

static deco_status start_worker(worker *w, int wanted)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes))
        return deco_fail_memory(sizeof attributes, "thread");
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = start_quiet(&w->thread, &attributes, worker_main, w);
    pthread_attr_destroy(&attributes);
    if (failed) {
        errno = failed;
        return deco_fail_errno(DECO_E_MEMORY, "thread %d of %d cannot be started; fewer --threads may do", w->number + 1, wanted);
    }
    return DECO_OK;
}

/* Workers up to `threads`; where one cannot be started, the pool is as large as it got. */
static deco_status start_workers(deco_pool *pool, int threads)
{
    deco_status st = DECO_OK;

    for (int i = pool->threads - 1; i + 1 < threads; i++) {
        pool->workers[i] = (worker){.pool = pool, .number = i};
        TRY(start_worker(&pool->workers[i], threads));
        pool->threads++;
    }
out:
    pool->workers[pool->threads - 1] = (worker){.pool = pool, .number = pool->threads - 1};
    return st;
}

deco_status deco_pool_create(deco_pool **out, int threads, void (*start)(void))
{
    deco_status st = DECO_OK;
    deco_pool *pool = NULL;
    int cores = deco_cores_allowed(), wanted = threads > 0 ? threads : cores, room = wanted > cores ? wanted : cores;

    *out = NULL;
    TRY(deco_alloc(&pool, 1, sizeof *pool + (size_t)room * sizeof *pool->workers, "threads"));
    pool->start = start;
    pool->room = room;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->threads = 1;
    TRY(start_workers(pool, wanted));
    *out = pool;
    pool = NULL;
out:
    deco_pool_free(pool);
    return st;
}

deco_status deco_pool_grow(deco_pool *pool)
{
    int cores = deco_cores_allowed(), wanted = cores < pool->room ? cores : pool->room;
    return start_workers(pool, wanted);
}

void deco_pool_free(deco_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i + 1 < pool->threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int deco_pool_threads(const deco_pool *pool) { return pool->threads; }
int deco_pool_room(const deco_pool *pool) { return pool->room; }

/* Inside a task: the other workers may all be waiting for this one, so it does the work itself. */
static deco_status run_in_place(deco_task task, void *context, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        deco_status st = task(context, i, here->number);
        if (st)
            return st;
    }
    return DECO_OK;
}

/* Under the lock: as many workers as there are tasks for. */
static void wake(deco_pool *pool, int64_t tasks)
{
    if (tasks >= pool->threads - 1)
        pthread_cond_broadcast(&pool->work);
    else
        for (int64_t i = 0; i < tasks; i++)
            pthread_cond_signal(&pool->work);
}

/* Under the lock, which is given up meanwhile. The caller takes the free seat and works on its run. */
static void work_here(deco_pool *pool, run *r)
{
    const worker *before = here;
    uint64_t control;

    pool->seated = true;
    pthread_mutex_unlock(&pool->lock);
    here = &pool->workers[pool->threads - 1];
    control = flush_denormals();
    work_on(pool, r, here->number);
    denormals_back(control);
    here = before;
    for (int i = 0; i < LOOKS && atomic_load_explicit(&r->workers, memory_order_relaxed); i++)
        rest_a_moment();
    pthread_mutex_lock(&pool->lock);
    leave(pool, r);
    pool->seated = false;
    for (run *other = pool->first; other; other = other->behind)
        pthread_cond_signal(&other->done); /* its caller may have the seat */
}

deco_status deco_pool_run(deco_pool *pool, deco_task task, void *context, int64_t n)
{
    if (n <= 0)
        return DECO_OK;
    if (here && here->pool == pool)
        return run_in_place(task, context, n);

    run r;
    r.task = task;
    r.context = context;
    r.n = n;
    atomic_init(&r.next, 0);
    atomic_init(&r.workers, 0);
    r.failed = n;
    r.status = DECO_OK;
    r.message[0] = 0; /* all the rest of it stays untouched: a run must cost no 8 kB of writing */
    r.behind = NULL;
    pthread_cond_init(&r.done, NULL);

    pthread_mutex_lock(&pool->lock);
    run **end = &pool->first;
    while (*end)
        end = &(*end)->behind;
    *end = &r;
    wake(pool, n - !pool->seated);
    while (r.workers || atomic_load(&r.next) < n) {
        if (!pool->seated && atomic_load(&r.next) < n)
            work_here(pool, &r);
        else
            pthread_cond_wait(&r.done, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&r.done);
    if (r.status)
        deco_error_set(r.message);
    return r.status;
}
