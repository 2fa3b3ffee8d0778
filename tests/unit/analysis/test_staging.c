/* A directory appears whole or not at all, and replaces what it has anew. */
#include "analysis/staging.h"
#include "base/file.h"
#include "support/scratch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void ok(deco_status st)
{
    if (st)
        fail_msg("%s", deco_error());
}

static void put(const char *directory, const char *folder, const char *name, const char *text)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", directory, folder);
    ok(deco_directory_make(path));
    snprintf(path, sizeof path, "%s/%s/%s", directory, folder, name);
    ok(deco_file_put(path, text, strlen(text)));
}

static bool holds(const char *directory, const char *name, const char *text)
{
    char path[2048], *found = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (!deco_path_exists(path))
        return false;
    ok(deco_file_get(&found, &n, path, 0));
    bool same = !strcmp(found, text);
    free(found);
    return same;
}

static void nothing_stands_there_before_it_is_published(void **state)
{
    const char *directory = scratch("first");
    deco_staging s;
    char path[1024];

    ok(deco_staging_begin(&s, directory, false, NULL));
    snprintf(path, sizeof path, "%s", s.path);
    put(s.path, "a", "x", "1");
    assert_false(deco_path_exists(directory));
    ok(deco_staging_publish(&s));
    deco_staging_end(&s);
    assert_true(holds(directory, "a/x", "1"));
    assert_false(deco_path_exists(path));
}

static void what_is_not_published_is_removed(void **state)
{
    const char *directory = scratch("second");
    deco_staging s;
    char path[1024];

    ok(deco_staging_begin(&s, directory, false, NULL));
    snprintf(path, sizeof path, "%s", s.path);
    put(s.path, "a", "x", "1");
    deco_staging_end(&s);
    assert_false(deco_path_exists(directory));
    assert_false(deco_path_exists(path));
}

static void parts_replace_their_namesakes_and_the_others_stay(void **state)
{
    const char *directory = scratch("third");
    deco_staging s;

    put(directory, "a", "x", "old");
    put(directory, "a", "gone", "old");
    put(directory, "b", "y", "kept");
    ok(deco_staging_begin(&s, directory, false, NULL));
    put(s.path, "a", "x", "new");
    put(s.path, "c", "z", "new");
    put(s.path, ".", "file", "new");
    ok(deco_staging_publish(&s));
    deco_staging_end(&s);
    assert_true(holds(directory, "a/x", "new"));
    assert_false(holds(directory, "a/gone", "old"));
    assert_true(holds(directory, "b/y", "kept"));
    assert_true(holds(directory, "c/z", "new"));
    assert_true(holds(directory, "file", "new"));
}

static void what_a_killed_job_left_is_not_taken_over(void **state)
{
    const char *directory = scratch("fourth");
    deco_staging s;

    put(scratch(".fourth.new"), "a", "half", "1");
    ok(deco_staging_begin(&s, directory, false, NULL));
    put(s.path, "a", "x", "1");
    ok(deco_staging_publish(&s));
    deco_staging_end(&s);
    assert_true(holds(directory, "a/x", "1"));
    assert_false(holds(directory, "a/half", "1"));
}

static void one_at_a_time_makes_it(void **state)
{
    const char *directory = scratch("shared");
    deco_staging s, t;
    deco_monitor *m;

    ok(deco_staging_begin(&s, directory, false, NULL));
    put(s.path, "a", "x", "1");
    assert_int_equal(deco_staging_begin(&t, directory, false, NULL), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "shared is being made by another process"));
    deco_staging_end(&t); /* takes nothing of the other's away */
    ok(deco_monitor_create(&m, NULL, NULL));
    deco_monitor_stop(m);
    assert_int_equal(deco_staging_begin(&t, directory, true, m), DECO_E_STOPPED);
    deco_staging_end(&t);
    deco_monitor_free(m);
    ok(deco_staging_publish(&s));
    deco_staging_end(&s);
    assert_true(holds(directory, "a/x", "1"));
    assert_false(deco_path_exists(scratch(".shared.lock")));
    ok(deco_staging_begin(&t, directory, false, NULL));
    deco_staging_end(&t);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    deco_staging s;

    scratch_put("plain", "file", 4);
    assert_int_equal(deco_staging_begin(&s, scratch("plain/analysis_3"), false, NULL), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "plain"));
    deco_staging_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stands_there_before_it_is_published),
        cmocka_unit_test(what_is_not_published_is_removed),
        cmocka_unit_test(parts_replace_their_namesakes_and_the_others_stay),
        cmocka_unit_test(what_a_killed_job_left_is_not_taken_over),
        cmocka_unit_test(one_at_a_time_makes_it),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
