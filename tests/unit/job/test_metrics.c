/* metrics.jsonl of a run that goes on from an earlier place: each epoch stands there once. */
#include "base/file.h"
#include "job/metrics.h"
#include "support/scratch.h"

#include <sys/stat.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char lines[] = "{\"time\":1,\"event\":\"start\",\"seed\":\"5\"}\n"
                            "{\"time\":2,\"event\":\"epoch\",\"epoch\":-1,\"loss\":2}\n"
                            "{\"time\":3,\"event\":\"epoch\",\"epoch\":0,\"loss\":1}\n"
                            "{\"time\":4,\"event\":\"map\",\"epoch\":0}\n"
                            "{\"time\":5,\"event\":\"epoch\",\"epoch\":1,\"loss\":0.5}\n"
                            "half of a line that was closed\n"
                            "{\"time\":6,\"event\":\"start\",\"seed\":\"5\"}\n"
                            "{\"time\":7,\"event\":\"epo";

static void expect(int64_t epoch, const char *content)
{
    char *text;
    size_t n;
    scratch_put("run/metrics.jsonl", lines, strlen(lines));
    assert_int_equal(deco_metrics_forget_after(scratch("run"), epoch), DECO_OK);
    assert_int_equal(deco_file_get(&text, &n, scratch("run/metrics.jsonl"), 0), DECO_OK);
    assert_string_equal(text, content);
    free(text);
}

static void later_epochs_and_half_lines_go_and_the_rest_stays_as_it_is(void **state)
{
    assert_int_equal(mkdir(scratch("run"), 0700), 0);
    assert_int_equal(deco_metrics_forget_after(scratch("run"), 0), DECO_OK); /* there is none */
    assert_false(deco_path_exists(scratch("run/metrics.jsonl")));
    expect(0, "{\"time\":1,\"event\":\"start\",\"seed\":\"5\"}\n"
              "{\"time\":2,\"event\":\"epoch\",\"epoch\":-1,\"loss\":2}\n"
              "{\"time\":3,\"event\":\"epoch\",\"epoch\":0,\"loss\":1}\n"
              "{\"time\":4,\"event\":\"map\",\"epoch\":0}\n"
              "{\"time\":6,\"event\":\"start\",\"seed\":\"5\"}\n");
    expect(-2, "{\"time\":1,\"event\":\"start\",\"seed\":\"5\"}\n"
               "{\"time\":6,\"event\":\"start\",\"seed\":\"5\"}\n");
}

static void the_last_word_on_an_epochs_latents_is_read(void **state)
{
    static const char text[] =
        "{\"event\":\"epoch\",\"epoch\":3,\"moved_latents\":0.5}\n{\"event\":\"map\",\"epoch\":3,\"moved_latents\":9}\nhalf of a li\n"
        "{\"event\":\"epoch\",\"epoch\":4,\"loss\":1}\n";
    double moved = 0;

    scratch_put("run/metrics.jsonl", text, strlen(text));
    assert_int_equal(deco_metrics_latents_moved(&moved, scratch("run"), 3), DECO_OK);
    assert_true(moved == 0.5);
    assert_int_equal(deco_metrics_latents_moved(&moved, scratch("run"), 4), DECO_OK);
    assert_true(moved != moved);
    assert_int_equal(deco_metrics_latents_moved(&moved, scratch("nowhere"), 3), DECO_OK);
    assert_true(moved != moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_epochs_and_half_lines_go_and_the_rest_stays_as_it_is),
        cmocka_unit_test(the_last_word_on_an_epochs_latents_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
