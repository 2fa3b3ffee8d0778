/* A resumed run: how it is asked for, and what may be given otherwise. */
#include "config/options.h"
#include "config/table.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_options *o;

static int fresh(void **state) { return deco_options_create(&o); }

static int done(void **state)
{
    deco_options_free(o);
    return 0;
}

static void put(const char *name, const char *value) { assert_int_equal(deco_options_put(o, name, value, DECO_FROM_COMMAND), DECO_OK); }

static void resume_takes_auto_a_path_or_an_epoch_and_load_is_auto(void **state)
{
    static const char *const words[][2] = {{"auto", "auto"}, {"True", "auto"}, {"yes", "auto"}, {"12", "12"},   {"1", "1"},   {"0", "0"},
                                           {"-1", "-1"},     {"a/b", "a/b"},   {"False", NULL}, {"none", NULL}, {"off", NULL}};
    assert_null(deco_options_resume(o));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        put("resume", words[i][0]);
        if (words[i][1])
            assert_string_equal(deco_options_resume(o), words[i][1]);
        else
            assert_null(deco_options_resume(o));
    }
    put("load", "True");
    put("resume", "");
    assert_string_equal(deco_options_resume(o), "auto");
}

/* The job.yaml of a run with these options. */
static const char *job_yaml(void)
{
    deco_options *was;
    char *text;
    static const char *const given[][2] = {
        {"particles", "/data/J12"}, {"outdir", "here"},  {"lr", "1e-3"},          {"seed", "7"}, {"k_num", "3"},
        {"threads", "8"},           {"epochs_sgd", "5"}, {"search_radii", "8,10"}};
    assert_int_equal(deco_options_create(&was), DECO_OK);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        assert_int_equal(deco_options_put(was, given[i][0], given[i][1], DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(deco_options_write_yaml(&text, was, DECO_FOR_RUN), DECO_OK);
    const char *path = scratch_put("job.yaml", text, strlen(text));
    free(text);
    deco_options_free(was);
    return path;
}

static void what_is_not_given_is_the_runs_own(void **state)
{
    deco_options *now;
    put("resume", "auto");
    put("outdir", "there");
    assert_int_equal(deco_options_continue(&now, o, job_yaml()), DECO_OK);
    assert_true(now->lr == 1e-3 && now->seed == 7 && now->k_num == 3 && now->threads == 8 && now->epochs_sgd == 5);
    assert_int_equal(now->search_radii.count, 2);
    assert_string_equal(now->particles.items[0], "/data/J12");
    assert_string_equal(now->outdir, "there");
    assert_null(deco_options_resume(now));
    assert_true(deco_option_given(now, DECO_OPT_seed));
    deco_options_free(now);
}

static void what_may_change_does_and_the_same_again_does_no_harm(void **state)
{
    deco_options *now;
    static const char *const given[][2] = {{"load", "True"},  {"lr", "0.001"},          {"seed", "7"},
                                           {"k_num", "4"},    {"threads", "2"},         {"epochs_sgd", "50"},
                                           {"device", "cpu"}, {"search_radii", "8,10"}, {"particles", "/elsewhere/J12"}};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        put(given[i][0], given[i][1]);
    assert_int_equal(deco_options_continue(&now, o, job_yaml()), DECO_OK);
    assert_true(now->lr == 1e-3 && now->k_num == 4 && now->threads == 2 && now->epochs_sgd == 50);
    assert_int_equal(now->particles.count, 1);
    assert_string_equal(now->particles.items[0], "/elsewhere/J12");
    assert_null(deco_options_resume(now));
    deco_options_free(now);
}

static void all_that_would_make_it_another_run_is_named_with_both_values(void **state)
{
    deco_options *now;
    static const char *const given[][2] = {{"resume", "auto"},  {"lr", "0.002"},       {"seed", "8"},       {"k_num", "9"},
                                           {"epochs_sgd", "4"}, {"search_radii", "8"}, {"ind", "rows.npy"}, {"t_extent", "5"}};
    static const char *const said[] = {"lr was 0.001 and is 0.002", "seed was 7 and is 8", "epochs_sgd was 5 and is 4 (it may only grow)",
                                       "search_radii was 8, 10 and is 8", "job.yaml"};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        put(given[i][0], given[i][1]);
    assert_int_equal(deco_options_continue(&now, o, job_yaml()), DECO_E_ARGUMENT);
    assert_null(now);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(deco_error(), said[i]))
            fail_msg("'%s' is not in: %s", said[i], deco_error());
    assert_null(strstr(deco_error(), "k_num")); /* may change, like ind, whose rows the digest knows */
    assert_null(strstr(deco_error(), "ind was"));
}

/* A preset counts as given: another one is another run. */
static void another_presets_values_are_refused(void **state)
{
    deco_options *now;
    put("resume", "auto");
    assert_int_equal(deco_options_put(o, "hypervolume_dim", "64", DECO_FROM_PRESET), DECO_OK);
    assert_int_equal(deco_options_continue(&now, o, job_yaml()), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "hypervolume_dim was 256 and is 64"));
}

static void options_that_may_only_grow_are_whole_numbers(void **state)
{
    for (int i = 0; i < DECO_OPTIONS; i++)
        if (option_table[i].commands & DECO_MAY_GROW)
            assert_int_equal(option_table[i].kind, OPTION_INT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resume_takes_auto_a_path_or_an_epoch_and_load_is_auto, fresh, done),
        cmocka_unit_test_setup_teardown(what_is_not_given_is_the_runs_own, fresh, done),
        cmocka_unit_test_setup_teardown(what_may_change_does_and_the_same_again_does_no_harm, fresh, done),
        cmocka_unit_test_setup_teardown(all_that_would_make_it_another_run_is_named_with_both_values, fresh, done),
        cmocka_unit_test_setup_teardown(another_presets_values_are_refused, fresh, done),
        cmocka_unit_test(options_that_may_only_grow_are_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
