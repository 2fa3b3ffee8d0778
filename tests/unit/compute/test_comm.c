/* The communicator, among processes of this program joined by sockets. */
#include "compute/comm.h"
#include "compute/comm_parts.h"
#include "workers.h"
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { MOST = 4, N = 1003 };

/* What the workers leave for the test to look at. */
typedef struct board {
    float sum[MOST][N];
    double doubles[MOST];
    unsigned bits[MOST];
    unsigned char gathered[MOST][64], shared[MOST][3000];
    int threads[MOST], status[MOST];
    char log[MOST][1024];
    volatile int ready[MOST];
} board;

static board *shared_board(void)
{
    board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(b != MAP_FAILED);
    return b;
}

typedef void part(board *b, deco_comm *c, int rank);

static void note(void *user, deco_level level, const char *line)
{
    char *to = user;
    (void)level;
    strncat(to, line, 1023 - strlen(to));
}

/* Runs `what` in n workers; true when all ended as they should. */
static bool run_workers(board *b, int n, double silent_s, part *what)
{
    pid_t pid[MOST];
    int rank = workers_start(pid, n);

    assert_int_not_equal(rank, -2);
    if (rank >= 0) {
        deco_monitor *m = NULL;
        deco_comm *c = NULL;
        if (deco_monitor_create(&m, note, b->log[rank]) || deco_comm_open(&c, silent_s, m) || !c || deco_comm_rank(c) != rank ||
            deco_comm_size(c) != n)
            _exit(9);
        b->threads[rank] = deco_comm_threads(c);
        what(b, c, rank);
        deco_monitor_free(m);
        _exit(0);
    }
    return workers_wait(pid, n, 9) == 0;
}

static float number(int rank, int i) { return (float)sin(rank * 1000 + i) * (float)pow(10, i % 7); }

static void reduce(board *b, deco_comm *c, int rank)
{
    int size = deco_comm_size(c);
    size_t first[MOST + 1];
    unsigned char mine[64];
    deco_status st = DECO_OK;

    for (int i = 0; i < N; i++)
        b->sum[rank][i] = number(rank, i);
    nanosleep(&(struct timespec){.tv_nsec = (size - rank) * 20000000L}, NULL); /* they arrive in an order of their own */
    TRY(deco_comm_sum(c, b->sum[rank], N, 0.25 + rank, "a sum"));
    b->doubles[rank] = 1.0 / (rank + 3);
    TRY(deco_comm_sum_doubles(c, &b->doubles[rank], 1, "a sum"));
    b->bits[rank] = 1U << rank;
    TRY(deco_comm_any(c, &b->bits[rank], "bits"));
    for (int g = 0; g <= size; g++)
        first[g] = (size_t)(g * g); /* the first one has 1 byte, the second 3 ... */
    memset(mine, 99, sizeof mine);
    memset(mine + first[rank], rank + 1, first[rank + 1] - first[rank]);
    TRY(deco_comm_gather(c, mine, first, "bytes"));
    memcpy(b->gathered[rank], mine, sizeof mine);
    memset(b->shared[rank], rank ? 0 : 7, sizeof b->shared[rank]);
    TRY(deco_comm_share(c, b->shared[rank], sizeof b->shared[rank], "news"));
out:
    b->status[rank] = st;
    deco_comm_close(c, st, false);
}

static void sums_are_of_the_workers_in_their_order_whoever_comes_first(void **state)
{
    (void)state;
    for (int n = 2; n <= MOST; n += 2) {
        board *b = shared_board();
        assert_true(run_workers(b, n, 60, reduce));
        for (int rank = 0; rank < n; rank++) {
            assert_int_equal(b->status[rank], DECO_OK);
            assert_string_equal(b->log[rank], "");
            for (int i = 0; i < N; i++) {
                double sum = 0; /* what is sent has been rounded to float */
                for (int g = 0; g < n; g++)
                    sum += (double)(float)((0.25 + g) * (double)number(g, i));
                assert_true(b->sum[rank][i] == (float)sum);
            }
            double third = 0;
            for (int g = 0; g < n; g++)
                third += 1.0 / (g + 3);
            assert_true(b->doubles[rank] == third);
            assert_int_equal(b->bits[rank], (1 << n) - 1);
            for (int g = 0, at = 0; g < n; g++)
                for (int k = 0; k < 2 * g + 1; k++, at++)
                    assert_int_equal(b->gathered[rank][at], g + 1);
            assert_int_equal(b->gathered[rank][n * n], 99);
            for (size_t i = 0; i < sizeof b->shared[rank]; i++)
                assert_int_equal(b->shared[rank][i], 7);
        }
        munmap(b, sizeof *b);
    }
}

static void large_blocks(board *b, deco_comm *c, int rank)
{
    const int64_t n = 3 << 20; /* far beyond a socket's buffer, in both directions at once */
    float *x = calloc((size_t)n, sizeof *x);
    bool good = x != NULL;

    for (int64_t i = 0; good && i < n; i++)
        x[i] = (float)(i % 1000 * (rank + 1));
    good = good && !deco_comm_sum(c, x, n, 1, "a large sum");
    int all = deco_comm_size(c) * (deco_comm_size(c) + 1) / 2;
    for (int64_t i = 0; good && i < n; i++)
        good = x[i] == (float)(i % 1000 * all);
    /* Each worker sends every other one a segment twice: once to be added up, once summed; places and names were sent before. */
    double share = (double)n * sizeof *x / deco_comm_size(c) * (deco_comm_size(c) - 1) * 2;
    b->ready[rank] = good && deco_comm_sent(c) >= share && deco_comm_sent(c) < share + 10000;
    free(x);
    deco_comm_close(c, DECO_OK, false);
}

static void blocks_larger_than_any_buffer_pass_both_ways_at_once(void **state)
{
    (void)state;
    board *b = shared_board();
    assert_true(run_workers(b, 3, 60, large_blocks));
    for (int rank = 0; rank < 3; rank++)
        assert_true(b->ready[rank]);
    munmap(b, sizeof *b);
}

/* Worker 2 is lost in its fifth sum. */
static void sums_until_lost(board *b, deco_comm *c, int rank, void (*end)(deco_comm *c))
{
    double x = 1;
    deco_status st = DECO_OK;

    for (int i = 0; i < 2000 && !st; i++) {
        deco_comm_at(c, "step %d", i);
        if (rank == 2 && i == 5) {
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* so that a sign of life says where */
            end(c);
        }
        st = deco_comm_sum_doubles(c, &x, 1, "a sum");
        nanosleep(&(struct timespec){.tv_nsec = 5000000L}, NULL);
    }
    b->status[rank] = st;
    b->ready[rank] = st && deco_comm_said(c);
    deco_comm_close(c, st, true);
}

static void kill_oneself(deco_comm *c)
{
    (void)c;
    raise(SIGKILL);
}

static void stop_oneself(deco_comm *c)
{
    (void)c;
    raise(SIGSTOP);
}

static void do_nothing_for_long(deco_comm *c)
{
    (void)c;
    sleep(30);
}

static void run_out(deco_comm *c)
{
    deco_comm_close(c, deco_fail(DECO_E_MEMORY, "images: no memory for 77 bytes"), true);
    _exit(0);
}

static void with_a_kill(board *b, deco_comm *c, int rank) { sums_until_lost(b, c, rank, kill_oneself); }
static void with_a_stop(board *b, deco_comm *c, int rank) { sums_until_lost(b, c, rank, stop_oneself); }
static void with_a_hang(board *b, deco_comm *c, int rank) { sums_until_lost(b, c, rank, do_nothing_for_long); }
static void with_a_failure(board *b, deco_comm *c, int rank) { sums_until_lost(b, c, rank, run_out); }

/* All others end, and the first one alone says why. */
static void check_loss(part *what, double silent_s, deco_status status, const char *words)
{
    board *b = shared_board();

    run_workers(b, MOST, silent_s, what);
    for (int rank = 0; rank < MOST; rank++) {
        if (rank == 2)
            continue;
        assert_int_equal(b->status[rank], status);
        assert_true(b->ready[rank]);
        if (rank)
            assert_string_equal(b->log[rank], "");
    }
    if (!strstr(b->log[0], words) || !strstr(b->log[0], "worker 2 of 4") || !strstr(b->log[0], "step 5"))
        fail_msg("the first worker says: %s", b->log[0]);
    assert_null(strstr(strstr(b->log[0], "worker") + 1, "worker 2 of 4"));
    munmap(b, sizeof *b);
}

static void a_killed_worker_ends_the_job_with_one_message(void **state)
{
    (void)state;
    check_loss(with_a_kill, 60, DECO_E_DEVICE, "was killed");
}

static void a_stopped_worker_ends_it_when_its_time_is_over(void **state)
{
    (void)state;
    check_loss(with_a_stop, 2, DECO_E_DEVICE, "no sign of life");
}

static void a_worker_that_does_nothing_ends_it_too(void **state)
{
    (void)state;
    check_loss(with_a_hang, 2, DECO_E_DEVICE, "took no processor time");
}

static void a_failure_of_one_is_told_by_the_first(void **state)
{
    (void)state;
    check_loss(with_a_failure, 60, DECO_E_MEMORY, "no memory for 77 bytes");
}

/* Of the first worker the second one speaks. */
static void without_the_first(board *b, deco_comm *c, int rank)
{
    double x = 1;
    deco_status st = DECO_OK;

    for (int i = 0; i < 2000 && !st; i++) {
        if (!rank && i == 5)
            raise(SIGKILL);
        st = deco_comm_sum_doubles(c, &x, 1, "a sum");
        nanosleep(&(struct timespec){.tv_nsec = 2000000L}, NULL);
    }
    b->status[rank] = st;
    deco_comm_close(c, st, false);
}

static void the_loss_of_the_first_is_said_by_the_second(void **state)
{
    (void)state;
    board *b = shared_board();
    assert_false(run_workers(b, MOST, 60, without_the_first));
    for (int rank = 1; rank < MOST; rank++)
        assert_int_equal(b->status[rank], DECO_E_DEVICE);
    assert_non_null(strstr(b->log[1], "worker 0 of 4"));
    assert_string_equal(b->log[2], "");
    assert_string_equal(b->log[3], "");
    munmap(b, sizeof *b);
}

/* The first worker fails on its own: the others leave in silence with its status. */
static void first_fails(board *b, deco_comm *c, int rank)
{
    double x = 1;
    deco_status st = rank ? deco_comm_sum_doubles(c, &x, 1, "a sum") : deco_fail(DECO_E_ARGUMENT, "k_num is 0");

    b->status[rank] = st;
    b->ready[rank] = deco_comm_wrote(c);
    deco_comm_close(c, st, false);
}

static void a_failure_of_the_first_ends_all_in_silence(void **state)
{
    (void)state;
    board *b = shared_board();
    assert_true(run_workers(b, 3, 60, first_fails));
    for (int rank = 0; rank < 3; rank++) {
        assert_int_equal(b->status[rank], DECO_E_ARGUMENT);
        assert_false(b->ready[rank]);
        assert_string_equal(b->log[rank], "");
    }
    munmap(b, sizeof *b);
}

static void alone_everything_is_as_it_is(void **state)
{
    deco_comm *c = NULL;
    float x[2] = {1, 2};
    double d = 3;
    unsigned bits = 5;
    int64_t from;

    (void)state;
    unsetenv("CRYODECO_WORKER");
    assert_int_equal(deco_comm_open(&c, 60, NULL), DECO_OK);
    assert_null(c);
    assert_int_equal(deco_comm_sum(c, x, 2, 0.5, "a sum"), DECO_OK);
    assert_int_equal(deco_comm_sum_doubles(c, &d, 1, "a sum"), DECO_OK);
    assert_int_equal(deco_comm_any(c, &bits, "bits"), DECO_OK);
    assert_true(x[0] == 1 && x[1] == 2 && d == 3 && bits == 5);
    assert_int_equal(deco_comm_part(&from, c, 0, 7, 64), 7);
    assert_int_equal(from, 0);
    assert_int_equal(deco_comm_threads(c), 0);
    deco_comm_close(c, DECO_OK, false);
}

/* Each part follows the one before, and together they are the batch. */
static void parts_are_the_whole_batch(void **state)
{
    (void)state;
    for (int size = 1; size <= 5; size++)
        for (int64_t whole = 1; whole < 12; whole++)
            for (int64_t n = 1; n <= whole; n++) {
                deco_comm c = {.size = size};
                int64_t next = 0, from;
                for (int g = 0; g < size; g++) {
                    int64_t count = deco_comm_part(&from, &c, g, n, whole);
                    assert_true(from == next && count >= 0 && count <= (whole + size - 1) / size);
                    next += count;
                }
                assert_int_equal(next, n);
            }
}

static comm_place place(const char *host, int from, int cpus, int quota)
{
    comm_place p = {.quota = quota};
    snprintf(p.host, sizeof p.host, "%s", host);
    for (int i = from; i < from + cpus; i++)
        p.cpu[i / 8] |= (unsigned char)(1 << i % 8);
    return p;
}

static void cores_are_shared_out(void **state)
{
    (void)state;
    comm_place two[4] = {place("a", 0, 2, 0), place("a", 0, 2, 0), place("a", 0, 2, 0), place("a", 0, 2, 0)};
    assert_int_equal(comm_threads(two, 4, 3), 1); /* 4 workers on 2 cores */
    assert_int_equal(comm_threads(two, 1, 0), 2);
    comm_place bound[2] = {place("a", 0, 16, 0), place("a", 16, 16, 0)};
    assert_int_equal(comm_threads(bound, 2, 1), 16); /* bound to cores of their own already */
    comm_place hosts[3] = {place("a", 0, 8, 0), place("b", 0, 8, 0), place("a", 0, 8, 0)};
    assert_int_equal(comm_threads(hosts, 3, 0), 4);
    assert_int_equal(comm_threads(hosts, 3, 1), 8);
    comm_place quota[2] = {place("a", 0, 64, 6), place("a", 0, 64, 6)};
    assert_int_equal(comm_threads(quota, 2, 0), 3);
}

/* As one of the processes of mpirun: what the others hold is known, so each looks at its own. */
static int work_for_mpi(void)
{
    static board b;
    deco_monitor *m = NULL;
    deco_comm *c = NULL;
    int rank, size;
    double sum;

    if (deco_monitor_create(&m, note, b.log[0]) || deco_comm_open(&c, 60, m) || !c) {
        fprintf(stderr, "no workers: %s\n", deco_error());
        return 1;
    }
    rank = deco_comm_rank(c), size = deco_comm_size(c);
    printf("worker %d of %s\n", rank, deco_comm_words(c));
    reduce(&b, c, rank);
    for (int i = 0; i < N; i++) {
        sum = 0;
        for (int g = 0; g < size; g++)
            sum += (double)(float)((0.25 + g) * (double)number(g, i));
        if (b.status[rank] || b.sum[rank][i] != (float)sum || b.shared[rank][i % 3000] != 7 || b.gathered[rank][size * size - 1] != size) {
            fprintf(stderr, "worker %d: number %d is %g, not %g; %s\n", rank, i, (double)b.sum[rank][i], sum, deco_error());
            return 1;
        }
    }
    deco_monitor_free(m);
    return *b.log[0] ? 1 : 0;
}

int main(void)
{
    if (getenv("OMPI_COMM_WORLD_SIZE"))
        return work_for_mpi();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_everything_is_as_it_is),
        cmocka_unit_test(parts_are_the_whole_batch),
        cmocka_unit_test(cores_are_shared_out),
        cmocka_unit_test(sums_are_of_the_workers_in_their_order_whoever_comes_first),
        cmocka_unit_test(blocks_larger_than_any_buffer_pass_both_ways_at_once),
        cmocka_unit_test(a_killed_worker_ends_the_job_with_one_message),
        cmocka_unit_test(a_stopped_worker_ends_it_when_its_time_is_over),
        cmocka_unit_test(a_worker_that_does_nothing_ends_it_too),
        cmocka_unit_test(a_failure_of_one_is_told_by_the_first),
        cmocka_unit_test(the_loss_of_the_first_is_said_by_the_second),
        cmocka_unit_test(a_failure_of_the_first_ends_all_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
