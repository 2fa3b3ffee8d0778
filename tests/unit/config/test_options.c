/* The table, and setting options from text. */
#include "config/options.h"
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <math.h>
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

static deco_status put(const char *name, const char *value) { return deco_options_put(o, name, value, DECO_FROM_COMMAND); }

static void expect_words(const char *words)
{
    if (!strstr(deco_error(), words))
        fail_msg("'%s' is not in the message: %s", words, deco_error());
}

/* METHOD.md sections 3 to 7, preset 2026-01. */
static void defaults_are_the_methods(void **state)
{
    assert_int_equal(o->pe_dim, 64);
    assert_true(o->feat_sigma == 0.5);
    assert_int_equal(o->hypervolume_layers, 3);
    assert_int_equal(o->hypervolume_dim, 256);
    assert_true(o->decoder_ln);
    assert_true(o->use_conf_encoder);
    assert_int_equal(o->feature_dim, 128);
    assert_int_equal(o->conf_table_dim, 4);
    assert_true(o->lr == 1e-4 && o->wd == 0.01);
    assert_true(o->lr_conf_encoder == 6e-5 && o->min_lr_encoder == 1e-5);
    assert_true(o->lr_pose_table == 1e-4 && o->lr_conf_table == 1e-6 && o->min_lr_conf_table == 0);
    assert_int_equal(o->warm_up_epochs, 30);
    assert_int_equal(o->n_imgs_pretrain, 10000);
    assert_int_equal(o->n_imgs_pose_search, 500000);
    assert_int_equal(o->epochs_sgd, 100);
    assert_int_equal(o->batch_size_hps, 22);
    assert_int_equal(o->batch_size_sgd, 192);
    assert_int_equal(o->batch_size_known_poses, 64);
    assert_false(o->use_gt_poses || o->use_gt_trans);
    assert_int_equal(o->base_healpy, 2);
    assert_int_equal(o->n_iter, 4);
    assert_int_equal(o->n_kept_poses, 8);
    assert_int_equal(o->l_start, 12);
    assert_int_equal(o->l_end, 32);
    assert_false(deco_option_given(o, DECO_OPT_t_extent)); /* 20 px in a box of 128, in proportion in others */
    assert_int_equal(o->t_n_grid, 7);
    assert_int_equal(o->umap_dim, 16);
    assert_int_equal(o->k_init, 64);
    assert_int_equal(o->k_num, 8);
    assert_string_equal(o->clustering_type, "gmm");
    assert_string_equal(o->finetune_strategy, "all");
    assert_string_equal(o->encoder_type, "vit_small");
    assert_string_equal(o->hypervolume_optimizer_type, "adamw");
    assert_null(o->outdir);
    assert_int_equal(o->particles.count, 0);
    assert_false(deco_option_given(o, DECO_OPT_seed));
}

/* Every row is whole: its default is readable and inside its range, groups stand together, and help is there. */
static void every_row_of_the_table_is_sound(void **state)
{
    char groups[1000] = "|";
    const char *last = "";

    for (int i = 0; i < DECO_OPTIONS; i++) {
        const option_row *row = &option_table[i];
        assert_int_equal(option_find(row->name), i);
        assert_true(*row->help && *row->group && row->commands);
        if (*row->preset)
            assert_int_equal(put(row->name, row->preset), DECO_OK);
        else
            assert_true(row->kind == OPTION_TEXT || row->kind == OPTION_LIST || row->kind == OPTION_INT || row->kind == OPTION_REAL);
        if (row->kind == OPTION_INT || row->kind == OPTION_REAL) {
            option_range r = option_range_of(row->range);
            assert_true(isfinite(r.low) && r.low < r.high);
        }
        if (strcmp(last, row->group)) {
            char this[100];
            snprintf(this, sizeof this, "|%s|", row->group);
            if (strstr(groups, this))
                fail_msg("group '%s' stands in two places", row->group);
            snprintf(groups + strlen(groups), sizeof groups - strlen(groups), "%s|", last = row->group);
        }
    }
}

static void names_take_dashes_and_any_case(void **state)
{
    assert_int_equal(put("k-num", "3"), DECO_OK);
    assert_int_equal(o->k_num, 3);
    assert_int_equal(put("PSIZE_a", "2"), DECO_OK);
    assert_true(o->psize_A == 2);
}

static void truth_has_many_words(void **state)
{
    static const char *const yes[] = {"True", "true", "TRUE", "yes", "Yes", "1", "on", "ON"};
    static const char *const no[] = {"False", "false", "no", "NO", "0", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        o->use_gt_poses = false;
        assert_int_equal(put("use_gt_poses", yes[i]), DECO_OK);
        assert_true(o->use_gt_poses);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        o->decoder_ln = true;
        assert_int_equal(put("decoder_ln", no[i]), DECO_OK);
        assert_false(o->decoder_ln);
    }
    assert_int_equal(put("decoder_ln", "maybe"), DECO_E_ARGUMENT);
    expect_words("decoder_ln is 'maybe'; it must be True or False");
    assert_int_equal(put("decoder_ln", ""), DECO_E_ARGUMENT);
}

static void numbers_out_of_range_are_answered_with_range_and_unit(void **state)
{
    assert_int_equal(put("k_num", "0"), DECO_E_ARGUMENT);
    expect_words("k_num is 0; it must be auto, or 1 to 100000 clusters");
    assert_int_equal(put("lr", "0"), DECO_E_ARGUMENT);
    expect_words("lr is 0; it must be above 0 and at most 1");
    assert_int_equal(put("t_extent", "-1"), DECO_E_ARGUMENT);
    expect_words("it must be at least 0 px");
    assert_int_equal(put("lr", "1"), DECO_OK);
    assert_int_equal(put("seed", "9007199254740991"), DECO_OK);
    assert_true(o->seed == 9007199254740991);
    assert_int_equal(put("seed", "9007199254740992"), DECO_E_ARGUMENT);
    assert_int_equal(put("seed", "99999999999999999999"), DECO_E_ARGUMENT);
    assert_int_equal(o->k_num, 8); /* a refused value changes nothing */
}

static void a_word_may_stand_in_a_numbers_place(void **state)
{
    assert_int_equal(put("k_num", "Auto"), DECO_OK);
    assert_int_equal(o->k_num, 0);
    assert_int_equal(put("k_num", "automatic"), DECO_E_ARGUMENT);
    expect_words("k_num is 'automatic'; it must be a whole number, auto, or 1 to 100000 clusters");
    assert_int_equal(put("feature_dim", "auto"), DECO_E_ARGUMENT);
    assert_int_equal(o->k_num, 0);
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    static const char *const bad_int[] = {"", " ", "3 ", " 3", "3x", "0x10", "3.5", "1e-1", "--3", "nan", "None"};
    static const char *const bad_real[] = {"", "x", "1e", "1.2.3", "nan", "inf", "0x1p3", "1,5", " 1", "1e999"};

    for (size_t i = 0; i < sizeof bad_int / sizeof *bad_int; i++)
        assert_int_equal(put("k_num", bad_int[i]), DECO_E_ARGUMENT);
    for (size_t i = 0; i < sizeof bad_real / sizeof *bad_real; i++)
        assert_int_equal(put("wd", bad_real[i]), DECO_E_ARGUMENT);
    assert_int_equal(put("n_imgs_pose_search", "5e5"), DECO_OK);
    assert_int_equal(o->n_imgs_pose_search, 500000);
    assert_int_equal(put("wd", "1.5e-3"), DECO_OK);
    assert_true(o->wd == 1.5e-3);
    assert_int_equal(put("epoch", "-1"), DECO_OK);
    assert_int_equal(o->epoch, -1);
}

static void choices_take_the_tables_spelling(void **state)
{
    assert_int_equal(put("clustering_type", "K_Means++"), DECO_OK);
    assert_string_equal(o->clustering_type, "k-means++");
    assert_int_equal(put("clustering_type", "dbscan"), DECO_E_ARGUMENT);
    expect_words("clustering_type is 'dbscan'; it must be one of gmm|k-means++");
}

static void words_may_be_taken_back_with_none(void **state)
{
    assert_int_equal(put("datadir", "/data"), DECO_OK);
    assert_string_equal(o->datadir, "/data");
    assert_int_equal(put("datadir", "None"), DECO_OK);
    assert_null(o->datadir);
}

static void paths_keep_their_commas_and_numbers_do_not(void **state)
{
    assert_int_equal(put("particles", "J12, the second"), DECO_OK);
    assert_int_equal(o->particles.count, 1);
    assert_string_equal(o->particles.items[0], "J12, the second");
    assert_int_equal(put("class_weights", "2, 1,0.5"), DECO_OK);
    assert_int_equal(o->class_weights.count, 3);
    assert_string_equal(o->class_weights.items[1], "1");
    assert_int_equal(put("class_weights", "2,,1"), DECO_E_ARGUMENT);
    assert_int_equal(put("class_weights", "2,-1"), DECO_E_ARGUMENT);
    assert_int_equal(o->class_weights.count, 3);
}

static void words_that_are_not_utf8_are_refused(void **state)
{
    assert_int_equal(put("outdir", "Messung_Å_毫"), DECO_OK);
    static const char *const bad[] = {"ab\xFF", "\xC3", "\xE2\x82", "\xC0\x80", "\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(put("outdir", bad[i]), DECO_E_ARGUMENT);
        assert_int_equal(put("particles", bad[i]), DECO_E_ARGUMENT);
    }
    expect_words("particles is not UTF-8 text");
}

static void unknown_names_get_the_nearest(void **state)
{
    static const char *const near[][2] = {{"k_nmu", "k_num"},
                                          {"knum", "k_num"},
                                          {"use_gt_pose", "use_gt_poses"},
                                          {"epoch_sgd", "epochs_sgd"},
                                          {"batchsize_hps", "batch_size_hps"},
                                          {"ouput_dir", "outdir"}};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        assert_int_equal(put(near[i][0], "1"), DECO_E_ARGUMENT);
        expect_words(near[i][1]);
    }
    assert_int_equal(put("zzzzzzzzzzz", "1"), DECO_E_ARGUMENT);
    expect_words("cryodeco options lists them all");
    char huge[5000];
    memset(huge, 'k', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_int_equal(put(huge, "1"), DECO_E_ARGUMENT);
}

static void other_programs_options_are_answered_with_ours(void **state)
{
    assert_int_equal(put("mixed_precision", "bf16"), DECO_E_ARGUMENT);
    expect_words("--use_amp");
    assert_int_equal(put("gpu-ids", "0,1"), DECO_E_ARGUMENT);
    expect_words("--device cuda:N");
    assert_int_equal(put("num_processes", "4"), DECO_E_ARGUMENT);
    expect_words("--threads");
    assert_int_equal(put("decoder_type", "moe"), DECO_E_UNSUPPORTED);
    expect_words("--decoder_type mlp");
    assert_int_equal(put("pose", "pose.pkl"), DECO_E_UNSUPPORTED);
    expect_words("--use_gt_poses True");
    assert_int_equal(put("ctf", "ctf.pkl"), DECO_E_UNSUPPORTED);
    assert_int_equal(put("use_generated_features", "True"), DECO_E_UNSUPPORTED);
    assert_int_equal(put("use_fused_encoder", "True"), DECO_E_UNSUPPORTED);
    expect_words("--use_conf_encoder False");
}

static void values_that_ask_for_nothing_are_passed_over(void **state)
{
    assert_int_equal(put("pose", "None"), DECO_OK);
    assert_int_equal(put("use_generated_features", "False"), DECO_OK);
    assert_int_equal(put("use_fused_encoder", "false"), DECO_OK);
    assert_int_equal(put("resolution_encoder", "none"), DECO_OK);
    assert_int_equal(put("decoder_type", "mlp"), DECO_OK);
}

/* Every name of CryoDECO's README and command line that issue and METHOD promise. */
static void every_promised_name_is_there(void **state)
{
    char names[] =
        "particles outdir pretrained_model_path feature_dim k_num clustering_type use_gt_poses use_gt_trans epochs_sgd batch_size_hps "
        "batch_size_sgd skip_train datadir ind use_lmdb processed_data lazy shuffle load n_imgs_pretrain n_imgs_pose_search "
        "epochs_init_conf_table hypervolume_layers hypervolume_dim decoder_type decoder_ln use_conf_encoder conf_table_dim encoder_type "
        "finetune_strategy finetune_layer_num lr_conf_encoder min_lr_encoder warm_up_epochs_encoder lr_pose_table lr_conf_table "
        "min_lr_conf_table warm_up_epochs hypervolume_optimizer_type conf_encoder_optimizer_type use_amp gradient_checkpointing "
        "labels_evaluate cluster_num_evaluate k_init clustering_dim umap_dim pe_dim feat_sigma lr wd batch_size_known_poses seed threads "
        "pose_search_engine base_healpy n_iter n_kept_poses l_start l_end t_extent t_n_grid";
    for (char *rest = names, *name; (name = strsep(&rest, " "));) {
        int id = option_find(name);
        if (id < 0 || !(option_table[id].commands & DECO_FOR_RUN))
            fail_msg("'%s' is no option of run", name);
    }
}

static void a_weaker_origin_leaves_a_stronger_one_alone(void **state)
{
    assert_int_equal(deco_options_put(o, "k_num", "3", DECO_FROM_CONFIG), DECO_OK);
    assert_int_equal(deco_options_put(o, "k_num", "4", DECO_FROM_PRESET), DECO_OK);
    assert_int_equal(o->k_num, 3);
    assert_int_equal(deco_options_put(o, "k_num", "0", DECO_FROM_PRESET), DECO_E_ARGUMENT); /* but it is checked */
    assert_int_equal(deco_options_put(o, "k_num", "5", DECO_FROM_COMMAND), DECO_OK);
    assert_int_equal(o->k_num, 5);
    assert_int_equal(o->origin[DECO_OPT_k_num], DECO_FROM_COMMAND);
    assert_false(deco_option_given(o, DECO_OPT_wd));
}

static void known_poses_imply_known_shifts(void **state)
{
    assert_int_equal(put("use_gt_trans", "False"), DECO_OK);
    assert_int_equal(put("use_gt_poses", "True"), DECO_OK);
    assert_true(o->use_gt_trans);
    assert_int_equal(put("use_gt_poses", "False"), DECO_OK);
    assert_false(o->use_gt_trans);
    assert_int_equal(put("use_gt_trans", "True"), DECO_OK);
    assert_int_equal(put("use_gt_poses", "True"), DECO_OK);
    assert_int_equal(put("use_gt_poses", "False"), DECO_OK);
    assert_true(o->use_gt_trans);
}

static void without_an_encoder_feature_dim_is_the_tables_width(void **state)
{
    assert_int_equal(put("feature_dim", "8"), DECO_OK);
    assert_int_equal(o->conf_table_dim, 4); /* the encoder's, so far */
    assert_int_equal(put("use_conf_encoder", "False"), DECO_OK);
    assert_int_equal(o->conf_table_dim, 8);
    assert_int_equal(put("feature_dim", "9"), DECO_OK);
    assert_int_equal(o->conf_table_dim, 9);
    assert_int_equal(put("conf_table_dim", "5"), DECO_OK); /* its own name is stronger */
    assert_int_equal(o->conf_table_dim, 5);
    assert_int_equal(put("feature_dim", "10"), DECO_OK);
    assert_int_equal(o->conf_table_dim, 5);
}

static void adam_has_no_weight_decay(void **state)
{
    assert_int_equal(deco_options_put(o, "wd", "0.02", DECO_FROM_PRESET), DECO_OK);
    assert_int_equal(put("hypervolume_optimizer_type", "adam"), DECO_OK);
    assert_true(o->wd == 0);
    assert_int_equal(put("hypervolume_optimizer_type", "adamw"), DECO_OK);
    assert_true(o->wd == 0.01);
}

static void a_copy_stands_alone(void **state)
{
    deco_options *copy = NULL;

    assert_int_equal(put("outdir", "here"), DECO_OK);
    assert_int_equal(put("particles", "J12"), DECO_OK);
    assert_int_equal(deco_options_copy(&copy, o), DECO_OK);
    assert_int_equal(put("outdir", "there"), DECO_OK);
    assert_int_equal(put("particles", "J13"), DECO_OK);
    assert_string_equal(copy->outdir, "here");
    assert_string_equal(copy->particles.items[0], "J12");
    assert_true(deco_option_given(copy, DECO_OPT_outdir));
    deco_options_free(copy);
    deco_options_free(NULL);
}

static void reals_are_printed_short_and_exactly(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {0.1, "0.1"},
                 {20, "20.0"},
                 {-2.5, "-2.5"},
                 {1e-6, "1.0e-06"},
                 {6e-5, "6.0e-05"},
                 {1.0 / 3, "0.3333333333333333"},
                 {25000, "25000.0"}};
    char text[40];
    uint64_t bits = 1;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        option_print_real(text, cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
    for (int i = 0; i < 20000; i++) { /* any bits at all */
        double v, back = 0;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        option_print_real(text, v);
        assert_true(option_read_real(&back, text));
        assert_memory_equal(&back, &v, sizeof v);
    }
}

/* With a comma for a decimal point in the host's locale, where one is installed. */
static void the_hosts_locale_changes_nothing(void **state)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"};
    char text[40];
    bool found = false;

    for (size_t i = 0; i < sizeof locales / sizeof *locales && !found; i++)
        found = setlocale(LC_ALL, locales[i]) != NULL;
    if (!found)
        skip();
    assert_int_equal(put("wd", "0.25"), DECO_OK);
    assert_true(o->wd == 0.25);
    option_print_real(text, 0.25);
    setlocale(LC_ALL, "C");
    assert_string_equal(text, "0.25");
}

#define with_options(f) cmocka_unit_test_setup_teardown(f, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_options(defaults_are_the_methods),
        with_options(every_row_of_the_table_is_sound),
        with_options(names_take_dashes_and_any_case),
        with_options(truth_has_many_words),
        with_options(numbers_out_of_range_are_answered_with_range_and_unit),
        with_options(a_word_may_stand_in_a_numbers_place),
        with_options(numbers_are_read_whole_or_not_at_all),
        with_options(choices_take_the_tables_spelling),
        with_options(words_may_be_taken_back_with_none),
        with_options(paths_keep_their_commas_and_numbers_do_not),
        with_options(words_that_are_not_utf8_are_refused),
        with_options(unknown_names_get_the_nearest),
        with_options(other_programs_options_are_answered_with_ours),
        with_options(values_that_ask_for_nothing_are_passed_over),
        with_options(every_promised_name_is_there),
        with_options(a_weaker_origin_leaves_a_stronger_one_alone),
        with_options(known_poses_imply_known_shifts),
        with_options(without_an_encoder_feature_dim_is_the_tables_width),
        with_options(adam_has_no_weight_decay),
        with_options(a_copy_stands_alone),
        with_options(reals_are_printed_short_and_exactly),
        with_options(the_hosts_locale_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
