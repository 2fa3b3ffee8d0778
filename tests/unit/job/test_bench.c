/* The benchmark says what it ran in the peers' words, and stops when asked. */
#include "base/monitor.h"
#include "job/bench.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static deco_options *options(const char *cases, const char *json)
{
    deco_options *o;
    assert_int_equal(deco_options_create(&o), DECO_OK);
    assert_int_equal(deco_options_set(o, "cases", cases), DECO_OK);
    assert_int_equal(deco_options_set(o, "json", json), DECO_OK);
    assert_int_equal(deco_options_set(o, "threads", "2"), DECO_OK);
    assert_int_equal(deco_options_set(o, "seconds", "0.01"), DECO_OK);
    return o;
}

static void json_has_a_line_a_case_in_the_peers_words(void **state)
{
    deco_options *o = options("decoder_train_small,sgemm", "true");
    char *text, *at;
    int lines = 0;
    assert_int_equal(deco_bench_run(&text, o, NULL), DECO_OK);
    at = text;
    for (char *line; (line = strsep(&at, "\n")) && *line; lines++) {
        cJSON *c = cJSON_Parse(line), *shape = cJSON_GetObjectItem(c, "shape");
        bool product = !strcmp(cJSON_GetObjectItem(c, "case")->valuestring, "sgemm");
        assert_true(cJSON_GetObjectItem(c, "value")->valuedouble > 0);
        assert_int_equal(cJSON_GetObjectItem(c, "threads")->valueint, 2);
        assert_string_equal(cJSON_GetObjectItem(c, "device")->valuestring, "cpu");
        assert_string_equal(cJSON_GetObjectItem(c, "unit")->valuestring, product ? "GFLOP/s" : "points/s");
        assert_int_equal(cJSON_GetObjectItem(shape, product ? "n" : "points")->valueint, product ? 1024 : 796);
        cJSON_Delete(c);
    }
    assert_int_equal(lines, 2);
    free(text);
    deco_options_free(o);
}

static void searches_have_the_peers_shape(void **state)
{
    deco_options *o = options("pose_search_sliced", "true");
    char *text;
    (void)state;
    assert_int_equal(deco_bench_run(&text, o, NULL), DECO_OK);
    cJSON *c = cJSON_Parse(text), *shape = cJSON_GetObjectItem(c, "shape");
    assert_string_equal(cJSON_GetObjectItem(c, "case")->valuestring, "pose_search_sliced");
    assert_string_equal(cJSON_GetObjectItem(c, "unit")->valuestring, "images/s");
    assert_true(cJSON_GetObjectItem(c, "value")->valuedouble > 0);
    assert_int_equal(cJSON_GetObjectItem(shape, "box")->valueint, 128);
    assert_int_equal(cJSON_GetObjectItem(shape, "z_dim")->valueint, 128);
    assert_int_equal(cJSON_GetObjectItem(shape, "l_end")->valueint, 32);
    assert_true(cJSON_GetObjectItem(shape, "batch")->valueint > 0);
    cJSON_Delete(c);
    free(text);
    deco_options_free(o);
}

static void latents_have_the_peers_shape(void **state)
{
    deco_options *o = options("pca", "true");
    char *text;
    (void)state;
    assert_int_equal(deco_bench_run(&text, o, NULL), DECO_OK);
    cJSON *c = cJSON_Parse(text), *shape = cJSON_GetObjectItem(c, "shape");
    assert_string_equal(cJSON_GetObjectItem(c, "case")->valuestring, "pca");
    assert_string_equal(cJSON_GetObjectItem(c, "unit")->valuestring, "rows/s");
    assert_true(cJSON_GetObjectItem(c, "value")->valuedouble > 0);
    assert_int_equal(cJSON_GetObjectItem(shape, "rows")->valueint, 100000);
    assert_int_equal(cJSON_GetObjectItem(shape, "dims")->valueint, 64);
    cJSON_Delete(c);
    free(text);
    deco_options_free(o);
}

static void unknown_case_names_those_there_are(void **state)
{
    deco_options *o = options("sgemm,sgem", "false");
    char *text;
    assert_int_equal(deco_bench_run(&text, o, NULL), DECO_E_ARGUMENT);
    assert_null(text);
    assert_non_null(strstr(deco_error(), "\"sgem\""));
    assert_non_null(strstr(deco_error(), "decoder_train"));
    assert_non_null(strstr(deco_error(), "pose_search_exact, pose_search_sliced"));
    deco_options_free(o);
}

static void stops_when_asked(void **state)
{
    deco_options *o = options("decoder_train_small", "false");
    deco_monitor *m;
    char *text;
    assert_int_equal(deco_options_set(o, "seconds", "3000"), DECO_OK);
    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    deco_monitor_stop(m);
    assert_int_equal(deco_bench_run(&text, o, m), DECO_E_STOPPED);
    assert_null(text);
    deco_monitor_free(m);
    deco_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_a_line_a_case_in_the_peers_words),
        cmocka_unit_test(searches_have_the_peers_shape),
        cmocka_unit_test(latents_have_the_peers_shape),
        cmocka_unit_test(unknown_case_names_those_there_are),
        cmocka_unit_test(stops_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
