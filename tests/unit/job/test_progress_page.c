/* The progress page says what is true of the run, also of one that was resumed, and cannot make it fail. */
#include "job/progress_data.h"
#include "job/progress_page.h"
#include "unit/particles/toy_job.h"

enum { ROWS = 12 };

typedef struct run {
    deco_options *o;
    deco_particles *p;
    deco_progress_page *page;
    char outdir[700];
} run;

static void put(const run *r, const char *name, const char *text)
{
    char path[800];
    snprintf(path, sizeof path, "%s/%s", r->outdir, name);
    toy_ok(deco_file_put(path, text, strlen(text)));
}

static char *page_text(const run *r)
{
    char path[800], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/out/progress.html", r->outdir);
    toy_ok(deco_file_get(&text, &n, path, 0));
    return text;
}

static run begin(const char *name)
{
    toy j = toy_begin(ROWS, NULL);
    run r = {0};
    char out[800];

    toy_write(&j);
    toy_ok(deco_particles_open(&r.p, j.job, NULL, TOY_ALL, NULL));
    snprintf(r.outdir, sizeof r.outdir, "%s", scratch(name));
    snprintf(out, sizeof out, "%s/out", r.outdir);
    toy_ok(deco_directory_make(out));
    toy_ok(deco_options_create(&r.o));
    toy_ok(deco_options_set(r.o, "outdir", r.outdir));
    toy_ok(deco_options_set(r.o, "n_imgs_pose_search", "0"));
    toy_ok(deco_options_set(r.o, "epochs_sgd", "4"));
    toy_ok(deco_options_set(r.o, "seed", "3"));
    toy_ok(deco_progress_page_create(&r.page, r.o, r.p, 50, NULL));
    return r;
}

static void end(run *r)
{
    deco_progress_page_free(r->page);
    deco_particles_free(r->p);
    deco_options_free(r->o);
}

static void holds(const run *r, const char *words)
{
    char *text = page_text(r);
    if (!strstr(text, words))
        fail_msg("\"%s\" is not in the page", words);
    free(text);
}

static void holds_not(const run *r, const char *words)
{
    char *text = page_text(r);
    if (strstr(text, words))
        fail_msg("\"%s\" is in the page", words);
    free(text);
}

static void only_a_running_page_asks_to_be_looked_at_again(void **state)
{
    run r = begin("states");

    (void)state;
    deco_progress_page_begin(r.page, &(deco_position){.epoch = -2});
    holds(&r, "http-equiv=\"refresh\"");
    holds(&r, "class=\"state running\"");
    holds(&r, "pretraining of the decoder");
    holds(&r, "about 50 s more"); /* the forecast */
    holds(&r, "it was killed: go on with <code>cryodeco run --outdir");
    holds_not(&r, "data-due=\"0\"");
    deco_progress_page_end(r.page, DECO_PAGE_STOPPED, "stopped on request in epoch 3");
    holds_not(&r, "http-equiv=\"refresh\"");
    holds(&r, "class=\"state stopped\"");
    holds(&r, "--resume");
    holds(&r, "stopped on request in epoch 3");
    holds(&r, "data-due=\"0\"");
    deco_progress_page_end(r.page, DECO_PAGE_FAILED, "<b>disk</b> full");
    holds(&r, "class=\"state failed\"");
    holds(&r, "&lt;b&gt;disk&lt;/b&gt; full");
    deco_progress_page_end(r.page, DECO_PAGE_DONE, "maps here");
    holds(&r, "class=\"state done\"");
    holds(&r, "maps here");
    holds_not(&r, "about 50 s more");
    end(&r);
}

static void epochs_and_warnings_of_earlier_sittings_are_shown(void **state)
{
    run r = begin("resumed");

    (void)state;
    put(&r, "metrics.jsonl",
        "{\"time\":1,\"event\":\"start\"}\n"
        "{\"time\":2,\"event\":\"epoch\",\"epoch\":-1,\"kind\":\"pretraining\",\"loss\":2.5,\"radius\":4,\"seconds\":1,\"images_per_s\":12}"
        "\n"
        "{\"time\":2,\"event\":\"map\",\"epoch\":-1}\n"
        "{\"time\":3,\"event\":\"epoch\",\"epoch\":0,\"kind\":\"search\",\"loss\":1.25,\"radius\":4,\"seconds\":3,\"moved_deg\":99.5}\n"
        "{\"time\":4,\"event\":\"epoch\",\"epoch\":1,\"kind\":\"search\",\"loss\":7.75,\"radius\":4,\"seconds\":4}\n"
        "no JSON\n"
        "{\"time\":5,\"event\":\"epoch\",\"epoch\":1,\"kind\":\"search\",\"loss\":1.125,\"radius\":4,\"seconds\":4}\n"
        "{\"time\":6,\"event\":\"epoch\",\"epo");
    put(&r, "run.log", "2026-01-31 12:00:00  a line\n2026-01-31 12:00:01  warning: <odd> contrast\n2026-01-31 12:00:02  warning: half");
    deco_progress_page_begin(r.page, &(deco_position){.epoch = 1});
    holds(&r, "1.250000");
    holds(&r, "1.125000");
    holds_not(&r, "7.750000"); /* done again after a resume */
    holds(&r, "<td>99.5</td>");
    holds(&r, "1 warning<");
    holds(&r, "&lt;odd&gt; contrast");
    holds_not(&r, "half");
    holds(&r, "progress/map.-1.png");
    holds(&r, "reconstruct.-1.mrc");
    holds(&r, "Epoch 2 of 0 to 5");
    end(&r);
}

static void only_new_lines_are_read_and_of_many_warnings_the_last_are_kept(void **state)
{
    progress_data d = {0};
    run r = begin("lines");
    char path[800], *all = NULL;
    size_t n;
    FILE *to = open_memstream(&all, &n);

    (void)state;
    for (int i = 0; i < 100; i++)
        fprintf(to, "2026-01-31 12:00:00  warning: number %d\n", i);
    fclose(to);
    put(&r, "run.log", all);
    toy_ok(progress_data_read(&d, r.outdir));
    toy_ok(progress_data_read(&d, r.outdir));
    assert_int_equal(d.warnings, 100);
    assert_int_equal(d.shown, PROGRESS_WARNINGS);
    assert_non_null(strstr(d.warning[PROGRESS_WARNINGS - 1], "number 99"));
    snprintf(path, sizeof path, "%s/run.log", r.outdir);
    FILE *more = fopen(path, "a");
    fputs("2026-01-31 12:00:00  warning: later", more);
    fclose(more);
    toy_ok(progress_data_read(&d, r.outdir));
    assert_int_equal(d.warnings, 100);
    more = fopen(path, "a");
    fputs(" on\n", more);
    fclose(more);
    toy_ok(progress_data_read(&d, r.outdir));
    assert_int_equal(d.warnings, 101);
    assert_non_null(strstr(d.warning[PROGRESS_WARNINGS - 1], "later on"));
    free(all);
    progress_data_free(&d);
    end(&r);
}

static void many_epochs_are_counted_right(void **state)
{
    progress_data d = {0};
    run r = begin("many");
    char *all = NULL;
    size_t n;
    FILE *to = open_memstream(&all, &n);

    (void)state;
    for (int i = 0; i < 300; i++)
        fprintf(to, "{\"event\":\"epoch\",\"epoch\":%d,\"loss\":%d}\n", i, i);
    fprintf(to, "{\"event\":\"epoch\",\"epoch\":250,\"loss\":0.5}\n");
    fclose(to);
    put(&r, "metrics.jsonl", all);
    toy_ok(progress_data_read(&d, r.outdir));
    assert_int_equal(d.epochs, 251);
    assert_true(d.epoch[249].loss == 249 && d.epoch[250].loss == 0.5 && isnan(d.epoch[0].moved_deg));
    free(all);
    progress_data_free(&d);
    end(&r);
}

static void a_place_that_cannot_be_written_fails_nothing(void **state)
{
    run r = begin("gone");
    char out[800];

    (void)state;
    snprintf(out, sizeof out, "%s/out", r.outdir);
    assert_int_equal(rmdir(out), 0);
    deco_progress_page_begin(r.page, &(deco_position){.epoch = -2});
    deco_progress_page_end(r.page, DECO_PAGE_FAILED, "words");
    assert_false(deco_path_exists(out));
    end(&r);
    deco_progress_page_end(NULL, DECO_PAGE_DONE, NULL);
    deco_progress_page_free(NULL);
}

static void heavy_epochs_are_every_so_many_and_the_ends_of_phases(void **state)
{
    run r = begin("heavy");

    (void)state;
    toy_ok(deco_options_set(r.o, "use_conf_encoder", "False"));
    toy_ok(deco_options_set(r.o, "pose_refine", "gauss_newton"));
    toy_ok(deco_options_set(r.o, "search_radii", "3,3,4,4"));
    toy_ok(deco_options_set(r.o, "log_heavy_interval", "2"));
    const bool due[] = {true, true, false, true, true, true, false, true, true}; /* -1; 0 to 3 search; 4 to 7 refine */
    for (int e = -1; e <= 7; e++)
        if (deco_heavy_due(r.o, ROWS, TOY_D, e, 0) != due[e + 1])
            fail_msg("epoch %d", e);
    assert_int_equal(deco_heavy_count(r.o, ROWS, TOY_D), 7);
    toy_ok(deco_options_set(r.o, "log_heavy_interval", "100")); /* the search ended two epochs early: after epoch 1 */
    const bool shorter[] = {true, true, true, false, false, false, true};
    for (int e = -1; e <= 5; e++)
        if (deco_heavy_due(r.o, ROWS, TOY_D, e, 2) != shorter[e + 1])
            fail_msg("epoch %d of a search that ended early", e);
    toy_ok(deco_options_set(r.o, "log_heavy_interval", "0"));
    assert_int_equal(deco_heavy_count(r.o, ROWS, TOY_D), 0);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_running_page_asks_to_be_looked_at_again),
        cmocka_unit_test(epochs_and_warnings_of_earlier_sittings_are_shown),
        cmocka_unit_test(only_new_lines_are_read_and_of_many_warnings_the_last_are_kept),
        cmocka_unit_test(many_epochs_are_counted_right),
        cmocka_unit_test(a_place_that_cannot_be_written_fails_nothing),
        cmocka_unit_test(heavy_epochs_are_every_so_many_and_the_ends_of_phases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
