/* Matrix products on oneDNN: right numbers, on one thread, from many threads at once, and nothing of the caller's changed. */
#include "base/threads.h"
#include "compute/cpu/dnnl.h"

#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static float *random_floats(int64_t n, unsigned seed)
{
    float *p = aligned_alloc(64, ((size_t)n * sizeof *p + 63) / 64 * 64);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
    return p;
}

/* Element (i,j) of op(a) op(b), in double. */
static double product_at(bool tA, bool tB, int64_t K, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k < K; k++)
        sum += (double)(tA ? a[k * lda + i] : a[i * lda + k]) * (tB ? b[j * ldb + k] : b[k * ldb + j]);
    return sum;
}

/* Values lie in ±1: rounding of K products and of their sum. */
static double rounding(int64_t K) { return 6e-8 * (double)K; }

static void sgemm_is_the_product_of_all_four_transposes(void **state)
{
    enum { M = 37, N = 51, K = 29, WIDE = 64 };
    float *a = random_floats(WIDE * WIDE, 1), *b = random_floats(WIDE * WIDE, 2), *before = random_floats(WIDE * WIDE, 3);
    for (int way = 0; way < 4; way++) {
        bool tA = way & 1, tB = way & 2;
        float *c = random_floats(WIDE * WIDE, 3);
        assert_int_equal(deco_cpu_sgemm(tA, tB, M, N, K, 0.5f, a, WIDE, b, WIDE, 2, c, WIDE), DECO_OK);
        for (int64_t i = 0; i < WIDE; i++)
            for (int64_t j = 0; j < WIDE; j++) {
                double old = before[i * WIDE + j], now = c[i * WIDE + j];
                if (i < M && j < N)
                    assert_true(fabs(now - (0.5 * product_at(tA, tB, K, a, WIDE, b, WIDE, i, j) + 2 * old)) < rounding(K + 4));
                else
                    assert_true(now == old); /* between the rows nothing is written */
            }
        free(c);
    }
    free(a);
    free(b);
    free(before);
}

static void beta_zero_does_not_read_the_result(void **state)
{
    enum { M = 24, N = 40, K = 16 };
    float *a = random_floats(M * K, 1), *b = random_floats(K * N, 2), *c = random_floats(M * N, 3);
    for (int i = 0; i < M * N; i++)
        c[i] = NAN;
    assert_int_equal(deco_cpu_sgemm(false, false, M, N, K, 1, a, K, b, N, 0, c, N), DECO_OK);
    for (int i = 0; i < M * N; i++)
        assert_true(isfinite(c[i]));
    free(a);
    free(b);
    free(c);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static int threads_of_process(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static deco_status multiply_here(void *context, int64_t index, int worker)
{
    float *a = context;
    return deco_cpu_sgemm(false, true, 256, 256, 256, 1, a, 256, a, 256, 0, a + 65536, 256);
}

static void products_start_no_threads_and_leave_the_caller_s_setting(void **state)
{
    int (*team)(void) = NULL;
    void (*set_team)(int) = NULL;
    float *a = random_floats(2 * 65536, 1);
    deco_pool *pool;

    deco_cpu_gemm_library();
    *(void **)&team = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    *(void **)&set_team = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (set_team)
        set_team(3); /* the caller's own wish; it would show as two more threads */
    assert_int_equal(deco_pool_create(&pool, 2, deco_cpu_worker_start), DECO_OK);
    int before = threads_of_process();
    assert_int_equal(deco_pool_run(pool, multiply_here, a, 1), DECO_OK);
    assert_int_equal(multiply_here(a, 0, 0), DECO_OK); /* on the caller's thread */
    assert_int_equal(threads_of_process(), before);
    if (team)
        assert_int_equal(team(), 3);
    deco_pool_free(pool);
    free(a);
}

static char *stack_low, *stack_high;
static atomic_int signals, astray;

static void where_it_runs(int number)
{
    char *frame = __builtin_frame_address(0);
    (void)number;
    atomic_fetch_add(&signals, 1);
    if (frame < stack_low || frame >= stack_high)
        atomic_fetch_add(&astray, 1);
}

typedef struct pinged {
    pthread_t thread;
    atomic_bool end;
} pinged;

static void *ping(void *context)
{
    pinged *p = context;
    struct timespec moment = {0, 20000};
    while (!p->end) {
        pthread_kill(p->thread, SIGUSR2);
        nanosleep(&moment, NULL);
    }
    return NULL;
}

/* Shapes of a step's products, with K on both sides of what oneDNN keeps on the stack. */
static void multiply_under_signals(const float *a, float *c)
{
    static const int64_t K[] = {8, 100, 512, 4096};
    for (int k = 0; k < 4; k++)
        for (int turned = 0; turned < 4; turned++) {
            int64_t lda = turned & 1 ? 32 : K[k], ldb = turned & 2 ? K[k] : 24;
            assert_int_equal(deco_cpu_sgemm(turned & 1, turned & 2, 32, 24, K[k], 1, a, lda, a, ldb, 0, c, 24), DECO_OK);
        }
}

static void a_signal_s_handler_finds_its_thread_s_stack(void **state)
{
    enum { ENOUGH = 300 };
    struct sigaction on = {.sa_handler = where_it_runs, .sa_flags = SA_RESTART}, before;
    float *a = random_floats(32 * 4096, 5), *c = random_floats(32 * 24, 6);
    pinged me = {.thread = pthread_self()};
    pthread_attr_t attributes;
    pthread_t other;
    void *low;
    size_t size;

    assert_int_equal(pthread_getattr_np(me.thread, &attributes), 0);
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    stack_low = low, stack_high = stack_low + size;
    sigaction(SIGUSR2, &on, &before);
    assert_int_equal(pthread_create(&other, NULL, ping, &me), 0);
    for (int i = 0; i < 100000 && signals < ENOUGH; i++)
        multiply_under_signals(a, c);
    me.end = true;
    pthread_join(other, NULL);
    sigaction(SIGUSR2, &before, NULL);
    assert_true(signals >= ENOUGH);
    assert_int_equal(astray, 0);
    free(a), free(c);
}

static void library_is_named(void **state)
{
    const char *name = deco_cpu_gemm_library();
    assert_int_equal(strncmp(name, "oneDNN ", 7), 0);
    assert_non_null(strchr(name, '('));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_start_no_threads_and_leave_the_caller_s_setting),
        cmocka_unit_test(sgemm_is_the_product_of_all_four_transposes),
        cmocka_unit_test(beta_zero_does_not_read_the_result),
        cmocka_unit_test(a_signal_s_handler_finds_its_thread_s_stack),
        cmocka_unit_test(library_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
