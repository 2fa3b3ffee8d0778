/* The lock of a run's directory: one at a time, told by host and process, and gone with its process. */
#include "base/file.h"
#include "job/lock.h"
#include "support/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *folder;

static int make_folder(void **state)
{
    static char path[1024];
    static int number;
    char name[16];
    snprintf(name, sizeof name, "%d", number++);
    snprintf(path, sizeof path, "%s", scratch(name));
    folder = path;
    return mkdir(path, 0700);
}

static void put_owner(const char *host, long pid)
{
    char *path = deco_path_join(folder, "run.lock"), text[128];
    int n = snprintf(text, sizeof text, "%s %ld\n", host, pid);
    assert_int_equal(deco_file_put(path, text, (size_t)n), DECO_OK);
    free(path);
}

static bool is_there(void)
{
    char *path = deco_path_join(folder, "run.lock");
    bool there = deco_path_exists(path);
    free(path);
    return there;
}

static const char *this_host(void)
{
    static struct utsname u;
    assert_int_equal(uname(&u), 0);
    return u.nodename;
}

/* A process that takes the lock and then waits to be killed. */
static pid_t holder(void)
{
    int pipes[2];
    char ready;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        deco_lock *l;
        ready = deco_lock_take(&l, folder, NULL) == DECO_OK;
        if (write(pipes[1], &ready, 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], &ready, 1), 1);
    assert_int_equal(ready, 1);
    close(pipes[0]);
    close(pipes[1]);
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_released_lock_leaves_nothing(void **state)
{
    deco_lock *l;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(deco_lock_take(&l, folder, NULL), DECO_OK);
        assert_true(is_there());
        deco_lock_release(l);
        assert_false(is_there());
    }
    deco_lock_release(NULL);
}

static void a_second_process_is_refused_with_host_and_pid(void **state)
{
    char words[64];
    deco_lock *l = NULL;
    pid_t pid = holder();
    snprintf(words, sizeof words, "process %ld on host ", (long)pid);
    assert_int_equal(deco_lock_take(&l, folder, NULL), DECO_E_FILE);
    assert_null(l);
    assert_non_null(strstr(deco_error(), words));
    assert_non_null(strstr(deco_error(), this_host()));
    assert_non_null(strstr(deco_error(), folder));
    assert_true(is_there()); /* the other one's lock stays */
    end(pid);
}

static void two_runs_in_one_process_shut_each_other_out(void **state)
{
    deco_lock *first, *second;
    assert_int_equal(deco_lock_take(&first, folder, NULL), DECO_OK);
    assert_int_equal(deco_lock_take(&second, folder, NULL), DECO_E_FILE);
    deco_lock_release(first);
    assert_int_equal(deco_lock_take(&second, folder, NULL), DECO_OK);
    deco_lock_release(second);
}

static void listen(void *user, deco_level level, const char *line)
{
    (void)level;
    snprintf(user, 400, "%s", line);
}

static void the_lock_of_a_killed_process_is_taken_over_and_told(void **state)
{
    char heard[400] = "", words[64];
    deco_monitor *m;
    deco_lock *l;
    pid_t pid = holder();
    end(pid);
    assert_true(is_there());
    assert_int_equal(deco_monitor_create(&m, listen, heard), DECO_OK);
    assert_int_equal(deco_lock_take(&l, folder, m), DECO_OK);
    snprintf(words, sizeof words, "process %ld", (long)pid);
    assert_non_null(strstr(heard, words));
    deco_lock_release(l);
    deco_monitor_free(m);
}

/* A container begins its numbers anew: the process of before may have had ours. */
static void our_own_number_of_an_earlier_life_is_taken_over(void **state)
{
    deco_lock *l;
    put_owner(this_host(), (long)getpid());
    assert_int_equal(deco_lock_take(&l, folder, NULL), DECO_OK);
    deco_lock_release(l);
}

static void the_lock_of_another_host_is_refused_and_says_what_to_remove(void **state)
{
    deco_lock *l;
    put_owner("node17.cluster", 4711);
    assert_int_equal(deco_lock_take(&l, folder, NULL), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "process 4711 on host node17.cluster"));
    assert_non_null(strstr(deco_error(), "run.lock"));
    assert_non_null(strstr(deco_error(), "remove this file"));
    assert_non_null(strstr(deco_error(), "a sign of life"));
    assert_null(strstr(deco_error(), "stale"));
    assert_true(is_there());
}

static void a_stale_lock_is_named_with_its_age_and_left_alone(void **state)
{
    deco_lock *l;
    char *path = deco_path_join(folder, "run.lock");
    struct timespec old[2] = {{.tv_sec = time(NULL) - 7260}, {.tv_sec = time(NULL) - 7260}};
    put_owner("node17.cluster", 4711);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(deco_lock_take(&l, folder, NULL), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "stale: process 4711 on host node17.cluster gave no sign of life for 2.0 h"));
    assert_non_null(strstr(deco_error(), "remove this file"));
    assert_true(is_there());
    free(path);
}

static double lock_time(void)
{
    char *path = deco_path_join(folder, "run.lock");
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    free(path);
    return (double)s.st_mtim.tv_sec + 1e-9 * (double)s.st_mtim.tv_nsec;
}

static void wait_for(bool (*true_now)(void *), void *what)
{
    for (int i = 0; i < 2000 && !true_now(what); i++)
        usleep(10000);
    assert_true(true_now(what));
}

static bool is_later(void *than) { return lock_time() > *(double *)than; }
static bool is_stopped(void *monitor) { return deco_monitor_stopped(monitor); }

static void signs_of_life_come_and_end_with_a_stop_when_the_file_is_taken_away(void **state)
{
    deco_lock *l;
    deco_monitor *m;
    char *path = deco_path_join(folder, "run.lock");
    deco_lock_beat_s = 0.02;
    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    assert_int_equal(deco_lock_take(&l, folder, m), DECO_OK);
    double first = lock_time();
    wait_for(is_later, &first);
    assert_false(is_stopped(m));
    assert_int_equal(unlink(path), 0);
    put_owner("node17.cluster", 4711); /* a new owner */
    wait_for(is_stopped, m);
    deco_lock_release(l);
    assert_true(is_there()); /* the new one's stays */
    deco_monitor_free(m);
    deco_lock_beat_s = 30;
    free(path);
}

static void a_file_that_names_nobody_is_no_hindrance(void **state)
{
    deco_lock *l;
    char *path = deco_path_join(folder, "run.lock");
    assert_int_equal(deco_file_put(path, "", 0), DECO_OK); /* killed between taking it and writing */
    assert_int_equal(deco_lock_take(&l, folder, NULL), DECO_OK);
    deco_lock_release(l);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_released_lock_leaves_nothing, make_folder),
        cmocka_unit_test_setup(a_second_process_is_refused_with_host_and_pid, make_folder),
        cmocka_unit_test_setup(two_runs_in_one_process_shut_each_other_out, make_folder),
        cmocka_unit_test_setup(the_lock_of_a_killed_process_is_taken_over_and_told, make_folder),
        cmocka_unit_test_setup(our_own_number_of_an_earlier_life_is_taken_over, make_folder),
        cmocka_unit_test_setup(the_lock_of_another_host_is_refused_and_says_what_to_remove, make_folder),
        cmocka_unit_test_setup(a_stale_lock_is_named_with_its_age_and_left_alone, make_folder),
        cmocka_unit_test_setup(signs_of_life_come_and_end_with_a_stop_when_the_file_is_taken_away, make_folder),
        cmocka_unit_test_setup(a_file_that_names_nobody_is_no_hindrance, make_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
