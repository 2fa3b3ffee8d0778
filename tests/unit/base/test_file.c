/* Files that are whole or absent, and reading that names what is wrong. */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder; /* each test's own */

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

static const char *at(const char *name)
{
    static char path[8][1200];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int entries(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void expect_content(const char *path, const char *text)
{
    char *got = NULL;
    size_t n;
    assert_int_equal(deco_file_get(&got, &n, path, 0), DECO_OK);
    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
    free(got);
}

static void a_file_appears_only_when_committed(void **state)
{
    deco_file *f = NULL;

    assert_int_equal(deco_file_create(&f, at("x")), DECO_OK);
    assert_int_equal(deco_file_print(f, "%s %d\n", "row", 7), DECO_OK);
    assert_false(deco_path_exists(at("x")));
    assert_int_equal(deco_file_commit(f), DECO_OK);
    expect_content(at("x"), "row 7\n");
    assert_int_equal(entries(folder), 1);
}

static void an_abandoned_file_leaves_nothing_and_the_old_one_stays(void **state)
{
    deco_file *f = NULL;

    assert_int_equal(deco_file_put(at("x"), "old", 3), DECO_OK);
    assert_int_equal(deco_file_create(&f, at("x")), DECO_OK);
    assert_int_equal(deco_file_print(f, "new"), DECO_OK);
    deco_file_abandon(f);
    deco_file_abandon(NULL);
    expect_content(at("x"), "old");
    assert_int_equal(entries(folder), 1);
}

static void large_writes_and_a_patched_header_land_in_place(void **state)
{
    enum { N = 300001 };
    char *bytes = malloc(N), *got = NULL;
    size_t n;
    deco_file *f = NULL;

    for (int i = 0; i < N; i++)
        bytes[i] = (char)(i * 31 >> 3);
    assert_int_equal(deco_file_create(&f, at("big")), DECO_OK);
    for (int i = 0, step = 1; i < N; i += step, step = step * 7 % 90001 + 1) /* pieces of all sizes, over and under the buffer */
        assert_int_equal(deco_file_write(f, bytes + i, (size_t)(i + step < N ? step : N - i)), DECO_OK);
    assert_int_equal(deco_file_seek(f, 5), DECO_OK);
    assert_int_equal(deco_file_write(f, "HEAD", 4), DECO_OK);
    assert_int_equal(deco_file_commit(f), DECO_OK);
    memcpy(bytes + 5, "HEAD", 4);
    assert_int_equal(deco_file_get(&got, &n, at("big"), 0), DECO_OK);
    assert_int_equal(n, N);
    assert_memory_equal(got, bytes, N);
    free(got);
    free(bytes);
}

static void killed_before_commit_no_file_stands_under_the_name(void **state)
{
    int status;
    pid_t child = fork();

    if (!child) {
        deco_file *f;
        if (deco_file_create(&f, at("x")) || deco_file_print(f, "half") || deco_file_seek(f, 4))
            _exit(1);
        raise(SIGKILL);
    }
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(deco_path_exists(at("x")));
    assert_int_equal(deco_file_put(at("x"), "whole", 5), DECO_OK);
    expect_content(at("x"), "whole");
}

static void two_writers_of_one_name_do_not_meet(void **state)
{
    deco_file *a = NULL, *b = NULL;

    assert_int_equal(deco_file_create(&a, at("x")), DECO_OK);
    assert_int_equal(deco_file_create(&b, at("x")), DECO_OK);
    assert_int_equal(deco_file_print(a, "first"), DECO_OK);
    assert_int_equal(deco_file_print(b, "second"), DECO_OK);
    assert_int_equal(deco_file_commit(a), DECO_OK);
    expect_content(at("x"), "first");
    assert_int_equal(deco_file_commit(b), DECO_OK);
    expect_content(at("x"), "second");
    assert_int_equal(entries(folder), 1);
}

/* In a child process: fill the place until it fails; 0 when the failure is as promised. */
static int write_until_full(const char *dir, const char *words)
{
    deco_file *f = NULL;
    deco_status st;
    char path[1200], block[4096] = {1};

    snprintf(path, sizeof path, "%s/x", dir);
    if (deco_file_create(&f, path))
        return 2;
    for (int i = 0; !(st = deco_file_write(f, block, sizeof block)) && i < 1000; i++)
        ;
    if (!st) {
        st = deco_file_commit(f);
        f = NULL;
    }
    deco_file_abandon(f);
    if (st != DECO_E_FILE || !strstr(deco_error(), words) || !strstr(deco_error(), "/x: cannot be written"))
        return 3;
    return entries(dir) ? 4 : 0;
}

static void a_file_over_the_size_limit_fails_and_leaves_nothing(void **state)
{
    int status;
    pid_t child = fork();

    if (!child) {
        struct rlimit limit = {100000, 100000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(write_until_full(folder, "File too large"));
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A disk of 64 kB, where this process may mount one (in a name space of its own). */
static void a_full_disk_says_so_and_leaves_nothing(void **state)
{
    enum { NOT_ALLOWED = 77 };
    int status;
    pid_t child = fork();

    if (!child) {
        if ((unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS)) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("tmpfs", folder, "tmpfs", 0, "size=64k"))
            _exit(NOT_ALLOWED);
        _exit(write_until_full(folder, "make room"));
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_ALLOWED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void places_that_cannot_be_written_are_named(void **state)
{
    deco_file *f = NULL;

    assert_int_equal(deco_file_create(&f, at("no/such/x")), DECO_E_FILE);
    assert_null(f);
    assert_non_null(strstr(deco_error(), "no/such/x: cannot be written: No such file"));
    assert_int_equal(deco_file_create(&f, folder), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "is a directory"));
    assert_int_equal(deco_directory_make(at("a/b/c")), DECO_OK);
    assert_int_equal(deco_directory_make(at("a/b/c/")), DECO_OK);
    assert_int_equal(deco_file_put(at("a/file"), "", 0), DECO_OK);
    assert_int_equal(deco_directory_make(at("a/file/b")), DECO_E_FILE);
    assert_int_equal(deco_directory_make(at("a/file")), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "a/file: is a file"));
}

static void what_cannot_be_read_is_named(void **state)
{
    char *text;
    size_t n;

    assert_int_equal(deco_file_get(&text, &n, at("none"), 0), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "/none: cannot be read: No such file"));
    assert_int_equal(deco_file_get(&text, &n, folder, 0), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "is a directory"));
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_int_equal(deco_file_get(&text, &n, at("pipe"), 0), DECO_E_FILE); /* and does not hang */
    assert_non_null(strstr(deco_error(), "is a pipe"));
    assert_int_equal(deco_file_put(at("x"), "12345", 5), DECO_OK);
    assert_int_equal(deco_file_get(&text, &n, at("x"), 4), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "has 5 bytes; at most 4"));
    assert_null(text);
    assert_int_equal(deco_file_get(&text, &n, at("x"), 5), DECO_OK);
    free(text);
}

static void a_short_file_names_its_end(void **state)
{
    char out[8];
    int fd;

    assert_int_equal(deco_file_put(at("x"), "0123456789", 10), DECO_OK);
    fd = open(at("x"), O_RDONLY);
    assert_int_equal(deco_read_at(fd, "x", out, 8, 2), DECO_OK);
    assert_memory_equal(out, "23456789", 8);
    assert_int_equal(deco_read_at(fd, "x", out, 8, 3), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "x: ends at byte 10, but 8 bytes are needed from byte 3"));
    assert_int_equal(deco_read_at(fd, "x", out, 8, UINT64_MAX - 2), DECO_E_FORMAT);
    assert_int_equal(deco_read_at(fd, "x", out, 8, (uint64_t)1 << 40), DECO_E_FORMAT);
    close(fd);
    assert_int_equal(deco_read_at(-1, "x", out, 8, 0), DECO_E_FILE);
}

static void expect_path(char *got, const char *expected)
{
    assert_string_equal(got, expected);
    free(got);
}

static void paths_come_apart_and_together(void **state)
{
    expect_path(deco_path_join("a", "b"), "a/b");
    expect_path(deco_path_join("a/", "b"), "a/b");
    expect_path(deco_path_join("a", "/b"), "/b");
    expect_path(deco_path_join("", "b"), "b");
    expect_path(deco_path_join("/", "b"), "/b");
    expect_path(deco_path_directory("a/b"), "a");
    expect_path(deco_path_directory("a//b/"), "a");
    expect_path(deco_path_directory("b"), ".");
    expect_path(deco_path_directory("/b"), "/");
    expect_path(deco_path_directory("/"), "/");
    assert_string_equal(deco_path_name("a/b.cs"), "b.cs");
    assert_string_equal(deco_path_name("b.cs"), "b.cs");
    assert_string_equal(deco_path_name("a/b/"), "b/");
    expect_path(deco_format("%d-%s", 5, "x"), "5-x");
}

#define file_test(f) cmocka_unit_test_setup(f, make_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        file_test(a_file_appears_only_when_committed),
        file_test(an_abandoned_file_leaves_nothing_and_the_old_one_stays),
        file_test(large_writes_and_a_patched_header_land_in_place),
        file_test(killed_before_commit_no_file_stands_under_the_name),
        file_test(two_writers_of_one_name_do_not_meet),
        file_test(a_file_over_the_size_limit_fails_and_leaves_nothing),
        file_test(a_full_disk_says_so_and_leaves_nothing),
        file_test(places_that_cannot_be_written_are_named),
        file_test(what_cannot_be_read_is_named),
        file_test(a_short_file_names_its_end),
        cmocka_unit_test(paths_come_apart_and_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
