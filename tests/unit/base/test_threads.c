/* The pool: every task once, the lowest failure, nesting, callers at once, denormals, signals. */
#include "base/threads.h"
#include "base/cores.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TASKS = 5000 };

typedef struct counts {
    int64_t n;
    int threads;
    atomic_int times[TASKS], inside[16];
    float sum[TASKS];
} counts;

static deco_status count(void *context, int64_t i, int worker)
{
    counts *c = context;
    if (worker < 0 || worker >= c->threads || atomic_fetch_add(&c->inside[worker], 1))
        return deco_fail(DECO_E_ARGUMENT, "worker %d is used twice at once", worker);
    atomic_fetch_add(&c->times[i], 1);
    for (int k = 0; k < 50; k++)
        c->sum[i] += 1.0f / (float)(i + k + 1);
    atomic_fetch_sub(&c->inside[worker], 1);
    return DECO_OK;
}

static counts *run_counts(int threads)
{
    deco_pool *pool = NULL;
    counts *c = calloc(1, sizeof *c);

    assert_int_equal(deco_pool_create(&pool, threads, NULL), DECO_OK);
    c->threads = deco_pool_threads(pool);
    assert_int_equal(deco_pool_run(pool, count, c, TASKS), DECO_OK);
    deco_pool_free(pool);
    return c;
}

static void every_task_runs_once_and_results_do_not_depend_on_threads(void **state)
{
    counts *one = run_counts(1), *three = run_counts(3);

    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(one->times[i], 1);
        assert_int_equal(three->times[i], 1);
    }
    assert_memory_equal(one->sum, three->sum, sizeof one->sum);
    free(one);
    free(three);
}

static deco_status fail_at_some(void *context, int64_t i, int worker)
{
    atomic_fetch_add((atomic_int *)context, 1);
    if (i == 700) /* the lowest failure comes late */
        nanosleep(&(struct timespec){0, 3000000}, NULL);
    if (i == 700 || i == 701 || i == 702)
        return deco_fail(i == 700 ? DECO_E_FORMAT : DECO_E_FILE, "task %d failed", (int)i);
    return DECO_OK;
}

static void the_lowest_failure_comes_back_and_later_tasks_are_left_out(void **state)
{
    deco_pool *pool = NULL;

    assert_int_equal(deco_pool_create(&pool, 3, NULL), DECO_OK);
    for (int again = 0; again < 20; again++) {
        atomic_int begun = 0;
        deco_fail(DECO_E_FILE, "old");
        assert_int_equal(deco_pool_run(pool, fail_at_some, &begun, 1000000), DECO_E_FORMAT);
        assert_string_equal(deco_error(), "task 700 failed");
        assert_true(begun < 1000);
    }
    atomic_int begun = 0;
    assert_int_equal(deco_pool_run(pool, fail_at_some, &begun, 700), DECO_OK); /* the pool still works */
    assert_int_equal(begun, 700);
    assert_int_equal(deco_pool_run(pool, fail_at_some, &begun, 0), DECO_OK);
    assert_int_equal(begun, 700);
    deco_pool_free(pool);
}

typedef struct nested {
    deco_pool *pool;
    int outer_worker[8];
    atomic_int inner, moved;
} nested;

static deco_status inner_task(void *context, int64_t i, int worker)
{
    nested *n = context;
    atomic_fetch_add(&n->inner, 1);
    return i == 90 ? deco_fail(DECO_E_FORMAT, "inner 90") : DECO_OK;
}

static deco_status check_worker(void *context, int64_t i, int worker)
{
    int *expected = context;
    return worker == *expected ? DECO_OK : deco_fail(DECO_E_ARGUMENT, "worker %d became %d", *expected, worker);
}

static deco_status outer_task(void *context, int64_t i, int worker)
{
    nested *n = context;
    deco_status st = deco_pool_run(n->pool, check_worker, &worker, 100);
    if (st)
        return st;
    return deco_pool_run(n->pool, inner_task, n, i == 5 ? 100 : 50);
}

static void a_run_inside_a_task_runs_in_place(void **state)
{
    nested n = {0};

    assert_int_equal(deco_pool_create(&n.pool, 2, NULL), DECO_OK);
    assert_int_equal(deco_pool_run(n.pool, outer_task, &n, 5), DECO_OK);
    assert_int_equal(n.inner, 250);
    assert_int_equal(deco_pool_run(n.pool, outer_task, &n, 8), DECO_E_FORMAT);
    assert_string_equal(deco_error(), "inner 90");
    deco_pool_free(n.pool);
}

typedef struct caller {
    deco_pool *pool;
    int number;
    deco_status st;
    char message[64];
} caller;

static deco_status fail_for_odd(void *context, int64_t i, int worker)
{
    const caller *c = context;
    return c->number % 2 && i == 30 ? deco_fail(DECO_E_FORMAT, "caller %d", c->number) : DECO_OK;
}

static void *call(void *context)
{
    caller *c = context;
    for (int i = 0; i < 200 && !c->st; i++) {
        c->st = deco_pool_run(c->pool, fail_for_odd, c, 100);
        snprintf(c->message, sizeof c->message, "%s", deco_error());
    }
    return NULL;
}

static void call_at_once(int threads)
{
    deco_pool *pool = NULL;
    caller c[6];
    pthread_t thread[6];

    assert_int_equal(deco_pool_create(&pool, threads, NULL), DECO_OK);
    for (int i = 0; i < 6; i++) {
        c[i] = (caller){.pool = pool, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, call, &c[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        char expected[32] = "";
        pthread_join(thread[i], NULL);
        if (i % 2)
            snprintf(expected, sizeof expected, "caller %d", i);
        assert_int_equal(c[i].st, i % 2 ? DECO_E_FORMAT : DECO_OK);
        assert_string_equal(c[i].message, expected);
    }
    deco_pool_free(pool);
}

static void callers_at_once_get_their_own_results(void **state)
{
    for (int threads = 1; threads <= 3; threads++)
        call_at_once(threads);
}

static float denormal_product(void)
{
    volatile float small = 1e-38f, tenth = 0.1f;
    return small * tenth;
}

static deco_status multiply_denormals(void *context, int64_t i, int worker)
{
    const pthread_t *of_caller = context;
    bool own = !pthread_equal(*of_caller, pthread_self());
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!!sigismember(&blocked, SIGTERM) != own || !!sigismember(&blocked, SIGINT) != own || sigismember(&blocked, SIGSEGV))
        return deco_fail(DECO_E_ARGUMENT, "signal mask");
    if (i == 99)
        return deco_fail(DECO_E_FORMAT, "task 99");
    return denormal_product() == 0 ? DECO_OK : deco_fail(DECO_E_ARGUMENT, "a denormal lives");
}

static void tasks_flush_denormals_and_the_caller_is_left_as_it_was(void **state)
{
    deco_pool *pool = NULL;
    pthread_t self = pthread_self();
    sigset_t blocked;

    assert_int_equal(deco_pool_create(&pool, 2, NULL), DECO_OK);
    assert_int_equal(deco_pool_run(pool, multiply_denormals, &self, 99), DECO_OK);
    assert_true(denormal_product() > 0);
    assert_int_equal(deco_pool_run(pool, multiply_denormals, &self, 100), DECO_E_FORMAT);
    assert_true(denormal_product() > 0);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGTERM));
    deco_pool_free(pool);
    assert_true(denormal_product() > 0);
}

static atomic_int starts;
static void note_start(void) { atomic_fetch_add(&starts, 1); }

static void start_runs_once_in_each_thread_but_the_callers(void **state)
{
    deco_pool *pool = NULL;

    assert_int_equal(deco_pool_create(&pool, 3, note_start), DECO_OK);
    deco_pool_free(pool);
    assert_int_equal(starts, 2);
}

typedef struct seat {
    pthread_t caller;
    deco_pool *pool;
    atomic_int here;
    atomic_bool there; /* another thread has had a task */
} seat;

/* On the caller's thread: waits until another thread has had one, too. */
static deco_status both_work(void *context, int64_t i, int worker)
{
    seat *s = context;
    struct timespec moment = {0, 100000};

    if (!pthread_equal(s->caller, pthread_self())) {
        s->there = true;
        return worker == 0 ? DECO_OK : deco_fail(DECO_E_ARGUMENT, "worker %d", worker);
    }
    for (int k = 0; k < 100000 && !s->there; k++)
        nanosleep(&moment, NULL);
    s->here++;
    return s->there && worker == 1 ? DECO_OK : deco_fail(DECO_E_ARGUMENT, "the caller, worker %d, was alone", worker);
}

static deco_status count_here(void *context, int64_t i, int worker)
{
    seat *s = context;
    s->here += pthread_equal(s->caller, pthread_self()) && worker == 0;
    return DECO_OK;
}

static void the_caller_works_too_and_alone_where_there_is_one_thread(void **state)
{
    seat s = {.caller = pthread_self()};

    assert_int_equal(deco_pool_create(&s.pool, 1, NULL), DECO_OK);
    assert_int_equal(deco_pool_threads(s.pool), 1);
    assert_int_equal(deco_pool_run(s.pool, count_here, &s, 7), DECO_OK);
    assert_int_equal(s.here, 7);
    deco_pool_free(s.pool);

    assert_int_equal(deco_pool_create(&s.pool, 2, NULL), DECO_OK);
    s.here = 0;
    assert_int_equal(deco_pool_run(s.pool, both_work, &s, 1000), DECO_OK);
    assert_true(s.there);
    deco_pool_free(s.pool);
}

static deco_status be_there(void *context, int64_t i, int worker)
{
    atomic_bool *seen = context;
    struct timespec moment = {0, 1000000};
    atomic_store(&seen[worker], true);
    nanosleep(&moment, NULL);
    return DECO_OK;
}

static void a_pool_grows_to_the_cores_allowed_and_keeps_what_it_has(void **state)
{
    enum { MOST = 4096 };
    static atomic_bool seen[MOST];
    int cores = deco_cores_allowed();
    deco_pool *pool = NULL;

    starts = 0;
    assert_int_equal(deco_pool_create(&pool, 1, note_start), DECO_OK);
    assert_true(deco_pool_room(pool) >= cores);
    assert_int_equal(deco_pool_run(pool, be_there, seen, 3), DECO_OK);
    assert_int_equal(deco_pool_grow(pool), DECO_OK);
    assert_int_equal(deco_pool_threads(pool), cores);
    memset(seen, 0, sizeof seen);
    for (int turn = 0; turn < 100; turn++)
        assert_int_equal(deco_pool_run(pool, be_there, seen, 2 * cores), DECO_OK);
    for (int i = 0; i < MOST; i++)
        assert_int_equal(seen[i], i < cores);
    deco_pool_free(pool);
    assert_int_equal(starts, cores - 1);

    assert_int_equal(deco_pool_create(&pool, cores + 2, NULL), DECO_OK);
    assert_int_equal(deco_pool_grow(pool), DECO_OK);
    assert_int_equal(deco_pool_threads(pool), cores + 2);
    deco_pool_free(pool);
}

static void no_number_given_means_the_cores_allowed(void **state)
{
    deco_pool *pool = NULL;

    assert_true(deco_cores_allowed() >= 1);
    assert_int_equal(deco_pool_create(&pool, 0, NULL), DECO_OK);
    assert_int_equal(deco_pool_threads(pool), deco_cores_allowed());
    deco_pool_free(pool);
    deco_pool_free(NULL);
}

static void put(const char *root, const char *name, const char *text)
{
    char *path = deco_path_join(root, name), *folder = deco_path_directory(path);

    assert_int_equal(deco_directory_make(folder), DECO_OK);
    assert_int_equal(deco_file_put(path, text, strlen(text)), DECO_OK);
    free(folder);
    free(path);
}

static int quota(const char *root, const char *list)
{
    char *path = deco_path_join(root, "list");
    put(root, "list", list);
    int cores = deco_cores_by_quota(path, root);
    free(path);
    return cores;
}

static void the_smallest_cgroup_quota_counts_rounded_up(void **state)
{
    char root[1024];

    snprintf(root, sizeof root, "%s", scratch("cgroup"));
    assert_int_equal(quota(root, "0::/a/b\n"), 0); /* no such group: no limit */
    put(root, "a/b/cpu.max", "max 100000\n");
    assert_int_equal(quota(root, "0::/a/b\n"), 0);
    put(root, "a/cpu.max", "350000 100000\n"); /* of the group above */
    assert_int_equal(quota(root, "0::/a/b\n"), 4);
    put(root, "a/b/cpu.max", "150000 100000\n");
    assert_int_equal(quota(root, "0::/a/b\n"), 2);
    assert_int_equal(quota(root, "0::/a\n"), 4);
    put(root, "cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n"); /* version 1 */
    put(root, "cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(root, "5:memory:/x\n4:cpu,cpuacct:/c\n"), 1);
    put(root, "cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(quota(root, "4:cpu,cpuacct:/c\n"), 0);
    put(root, "cpu.max", "90000 100000\n"); /* a container sees its own group as the root */
    assert_int_equal(quota(root, "0::/not/seen/from/here\n"), 1);
    assert_int_equal(deco_cores_by_quota("/nowhere", root), 0);
}

static void the_smallest_cgroup_memory_counts(void **state)
{
    char root[1024];

    (void)state;
    snprintf(root, sizeof root, "%s", scratch("memory"));
    put(root, "list", "0::/a/b\n");
    char *list = deco_path_join(root, "list");
    assert_true(deco_memory_by_group(list, root) == 0);
    put(root, "a/b/memory.max", "max\n");
    assert_true(deco_memory_by_group(list, root) == 0);
    put(root, "a/memory.max", "4000000000\n");
    assert_true(deco_memory_by_group(list, root) == 4e9);
    put(root, "memory/c/memory.limit_in_bytes", "1000000\n"); /* version 1 */
    put(root, "list", "3:memory:/c\n");
    assert_true(deco_memory_by_group(list, root) == 1e6);
    assert_true(deco_memory_allowed() > 1e6);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_and_results_do_not_depend_on_threads),
        cmocka_unit_test(the_lowest_failure_comes_back_and_later_tasks_are_left_out),
        cmocka_unit_test(a_run_inside_a_task_runs_in_place),
        cmocka_unit_test(callers_at_once_get_their_own_results),
        cmocka_unit_test(tasks_flush_denormals_and_the_caller_is_left_as_it_was),
        cmocka_unit_test(start_runs_once_in_each_thread_but_the_callers),
        cmocka_unit_test(the_caller_works_too_and_alone_where_there_is_one_thread),
        cmocka_unit_test(a_pool_grows_to_the_cores_allowed_and_keeps_what_it_has),
        cmocka_unit_test(no_number_given_means_the_cores_allowed),
        cmocka_unit_test(the_smallest_cgroup_quota_counts_rounded_up),
        cmocka_unit_test(the_smallest_cgroup_memory_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
