/* The run's directory: what killed processes left goes, and nothing else. */
#include "base/file.h"
#include "job/outdir.h"
#include "support/scratch.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static pid_t dead_pid(void)
{
    pid_t pid = fork();
    if (!pid)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void put(const char *format, long pid)
{
    char name[128];
    snprintf(name, sizeof name, format, pid);
    scratch_put(name, "x", 1);
}

static bool there(const char *format, long pid)
{
    char name[128];
    snprintf(name, sizeof name, format, pid);
    return deco_path_exists(scratch(name));
}

static void only_unfinished_files_of_dead_processes_are_swept(void **state)
{
    static const char *const swept[] = {"run/.job.yaml.tmp-%ld-0", "run/out/.weights.3.safetensors.tmp-%ld-12",
                                        "run/out/.a.tmp-1-1.tmp-%ld-4", "run/out/progress/.map.3.png.tmp-%ld-1",
                                        "run/out/analysis_4/clustering2/.a.mrc.tmp-%ld-1"};
    static const char *const kept[] = {"run/out/weights.3.safetensors",
                                       "run/out/.weights.tmp-%ld-",
                                       "run/out/.weights.tmp-%ld-1.npy",
                                       "run/out/conf.npy.tmp-%ld-1",
                                       "run/.mine",
                                       "run/mine/.conf.npy.tmp-%ld-1"};
    long dead = dead_pid();

    assert_int_equal(mkdir(scratch("run"), 0700), 0);
    assert_int_equal(mkdir(scratch("run/out"), 0700), 0);
    assert_int_equal(mkdir(scratch("run/out/progress"), 0700), 0);
    assert_int_equal(mkdir(scratch("run/out/analysis_4"), 0700), 0);
    assert_int_equal(mkdir(scratch("run/out/analysis_4/clustering2"), 0700), 0);
    assert_int_equal(mkdir(scratch("run/mine"), 0700), 0);
    for (size_t i = 0; i < sizeof swept / sizeof *swept; i++)
        put(swept[i], dead);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        put(kept[i], dead);
    put("run/out/.conf.npy.tmp-%ld-1", (long)getppid()); /* lives */
    put("run/out/.conf.npy.tmp-%ld-2", (long)getpid());  /* of an earlier life: we write nothing yet */
    deco_outdir_sweep(scratch("run"));
    for (size_t i = 0; i < sizeof swept / sizeof *swept; i++)
        assert_false(there(swept[i], dead));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_true(there(kept[i], dead));
    assert_true(there("run/out/.conf.npy.tmp-%ld-1", (long)getppid()));
    assert_false(there("run/out/.conf.npy.tmp-%ld-2", (long)getpid()));
    deco_outdir_sweep(scratch("nowhere")); /* nothing there, nothing done */
}

static bool is_at(const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "back/%s/%s", folder, name);
    return deco_path_exists(scratch(path));
}

static void what_lies_beyond_an_earlier_checkpoint_is_kept_aside(void **state)
{
    static const char *const stays[] = {
        "uid.npy", "weights.-1.safetensors", "conf.3.npy", "weights.3.safetensors", "checkpoint.4.5.safetensors", "analysis_3"};
    static const char *const goes[] = {"checkpoint.4.6.safetensors", "weights.4.safetensors", "conf.4.npy", "reconstruct.10.mrc",
                                       "analysis_4_flipped"};
    char name[128];

    assert_int_equal(deco_directory_make(scratch("back/out")), DECO_OK);
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
        snprintf(name, sizeof name, "back/out/%s", stays[i]);
        scratch_put(name, "x", 1);
    }
    scratch_put("back/out/conf.5.npy", "x", 1); /* of a run that was killed before its weights: nothing to go back from */
    assert_int_equal(deco_outdir_leave_behind(scratch("back"), 3, 5, NULL), DECO_OK);
    assert_true(is_at("out", "conf.5.npy") && !deco_path_exists(scratch("back/old-out_000")));

    for (size_t i = 0; i < sizeof goes / sizeof *goes; i++) {
        snprintf(name, sizeof name, "back/out/%s", goes[i]);
        scratch_put(name, "x", 1);
    }
    assert_int_equal(deco_outdir_leave_behind(scratch("back"), 3, 5, NULL), DECO_OK);
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++)
        assert_true(is_at("out", stays[i]));
    for (size_t i = 0; i < sizeof goes / sizeof *goes; i++)
        assert_true(!is_at("out", goes[i]) && is_at("old-out_000/out", goes[i]));
    assert_true(is_at("old-out_000/out", "conf.5.npy"));
}

static void an_empty_out_of_a_killed_start_is_not_kept_aside(void **state)
{
    assert_int_equal(deco_directory_make(scratch("began/out")), DECO_OK);
    assert_int_equal(deco_outdir_prepare(scratch("began"), true, NULL), DECO_OK);
    assert_true(deco_path_exists(scratch("began/out")) && !deco_path_exists(scratch("began/old-out_000")));
    scratch_put("began/out/uid.npy", "x", 1);
    assert_int_equal(deco_outdir_prepare(scratch("began"), true, NULL), DECO_OK);
    assert_true(deco_path_exists(scratch("began/old-out_000/out/uid.npy")));
    scratch_put("began/out/uid.npy", "x", 1);
    assert_int_equal(deco_outdir_prepare(scratch("began"), false, NULL), DECO_OK); /* a resumed run's stay */
    assert_true(deco_path_exists(scratch("began/out/uid.npy")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_unfinished_files_of_dead_processes_are_swept),
                                       cmocka_unit_test(what_lies_beyond_an_earlier_checkpoint_is_kept_aside),
                                       cmocka_unit_test(an_empty_out_of_a_killed_start_is_not_kept_aside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
