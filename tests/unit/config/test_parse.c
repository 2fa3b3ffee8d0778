/* Command lines, files of options, presets, and what cannot be. */
#include "config/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WORDS = 40 };

/* Parses "run a b c" into fresh options; *out is freed by the caller. */
static deco_status parse(deco_options **out, const char *line)
{
    char text[2000], *rest = text, *argv[WORDS];
    int argc = 0;

    snprintf(text, sizeof text, "%s", line);
    for (char *word; (word = strsep(&rest, " "));)
        if (argc < WORDS)
            argv[argc++] = word;
    assert_int_equal(deco_options_create(out), DECO_OK);
    return deco_options_parse(*out, argv[0], argc - 1, argv + 1);
}

static void expect_words(const char *words)
{
    if (!strstr(deco_error(), words))
        fail_msg("'%s' is not in the message: %s", words, deco_error());
}

static void refused(const char *line, deco_status status, const char *words)
{
    deco_options *o;
    deco_status st = parse(&o, line);
    deco_options_free(o);
    if (st != status)
        fail_msg("%s: status %d, %s", line, st, deco_error());
    expect_words(words);
}

/* Parsed, then refused by the check of `command`. */
static void check_refuses(const char *line, int command, deco_status status, const char *words)
{
    deco_options *o;
    if (parse(&o, line))
        fail_msg("%s: %s", line, deco_error());
    deco_status st = deco_options_check(o, command);
    deco_options_free(o);
    if (st != status)
        fail_msg("%s: status %d, %s", line, st, deco_error());
    expect_words(words);
}

static deco_options *accepted(const char *line, int command)
{
    deco_options *o;
    if (parse(&o, line) || deco_options_check(o, command))
        fail_msg("%s: %s", line, deco_error());
    return o;
}

static const char *file(const char *name, const char *text) { return scratch_put(name, text, strlen(text)); }

static void values_follow_a_blank_or_an_equals_sign(void **state)
{
    deco_options *o;

    assert_int_equal(parse(&o, "run --k-num 3 --outdir=o=p --wd=0.5 J12 --dry_run --epochs_sgd 4"), DECO_OK);
    assert_int_equal(o->k_num, 3);
    assert_string_equal(o->outdir, "o=p");
    assert_true(o->wd == 0.5);
    assert_true(o->dry_run);
    assert_int_equal(o->particles.count, 1);
    assert_string_equal(o->particles.items[0], "J12");
    assert_int_equal(o->epochs_sgd, 4);
    deco_options_free(o);
}

static void plain_words_fill_the_commands_own_option(void **state)
{
    deco_options *o;

    assert_int_equal(parse(&o, "analyze run1 --epoch -1"), DECO_OK);
    assert_string_equal(o->outdir, "run1");
    assert_int_equal(o->epoch, -1);
    deco_options_free(o);
    assert_int_equal(parse(&o, "info --json J12"), DECO_OK);
    assert_true(o->json);
    assert_string_equal(o->particles.items[0], "J12");
    deco_options_free(o);
    assert_int_equal(parse(&o, "simulate a.pdb b.pdb --outdir x --from c.pdb -- --d.pdb"), DECO_OK);
    assert_int_equal(o->from.count, 4);
    assert_string_equal(o->from.items[3], "--d.pdb");
    deco_options_free(o);
    refused("analyze a b", DECO_E_ARGUMENT, "takes one outdir");
    refused("bench fast", DECO_E_ARGUMENT, "takes no plain words, but was given 'fast'");
    refused("options x", DECO_E_ARGUMENT, "takes no plain words");
}

static void slips_are_told(void **state)
{
    refused("walk", DECO_E_ARGUMENT, "no command 'walk'");
    refused("run --outdir", DECO_E_ARGUMENT, "--outdir needs a value");
    refused("run --outdir --k_num 3", DECO_E_ARGUMENT, "--outdir needs a value");
    refused("run --use_gt_poses Ture", DECO_E_ARGUMENT, "use_gt_poses is 'Ture'; it must be True or False");
    refused("run -o x", DECO_E_ARGUMENT, "'-o' is no option");
    refused("run --k_nun 3", DECO_E_ARGUMENT, "did you mean k_num");
    refused("run --k_nun", DECO_E_ARGUMENT, "did you mean k_num");
    refused("run --snr 3", DECO_E_ARGUMENT, "snr is no option of this command; it belongs to simulate");
    refused("run --multi_gpu --outdir x", DECO_E_ARGUMENT, "accelerate");
    refused("run --mixed_precision=bf16 --particles J", DECO_E_ARGUMENT, "--use_amp True");
    refused("run --=3", DECO_E_ARGUMENT, "there is no option ''");
}

/* Defaults < preset < config < command line, wherever they stand on it. */
static void force_does_not_depend_on_the_order_of_the_words(void **state)
{
    static const char *const lines[] = {"run --preset %s --config %s --k_num 4", "run --k_num 4 --config %2$s --preset %1$s",
                                        "run --config %2$s --k_num 4 --preset %1$s"};
    char preset[600], config[600], line[1500];

    snprintf(preset, sizeof preset, "%s", file("p.yaml", "k_num: 2\nwd: 0.2\nlr: 0.2\nepochs_sgd: 2\n"));
    snprintf(config, sizeof config, "%s", file("c.yaml", "k_num: 3\nwd: 0.3\n"));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        deco_options *o;
        snprintf(line, sizeof line, lines[i], preset, config);
        assert_int_equal(parse(&o, line), DECO_OK);
        assert_int_equal(o->k_num, 4);
        assert_true(o->wd == 0.3);
        assert_true(o->lr == 0.2);
        assert_int_equal(o->epochs_sgd, 2);
        assert_int_equal(o->hypervolume_dim, 256);
        deco_options_free(o);
    }
}

static void a_config_may_name_its_preset(void **state)
{
    deco_options *o;
    char line[700];

    mkdir(scratch("prints"), 0700);
    file("prints/small.yaml", "k_num: 2\nhypervolume_dim: 64\n");
    setenv("CRYODECO_BLUEPRINTS", scratch("prints"), 1);
    snprintf(line, sizeof line, "run --config %s", file("c.yaml", "k_num: 3\npreset: small\n"));
    assert_int_equal(parse(&o, line), DECO_OK);
    assert_int_equal(o->k_num, 3);
    assert_int_equal(o->hypervolume_dim, 64);
    deco_options_free(o);
    file("prints/two.yaml", "preset: small\n");
    refused("run --preset two", DECO_E_FORMAT, "two.yaml:1: preset cannot stand in such a file");
    refused("run --preset smal", DECO_E_ARGUMENT, "no preset 'smal'; there are: small, two");
    refused("run --preset ./none.yaml", DECO_E_FILE, "./none.yaml: cannot be read");
    unsetenv("CRYODECO_BLUEPRINTS");
}

static void the_api_reads_files_too(void **state)
{
    deco_options *o = NULL;

    assert_int_equal(deco_options_create(&o), DECO_OK);
    assert_int_equal(deco_options_set(o, "k_num", "7"), DECO_OK);
    assert_int_equal(deco_options_set(o, "config", file("c.yaml", "k_num: 3\nwd: 0.25\n")), DECO_OK);
    assert_int_equal(o->k_num, 7);
    assert_true(o->wd == 0.25);
    assert_int_equal(deco_options_set(o, "wd", "x"), DECO_E_ARGUMENT);
    deco_options_free(o);
}

/* Beside the sources, where this program does not know its way about. */
static void blueprints(void) { setenv("CRYODECO_BLUEPRINTS", TESTS_DIRECTORY "/../blueprints", 1); }

static void the_preset_2026_01_is_the_defaults(void **state)
{
    blueprints();
    deco_options *o, *plain;
    char *a, *b;

    assert_int_equal(parse(&o, "run --preset 2026-01"), DECO_OK);
    assert_int_equal(parse(&plain, "run"), DECO_OK);
    assert_true(deco_option_given(o, DECO_OPT_pe_dim)); /* so it was read */
    assert_int_equal(deco_options_write_yaml(&a, o, DECO_FOR_RUN), DECO_OK);
    assert_int_equal(deco_options_write_yaml(&b, plain, DECO_FOR_RUN), DECO_OK);
    assert_string_equal(a, b);
    free(a);
    free(b);
    deco_options_free(o);
    deco_options_free(plain);
}

static void the_quick_preset_runs_as_it_stands(void **state)
{
    blueprints();
    deco_options *o = accepted("run J12 --outdir o --preset known_poses_quick --k_num 2", DECO_FOR_RUN);
    assert_true(o->use_gt_poses && o->use_gt_trans && !o->use_conf_encoder);
    assert_int_equal(o->hypervolume_dim, 128);
    assert_true(o->lr_conf_table == 0.05);
    assert_int_equal(o->n_imgs_pose_search, 0);
    deco_options_free(o);
}

static void the_quick_look_runs_as_it_stands(void **state)
{
    blueprints();
    deco_options *o = accepted("run J12 --outdir o --preset quick_look --k_num 2", DECO_FOR_RUN);
    assert_false(o->use_gt_poses || o->use_gt_trans || o->use_conf_encoder);
    assert_true(o->initial_radii.count > 0 && o->initial_state_radii.count > 0 && o->search_radii.count == 0);
    assert_string_equal(o->pose_refine, "gauss_newton");
    deco_options_free(o);
}

static void the_refinement_of_given_poses_runs_as_it_stands(void **state)
{
    blueprints();
    deco_options *o = accepted("run J12 --outdir o --preset refine_poses_quick --k_num 2", DECO_FOR_RUN);
    assert_true(o->refine_gt_poses && !o->use_gt_poses && !o->use_gt_trans && !o->use_conf_encoder);
    assert_string_equal(o->pose_refine, "gauss_newton");
    deco_options_free(o);
}

static void the_acceptance_line_runs_as_it_stands(void **state)
{
    deco_options *o = accepted(
        "run --particles J12 --outdir o --use_gt_poses True --use_conf_encoder False --k_num 2 --conf_table_dim 4 --hypervolume_dim 128 "
        "--hypervolume_layers 2 --pe_dim 32 --feat_sigma 1.25 --lr 1e-3 --lr_conf_table 5e-2 --batch_size_known_poses 8 "
        "--n_imgs_pose_search 0 --epochs_sgd 10",
        DECO_FOR_RUN);
    assert_true(o->feat_sigma == 1.25);
    deco_options_free(o);
}

static void a_command_line_of_cryodeco_analyses_again_as_it_stands(void **state)
{
    deco_options *o = accepted(
        "run --particles J12 --outdir o --pretrained_model_path w --feature_dim 128 --k_num 8 --clustering_type gmm --skip_train True",
        DECO_FOR_RUN);
    assert_true(o->skip_train);
    deco_options_free(o);
}

static void what_does_not_go_together_is_refused_with_what_runs(void **state)
{
    check_refuses("run J --outdir o", DECO_FOR_RUN, DECO_E_ARGUMENT, "--use_conf_encoder False, a table of latents, is the better choice");
    check_refuses("run J --outdir o --use_gt_poses True", DECO_FOR_RUN, DECO_E_ARGUMENT, "give --pretrained_model_path DIR");
    check_refuses("run J --outdir o --pretrained_model_path w --encoder_depth 3", DECO_FOR_RUN, DECO_E_ARGUMENT, "encoder_depth is given");
    deco_options_free(accepted("run J --outdir o --pretrained_model_path w", DECO_FOR_RUN));
    deco_options_free(accepted("run J --outdir o --finetune_strategy random_initial --encoder_width 96", DECO_FOR_RUN));
#define SEARCH "run J --outdir o --use_conf_encoder no "
    deco_options_free(accepted(SEARCH, DECO_FOR_RUN));
    check_refuses(SEARCH "--refine_gt_poses yes --use_gt_poses yes", DECO_FOR_RUN, DECO_E_ARGUMENT, "give one of them");
    check_refuses(SEARCH "--refine_gt_poses yes --pose_refine none", DECO_FOR_RUN, DECO_E_ARGUMENT, "--pose_refine table or gauss_newton");
    deco_options_free(accepted(SEARCH "--pose_search_engine exact", DECO_FOR_RUN));
    check_refuses(SEARCH "--pose_refine gauss_newton --use_gt_trans yes", DECO_FOR_RUN, DECO_E_ARGUMENT, "--pose_refine table or none");
    check_refuses(SEARCH "--search_radii 8,8 --hps_stop 1", DECO_FOR_RUN, DECO_E_ARGUMENT, "leave one of them out");
    check_refuses(SEARCH "--initial_radii 8,8 --n_imgs_pretrain 0", DECO_FOR_RUN, DECO_E_ARGUMENT, "n_imgs_pretrain is 0");
    check_refuses(SEARCH "--pose_refine none --search_radii 8,8.5", DECO_FOR_RUN, DECO_E_ARGUMENT, "search_radii holds 8.5");
    deco_options_free(accepted(SEARCH "--pose_refine gauss_newton", DECO_FOR_RUN));
    deco_options_free(accepted(SEARCH "--pose_refine none --use_gt_trans yes", DECO_FOR_RUN));
    deco_options_free(accepted(SEARCH "--epochs_sgd 0", DECO_FOR_RUN));
#define KNOWN "run J --outdir o --use_gt_poses True --use_conf_encoder False"
    check_refuses(KNOWN " --device cuda:0,1", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "name one");
    deco_options_free(accepted(KNOWN " --feature_dim 32", DECO_FOR_RUN));
    deco_options_free(accepted(KNOWN " --load False --device cuda:1 --use_lmdb False --pretrained_model_path w", DECO_FOR_RUN));
}

static void what_means_nothing_here_is_refused_with_what_to_do(void **state)
{
    check_refuses(KNOWN " --lazy True", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "leave it out");
    check_refuses(KNOWN " --shuffle False", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "fresh random order");
    check_refuses(KNOWN " --processed_data x", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "--particles");
    check_refuses(KNOWN " --labels_evaluate x.pkl", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "labels.npy");
    check_refuses(KNOWN " --cluster_num_evaluate 3", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "k_num");
    check_refuses(KNOWN " --epochs_init_conf_table 5", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "fused encoders");
    check_refuses(KNOWN " --encoder_type vit_small_Fused", DECO_FOR_RUN, DECO_E_UNSUPPORTED, "vit_small is the default");
    deco_options_free(
        accepted(KNOWN " --lazy False --shuffle True --processed_data None --labels_evaluate none --cluster_num_evaluate 0", DECO_FOR_RUN));
}

static void missing_or_clashing_words_are_told(void **state)
{
    check_refuses("run J", DECO_FOR_RUN, DECO_E_ARGUMENT, "--outdir DIR");
    check_refuses("run --outdir o", DECO_FOR_RUN, DECO_E_ARGUMENT, "--particles PATH");
    check_refuses("analyze", DECO_FOR_ANALYZE, DECO_E_ARGUMENT, "cryodeco analyze OUTDIR");
    check_refuses("info", DECO_FOR_INFO, DECO_E_ARGUMENT, "a .cs, .csg or .star file");
    check_refuses("info a --min_score ctf/cross_cor", DECO_FOR_INFO, DECO_E_ARGUMENT, "COLUMN:VALUE");
    check_refuses("info a --min_score alignments3D/error:low", DECO_FOR_INFO, DECO_E_ARGUMENT, "COLUMN:VALUE");
    check_refuses("info a --box 33", DECO_FOR_INFO, DECO_E_ARGUMENT, "box is 33; it must be even");
    check_refuses(KNOWN " --wd 0.1 --hypervolume_optimizer_type adam", DECO_FOR_RUN, DECO_E_ARGUMENT, "adam has no weight decay");
    check_refuses(KNOWN " --epoch 3", DECO_FOR_RUN, DECO_E_ARGUMENT, "epochs_sgd");
    check_refuses(KNOWN " --device gpu", DECO_FOR_RUN, DECO_E_ARGUMENT, "device is 'gpu'; it must be cpu, cuda, cuda:N");
    check_refuses(KNOWN " --device cuda:-1", DECO_FOR_RUN, DECO_E_ARGUMENT, "device is 'cuda:-1'");
    check_refuses("simulate --outdir o", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "A.pdb");
    check_refuses("simulate a.pdb", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "--outdir DIR");
    check_refuses("simulate a --outdir o --box 33", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "box is 33; it must be even");
    check_refuses("simulate a --outdir o --motion True", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "two conformations, but from names 1");
    check_refuses("simulate a b --outdir o --class_weights 1", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "class_weights has 1");
    check_refuses("simulate a b --outdir o --class_weights 0,0", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "all 0");
    check_refuses("simulate a --outdir o --defocus_min_A 30000", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "above defocus_max_A");
    check_refuses("simulate a --outdir o --mask_radius_px 33", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "at most 32");
    check_refuses("simulate a --outdir o --shift_max_px 32", DECO_FOR_SIMULATE, DECO_E_ARGUMENT, "below 32");
    deco_options_free(accepted("simulate a b --outdir o --motion", DECO_FOR_SIMULATE));
    deco_options_free(accepted("bench --cases decoder_train --seconds 0.5 --json", DECO_FOR_BENCH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_follow_a_blank_or_an_equals_sign),
        cmocka_unit_test(plain_words_fill_the_commands_own_option),
        cmocka_unit_test(slips_are_told),
        cmocka_unit_test(force_does_not_depend_on_the_order_of_the_words),
        cmocka_unit_test(a_config_may_name_its_preset),
        cmocka_unit_test(the_api_reads_files_too),
        cmocka_unit_test(the_preset_2026_01_is_the_defaults),
        cmocka_unit_test(the_quick_preset_runs_as_it_stands),
        cmocka_unit_test(the_quick_look_runs_as_it_stands),
        cmocka_unit_test(the_refinement_of_given_poses_runs_as_it_stands),
        cmocka_unit_test(the_acceptance_line_runs_as_it_stands),
        cmocka_unit_test(a_command_line_of_cryodeco_analyses_again_as_it_stands),
        cmocka_unit_test(what_does_not_go_together_is_refused_with_what_runs),
        cmocka_unit_test(what_means_nothing_here_is_refused_with_what_to_do),
        cmocka_unit_test(missing_or_clashing_words_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
