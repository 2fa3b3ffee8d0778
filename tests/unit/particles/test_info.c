/* `cryodeco info`: it reports what is there, and goes on where something is missing. */
#include "toy_job.h"

#include <cjson/cJSON.h>

static char *info(const char *path, const char *datadir, bool json)
{
    deco_options *o = NULL;
    char *out = NULL;

    toy_ok(deco_options_create(&o));
    toy_ok(deco_options_set(o, "particles", path));
    if (datadir)
        toy_ok(deco_options_set(o, "datadir", datadir));
    if (json)
        toy_ok(deco_options_set(o, "json", "true"));
    toy_ok(deco_particles_info(&out, o, NULL));
    deco_options_free(o);
    return out;
}

static cJSON *info_json(const char *path, const char *datadir)
{
    char *text = info(path, datadir, true);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    free(text);
    return root;
}

static const cJSON *at(const cJSON *root, const char *a, const char *b)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, a);
    assert_non_null(item);
    if (b)
        item = cJSON_GetObjectItemCaseSensitive(item, b);
    assert_non_null(item);
    return item;
}

static void expect_words(const char *path, const char *const *words)
{
    char *text = info(path, NULL, false);
    for (; *words; words++)
        if (!strstr(text, *words))
            fail_msg("\"%s\" is not in:\n%s", *words, text);
    free(text);
}

static void text_of_a_sound_set(void **state)
{
    static const char *const words[] = {"1,000, from ",
                                        "downsampled_particles.cs",
                                        "joined on uid with",
                                        "J12_passthrough_particles.cs",
                                        "v4.7.1",
                                        "box 32 px, 4.5 Å per pixel, dark on light",
                                        "300 kV, Cs 2.7 mm, amplitude contrast 0.1",
                                        "3 exposure groups",
                                        "defocus U 1.42 to 2.45 µm",
                                        "alignments3D: rotations, and shifts of up to",
                                        "6 of 6 found, with 1,100 images",
                                        "blob: path idx shape psize_A sign",
                                        "--use_gt_poses True",
                                        "--dry_run True",
                                        "problems     none",
                                        NULL};
    (void)state;
    expect_words(data_path("tiny/project/J12"), words);
}

static void json_of_a_sound_set(void **state)
{
    cJSON *root = info_json(data_path("tiny/project/J12"), NULL);

    (void)state;
    assert_int_equal(at(root, "particles", NULL)->valueint, 1000);
    assert_int_equal(at(root, "box", NULL)->valueint, 32);
    assert_true(at(root, "psize_A", NULL)->valuedouble == 4.5);
    assert_string_equal(at(root, "contrast", NULL)->valuestring, "dark_on_light");
    assert_string_equal(at(root, "cryosparc_version", NULL)->valuestring, "v4.7.1");
    assert_string_equal(at(root, "poses", NULL)->valuestring, "alignments3D");
    assert_int_equal(at(root, "stacks", "found")->valueint, 6);
    assert_int_equal(at(root, "stacks", "missing")->valueint, 0);
    assert_int_equal(cJSON_GetArraySize(at(root, "exposure_groups", NULL)), 3);
    assert_int_equal(cJSON_GetArraySize(at(root, "columns", NULL)), 52);
    assert_true(at(at(root, "ranges", "ctf/accel_kv"), "min", NULL)->valuedouble == 300);
    assert_true(cJSON_IsTrue(at(root, "can_run", "known_poses")));
    assert_int_equal(cJSON_GetArraySize(at(root, "problems", NULL)), 0);
    assert_int_equal(strlen(at(root, "digest", NULL)->valuestring), 16);
    assert_true(at(root, "memory_bytes", "loader")->valuedouble > 3 * 64 * 796 * 4);
    cJSON_Delete(root);
}

static void missing_stacks_are_reported(void **state)
{
    toy j = toy_begin(7, NULL);
    static const char *const words[] = {"2 of 3 found, with 10 images", "missing: J7/stacks/s1.mrc; tried ", "not before the problems",
                                        NULL};

    (void)state;
    toy_write(&j);
    unlink(toy_stack_path(&j, 1));
    expect_words(j.job, words);
    cJSON *root = info_json(j.job, NULL);
    assert_int_equal(at(root, "stacks", "missing")->valueint, 1);
    assert_false(cJSON_IsTrue(at(root, "can_run", "known_poses")));
    assert_int_equal(cJSON_GetArraySize(at(root, "problems", NULL)), 1);
    cJSON_Delete(root);
}

static void datadir_is_looked_in(void **state)
{
    toy j = toy_begin(4, NULL);
    char away[800];

    (void)state;
    toy_write(&j);
    snprintf(away, sizeof away, "%s/far/away", j.project);
    toy_ok(deco_directory_make(away));
    snprintf(away, sizeof away, "%s/far/away/only.cs", j.project);
    assert_int_equal(rename(j.cs, away), 0);
    cJSON *root = info_json(away, NULL);
    assert_int_equal(at(root, "stacks", "found")->valueint, 0);
    assert_int_equal(cJSON_GetArraySize(at(root, "stacks", "missing_paths")), 3);
    cJSON_Delete(root);
    root = info_json(away, j.project);
    assert_int_equal(at(root, "stacks", "found")->valueint, 3);
    cJSON_Delete(root);
}

/* One report for each thing that can be missing, with what is known all the same. */
static void incomplete_sets_are_reported(void **state)
{
    static const struct {
        const char *without, *words[3];
    } cases[] = {
        {"ctf/", {"none that can be used", "Patch CTF", "box 8 px"}},
        {"blob/", {"blob/path, blob/idx, blob/psize_A, blob/shape", "defocus", "columns"}},
        {"alignments3D/", {"poses        none", "--preset quick_look", "problems     none"}},
        {"uid", {"'uid'", "box 8 px", "3 of 3 found"}},
        {"blob/sign", {"(assumed: there is no blob/sign)", "problems     none", "can be run   with"}},
        {"alignments3D/shift", {"rotations, without shifts", "--preset quick_look", "problems     none"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        toy j = toy_begin(7, cases[i].without);
        const char *words[] = {cases[i].words[0], cases[i].words[1], cases[i].words[2], NULL};
        toy_write(&j);
        expect_words(j.job, words);
        cJSON_Delete(info_json(j.job, NULL));
    }
}

static void empty_set_is_reported(void **state)
{
    toy j = toy_begin(0, NULL);
    static const char *const words[] = {"particles    0, from ", "blob: path idx", "0 rows", NULL};

    (void)state;
    toy_write(&j);
    expect_words(j.job, words);
    cJSON *root = info_json(j.job, NULL);
    assert_true(cJSON_IsNull(at(root, "box", NULL)));
    assert_true(cJSON_IsNull(at(root, "stacks", "count")));
    cJSON_Delete(root);
}

static void values_that_are_no_numbers_are_counted(void **state)
{
    toy j = toy_begin(7, NULL);

    (void)state;
    toy_set(&j, "ctf/df1_A", 2, 0, NAN);
    toy_write(&j);
    cJSON *root = info_json(j.job, NULL);
    assert_int_equal(at(at(root, "ranges", "ctf/df1_A"), "not_finite", NULL)->valueint, 1);
    assert_true(at(at(root, "ranges", "ctf/df1_A"), "max", NULL)->valuedouble == 15000);
    assert_non_null(strstr(cJSON_GetArrayItem(at(root, "problems", NULL), 0)->valuestring, "row 2: ctf/df1_A is nan"));
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_a_sound_set),
        cmocka_unit_test(json_of_a_sound_set),
        cmocka_unit_test(missing_stacks_are_reported),
        cmocka_unit_test(datadir_is_looked_in),
        cmocka_unit_test(incomplete_sets_are_reported),
        cmocka_unit_test(empty_set_is_reported),
        cmocka_unit_test(values_that_are_no_numbers_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
