/* Event files: the checksum's known value, and records as their readers expect them. */
#include "formats/tensorboard.h"
#include "base/file.h"
#include "support/scratch.h"

#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void ok(deco_status st)
{
    if (st)
        fail_msg("%s", deco_error());
}

static void the_checksum_is_crc32c(void **state)
{
    (void)state;
    assert_int_equal(deco_crc32c("123456789", 9), 0xe3069283); /* RFC 3720's polynomial; the usual check value */
    assert_int_equal(deco_crc32c("", 0), 0);
}

static void records_follow_one_another_to_the_end(void **state)
{
    static const float x[] = {1, 2, NAN, 3};
    deco_events *e;
    glob_t found;
    char *bytes;
    size_t n;
    int records = 0;

    (void)state;
    ok(deco_events_create(&e, scratch("summaries"), -1));
    ok(deco_events_scalar(e, "loss", -1, 0.5));
    ok(deco_events_histogram(e, "latents", 3, x, 4));
    ok(deco_events_histogram(e, "nothing", 3, x + 2, 1)); /* no record */
    assert_int_equal(deco_events_png(e, "map", 3, "short", 5), DECO_E_FORMAT);
    deco_events_free(e);
    assert_int_equal(glob(scratch("summaries/events.out.tfevents.*"), 0, NULL, &found), 0);
    ok(deco_file_get(&bytes, &n, found.gl_pathv[0], 0));
    for (size_t at = 0; at < n; records++) {
        uint64_t length;
        memcpy(&length, bytes + at, sizeof length);
        assert_true(at + 16 + length <= n);
        at += 16 + length;
    }
    assert_int_equal(records, 4); /* version, session, a number, a histogram */
    free(bytes);
    globfree(&found);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    deco_events *e;
    (void)state;
    scratch_put("file", "x", 1);
    assert_int_equal(deco_events_create(&e, scratch("file/below"), 0), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "file"));
    assert_null(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(records_follow_one_another_to_the_end),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
