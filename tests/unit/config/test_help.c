/* Help and JSON come from the table, whole and narrow enough to read. */
#include "config/options.h"
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int bit;
} commands[] = {{"run", DECO_FOR_RUN},
                {"analyze", DECO_FOR_ANALYZE},
                {"info", DECO_FOR_INFO},
                {"simulate", DECO_FOR_SIMULATE},
                {"bench", DECO_FOR_BENCH},
                {"options", DECO_FOR_OPTIONS},
                {"plugin", 0}};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void expect_at_most_100_columns(const char *text)
{
    int n = 0;
    for (const char *c = text; *c; c++) {
        n = *c == '\n' ? 0 : n + ((*c & 0xC0) != 0x80);
        if (n > 100)
            fail_msg("a line is too long: %.*s", 100, c - 99);
    }
}

static void each_command_lists_its_options_and_no_others(void **state)
{
    for (int c = 0; c < COMMANDS; c++) {
        char *text = NULL, name[80];
        assert_int_equal(deco_options_help(&text, commands[c].name, false), DECO_OK);
        expect_at_most_100_columns(text);
        for (int i = 0; i < DECO_OPTIONS; i++) {
            snprintf(name, sizeof name, "\n  --%s ", option_table[i].name);
            if (!strstr(text, name) != !(option_table[i].commands & commands[c].bit))
                fail_msg("%s: %s", commands[c].name, option_table[i].name);
        }
        deco_text_free(text);
    }
}

static void help_gives_default_range_and_unit(void **state)
{
    char *text = NULL;

    assert_int_equal(deco_options_help(&text, "run", false), DECO_OK);
    assert_non_null(strstr(text, "--lr X "));
    assert_non_null(strstr(text, "[0<..1; default 1e-4]"));
    assert_non_null(strstr(text, "[1..1024 poses; default 8]"));
    deco_text_free(text);
}

static void the_list_of_commands_names_each(void **state)
{
    char *text = NULL, name[80];

    assert_int_equal(deco_options_help(&text, NULL, false), DECO_OK);
    expect_at_most_100_columns(text);
    for (int c = 0; c < COMMANDS; c++) {
        snprintf(name, sizeof name, "\n  cryodeco %s ", commands[c].name);
        assert_non_null(strstr(text, name));
    }
    assert_non_null(strstr(text, "75 stopped"));
    deco_text_free(text);
    assert_int_equal(deco_options_help(&text, "walk", false), DECO_E_ARGUMENT);
    assert_null(text);
}

static void the_table_has_a_line_for_every_option(void **state)
{
    char *text = NULL, name[80];

    assert_int_equal(deco_options_help(&text, NULL, true), DECO_OK);
    for (int i = 0; i < DECO_OPTIONS; i++) {
        snprintf(name, sizeof name, "\n%s ", option_table[i].name);
        const char *line = strstr(text, name);
        assert_non_null(line);
        const char *end = strchr(line + 1, '\n'), *help = strstr(line, option_table[i].help);
        assert_true(help && help < end);
    }
    deco_text_free(text);
}

static const cJSON *named(const cJSON *all, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, all) if (!strcmp(cJSON_GetObjectItem(item, "name")->valuestring, name)) return item;
    return NULL;
}

static void json_says_what_the_table_says(void **state)
{
    char *text = NULL;

    assert_int_equal(deco_options_json(&text, DECO_FOR_RUN), DECO_OK);
    cJSON *all = cJSON_Parse(text);
    assert_non_null(all);
    for (int i = 0; i < DECO_OPTIONS; i++)
        assert_int_equal(named(all, option_table[i].name) != NULL, (option_table[i].commands & DECO_FOR_RUN) != 0);

    const cJSON *k = named(all, "k_num"), *lr = named(all, "lr"), *type = named(all, "clustering_type"), *seed = named(all, "seed");
    assert_string_equal(cJSON_GetObjectItem(k, "type")->valuestring, "int");
    assert_true(cJSON_GetObjectItem(k, "default")->valuedouble == 8);
    assert_true(cJSON_GetObjectItem(k, "minimum")->valuedouble == 1);
    assert_true(cJSON_GetObjectItem(k, "maximum")->valuedouble == 100000);
    assert_string_equal(cJSON_GetObjectItem(k, "unit")->valuestring, "clusters");
    assert_string_equal(cJSON_GetObjectItem(k, "word")->valuestring, "auto");
    assert_null(cJSON_GetObjectItem(lr, "word"));
    assert_true(cJSON_GetObjectItem(lr, "exclusive_minimum")->valuedouble == 0);
    assert_null(cJSON_GetObjectItem(lr, "minimum"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(type, "choices")), 5);
    assert_string_equal(cJSON_GetObjectItem(type, "default")->valuestring, "gmm");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(seed, "default")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(named(all, "use_gt_poses"), "default")));
    cJSON_Delete(all);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_lists_its_options_and_no_others),
        cmocka_unit_test(help_gives_default_range_and_unit),
        cmocka_unit_test(the_list_of_commands_names_each),
        cmocka_unit_test(the_table_has_a_line_for_every_option),
        cmocka_unit_test(json_says_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
