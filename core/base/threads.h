/* One pool of POSIX threads carries all our parallel work.
 *
 * Work is cut into tasks of fixed size that do not depend on the number of threads, so results do not either. Tasks run with denormals
 * flushed (FTZ, DAZ). The caller is one of the threads while it waits, and is left as it was. Its handlers of signals may run in the midst of a task;
 * what cannot bear that on its stack says so by deco_signals_hold (compute/cpu/dnnl.c must). */
#ifndef DECO_BASE_THREADS_H
#define DECO_BASE_THREADS_H

#include "base/status.h"

#include <pthread.h>

typedef struct deco_pool deco_pool;

/* One task: `index` counts from 0; `worker` is below deco_pool_threads() and is this thread's alone while it runs. */
typedef deco_status (*deco_task)(void *context, int64_t index, int worker);

/* `threads` 0: the cores this process may use; the last of them is whoever calls deco_pool_run. `start`, if not NULL, runs once in each of
 * the others (a library's per-thread setting, made once because it takes time: nothing may depend on it). */
deco_status deco_pool_create(deco_pool **out, int threads, void (*start)(void));
void deco_pool_free(deco_pool *pool);
int deco_pool_threads(const deco_pool *pool);

/* As many threads as the cores this process may use, where it has fewer; never fewer than before. While nothing runs in it; what is kept for
 * each worker longer than that has room for deco_pool_room of them. Fails: MEMORY, with as many as could be started. */
deco_status deco_pool_grow(deco_pool *pool);
int deco_pool_room(const deco_pool *pool);

/* Runs task(context, i, worker) for every i in [0, n), in any order, and waits. May be called from several threads at
 * once; from inside a task it runs in place. Fails with the status and message of the lowest failing index; tasks not
 * yet begun are then left out. */
deco_status deco_pool_run(deco_pool *pool, deco_task task, void *context, int64_t n);

/* A thread of one's own that leaves every signal but faults to the host's threads, so that its handlers run where it expects them; faults stay open,
 * or a debugger's and a sanitizer's handlers would never see them. Fails: MEMORY, saying that `what` cannot be started. */
deco_status deco_thread_start(pthread_t *out, void *(*body)(void *), void *argument, const char *what);

/* Between the two no signal but a fault runs a handler on this thread; those that came run then. Pairs nest, and cost nothing in a worker. */
void deco_signals_hold(void);
void deco_signals_let(void);

/* Cores this process may use: affinity and cgroup limit (v1 and v2). */
int deco_cores_allowed(void);

#endif
