/* Options as YAML: the way back is exact, and errors name file and line. */
#include "config/options.h"
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>

static deco_options *o;

static int fresh(void **state) { return deco_options_create(&o); }

static int done(void **state)
{
    deco_options_free(o);
    o = NULL;
    return 0;
}

static deco_status read_text(const char *text)
{
    return deco_options_read_yaml(o, scratch_put("job.yaml", text, strlen(text)), DECO_FROM_CONFIG);
}

static void refused(const char *text, deco_status status, const char *words)
{
    deco_status st = read_text(text);
    if (st != status || !strstr(deco_error(), words))
        fail_msg("%s\n-> status %d: %s", text, st, deco_error());
}

static void expect_same(const deco_options *a, const deco_options *b)
{
    for (int i = 0; i < DECO_OPTIONS; i++) {
        char *x = option_text(a, i), *y = option_text(b, i);
        assert_string_equal(x, y);
        free(x);
        free(y);
    }
}

static deco_options *there_and_back(int command)
{
    deco_options *back = NULL;
    char *text = NULL;

    assert_int_equal(deco_options_write_yaml(&text, o, command), DECO_OK);
    assert_int_equal(deco_options_create(&back), DECO_OK);
    if (deco_options_read_yaml(back, scratch_put("back.yaml", text, strlen(text)), DECO_FROM_CONFIG))
        fail_msg("%s\n%s", text, deco_error());
    free(text);
    return back;
}

static void values_of_all_kinds_are_read(void **state)
{
    assert_int_equal(read_text("# a comment\nk-num: 3\nwd: 1e-3\nuse_gt_poses: yes\noutdir: 'a b'\nclustering_type: k-means++\nseed:\n"
                               "particles: [J12]\nclass_weights: [1, 2.5]\ndatadir: ~\n"),
                     DECO_OK);
    assert_int_equal(o->k_num, 3);
    assert_true(o->wd == 1e-3);
    assert_true(o->use_gt_poses);
    assert_string_equal(o->outdir, "a b");
    assert_string_equal(o->clustering_type, "k-means++");
    assert_string_equal(o->particles.items[0], "J12");
    assert_int_equal(o->class_weights.count, 2);
    assert_false(deco_option_given(o, DECO_OPT_seed));
    assert_null(o->datadir);
    assert_int_equal(read_text("particles: J13\n"), DECO_OK); /* read again: instead, not besides */
    assert_int_equal(o->particles.count, 1);
    assert_int_equal(read_text(""), DECO_OK);
    assert_int_equal(read_text("# nothing\n"), DECO_OK);
}

static void the_way_back_is_exact(void **state)
{
    static const char *const values[][2] = {{"particles", "J 12, \"the: second\" #3 \\ \xC3\x85 ' \t"},
                                            {"outdir", "on"},
                                            {"datadir", "2026-01-31"},
                                            {"lr", "0.00012345678901234567"},
                                            {"wd", "0.1"},
                                            {"t_extent", "12345.678"},
                                            {"seed", "9007199254740991"},
                                            {"pretrained_model_path", "- x: {y}\nz \xE2\x80\xA8 end"},
                                            {"use_gt_poses", "True"},
                                            {"use_conf_encoder", "False"},
                                            {"feature_dim", "7"},
                                            {"n_imgs_pose_search", "1000000000000"},
                                            {"min_lr_encoder", "1e-300"}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(deco_options_put(o, values[i][0], values[i][1], DECO_FROM_COMMAND), DECO_OK);
    deco_options *back = there_and_back(DECO_FOR_RUN);
    expect_same(o, back);
    assert_int_equal(back->conf_table_dim, 7); /* resolved */
    deco_options_free(back);
}

/* Pseudo-random values of every real, whole and true-or-false option of every command that is kept for the next call. */
static void the_way_back_is_exact_for_any_number(void **state)
{
    uint64_t bits = 1;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < DECO_OPTIONS; i++) {
            const option_row *row = &option_table[i];
            option_range r = option_range_of(row->range);
            if (!strcmp(row->group, "this call"))
                continue;
            bits = bits * 6364136223846793005u + 1442695040888963407u;
            double u = (double)(bits >> 11) * 0x1p-53, high = r.high < 1e15 ? r.high : r.low + 1e9;
            char text[40];
            if (row->kind == OPTION_REAL)
                option_print_real(text, r.low + (high - r.low) * u * u * u);
            else if (row->kind == OPTION_INT)
                snprintf(text, sizeof text, "%.0f", r.low + (high - r.low) * u);
            else if (row->kind == OPTION_BOOL)
                strcpy(text, u < 0.5 ? "true" : "false");
            else
                continue;
            assert_int_equal(deco_options_put(o, row->name, text, DECO_FROM_COMMAND), DECO_OK);
        }
        deco_options *back = there_and_back(DECO_FOR_ALL);
        expect_same(o, back);
        deco_options_free(back);
    }
}

static void what_belongs_to_one_call_is_not_recorded(void **state)
{
    char *text = NULL;

    assert_int_equal(deco_options_put(o, "dry_run", "True", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_put(o, "epoch", "3", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_write_yaml(&text, o, DECO_FOR_RUN), DECO_OK);
    assert_null(strstr(text, "dry_run"));
    assert_null(strstr(text, "epoch:"));
    assert_null(strstr(text, "seed:")); /* not given */
    assert_null(strstr(text, "snr:"));  /* another command's */
    assert_non_null(strstr(text, "\nk_num: 8\n"));
    free(text);
    assert_int_equal(deco_options_put(o, "k_num", "auto", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_write_yaml(&text, o, DECO_FOR_RUN), DECO_OK);
    assert_non_null(strstr(text, "\nk_num: auto\n"));
    assert_non_null(strstr(text, "\nlr_conf_table: 1.0e-06\n"));
    free(text);
}

static void errors_name_file_and_line(void **state)
{
    refused("k_num: 3\nlr: x\n", DECO_E_ARGUMENT, "/job.yaml:2: lr is 'x'");
    refused("k_num: 3\n\nk-num: 4\n", DECO_E_FORMAT, "/job.yaml:3: k_num stands in line 1 already");
    refused("k_num: 3\nknum: 4\n", DECO_E_ARGUMENT, "/job.yaml:2: there is no option 'knum'; did you mean k_num?");
    refused("mixed_precision: bf16\n", DECO_E_ARGUMENT, "/job.yaml:1: mixed_precision belongs to accelerate");
    refused("k_num: [1, 2]\n", DECO_E_FORMAT, ":1: k_num takes one value, not a list");
    refused("k_num: {a: 1}\n", DECO_E_FORMAT, ":1: k_num must be a single word or number");
    refused("particles: [[a]]\n", DECO_E_FORMAT, ":1: particles must be a single word or number");
    refused("{a: b}: 1\n", DECO_E_FORMAT, ":1: a name must be a single word or number");
    refused("outdir: \"a\\0b\"\n", DECO_E_FORMAT, ":1: outdir holds a zero byte");
    refused("config: x.yaml\n", DECO_E_FORMAT, ":1: config cannot stand in such a file");
    refused("- a\n", DECO_E_FORMAT, ":1: lines of the form \"name: value\"");
    refused("k_num 3\n", DECO_E_FORMAT, ":1: lines of the form \"name: value\"");
    refused("k_num: 3\n---\nk_num: 4\n", DECO_E_FORMAT, ":2: a second document");
    refused("k_num: 3\n  lr: [\n", DECO_E_FORMAT, "job.yaml:2: not YAML");
    refused("k_num: *nowhere\n", DECO_E_FORMAT, "job.yaml:1: not YAML");
    refused("k_num: 3\n\tlr: 3\n", DECO_E_FORMAT, "job.yaml:2: not YAML");
    refused("outdir: \xFF\n", DECO_E_FORMAT, "job.yaml");
    assert_int_equal(deco_options_read_yaml(o, scratch("none.yaml"), DECO_FROM_CONFIG), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "none.yaml: cannot be read"));
    assert_int_equal(deco_options_read_yaml(o, "/", DECO_FROM_CONFIG), DECO_E_FILE);
}

#define with_options(f) cmocka_unit_test_setup_teardown(f, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_options(values_of_all_kinds_are_read),
        with_options(the_way_back_is_exact),
        with_options(the_way_back_is_exact_for_any_number),
        with_options(what_belongs_to_one_call_is_not_recorded),
        with_options(errors_name_file_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
