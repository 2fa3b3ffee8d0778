/* The checkpoints of a run by their names: which is newest, which stay, which is passed over. */
#include "base/file.h"
#include "model/checkpoints.h"
#include "support/scratch.h"

#include <sys/stat.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *run; /* each test's own */

static int make_run(void **state)
{
    static char path[1024];
    static int number;
    char name[32];
    snprintf(name, sizeof name, "%d/out", number);
    if (deco_directory_make(scratch(name)))
        return 1;
    snprintf(name, sizeof name, "%d", number++);
    snprintf(path, sizeof path, "%s", scratch(name));
    run = path;
    return 0;
}

static void put(const char *name)
{
    char *path = deco_format("%s/out/%s", run, name);
    assert_int_equal(deco_file_put(path, "x", 1), DECO_OK);
    free(path);
}

/* Names of what there is, newest first, joined by blanks. */
static const char *listed(void)
{
    static char text[1024];
    deco_checkpoint *list;
    int64_t count;
    *text = 0;
    assert_int_equal(deco_checkpoints_list(&list, &count, run), DECO_OK);
    for (int64_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", deco_path_name(list[i].path));
    deco_checkpoints_free(list, count);
    return text;
}

static void newest_comes_first_by_number_and_other_names_are_none(void **state)
{
    static const char *const none[] = {"weights.12.safetensors.part",
                                       "weights.012.safetensors",
                                       "weights.+3.safetensors",
                                       ".weights.5.safetensors.tmp-1-1",
                                       "checkpoint.3.safetensors",
                                       "checkpoint.3.-1.safetensors",
                                       "conf.99.npy",
                                       "weights..safetensors"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        put(none[i]);
    assert_string_equal(listed(), "");
    put("weights.9.safetensors");
    put("checkpoint.9.400.safetensors"); /* inside epoch 9, so before its end */
    put("checkpoint.10.0.safetensors");  /* the end of epoch 9 once more */
    put("checkpoint.10.7.safetensors");
    put("checkpoint.-1.20.safetensors");
    put("weights.-1.safetensors");
    put("weights.10.safetensors");
    assert_string_equal(listed(), "weights.10.safetensors checkpoint.10.7.safetensors weights.9.safetensors checkpoint.10.0.safetensors "
                                  "checkpoint.9.400.safetensors weights.-1.safetensors checkpoint.-1.20.safetensors");
}

static void there_may_be_no_folder_yet(void **state)
{
    deco_checkpoint *list;
    int64_t count = 7;
    assert_int_equal(deco_checkpoints_list(&list, &count, scratch("nowhere")), DECO_OK);
    assert_int_equal(count, 0);
    assert_null(list);
}

static void two_and_the_ends_of_phases_stay(void **state)
{
    put("weights.-1.safetensors");
    put("weights.3.safetensors");
    put("checkpoint.-1.3.safetensors");
    put("checkpoint.4.3.safetensors");
    put("checkpoint.4.20.safetensors");
    put("checkpoint.5.1.safetensors");
    deco_checkpoints_thin(run);
    assert_string_equal(listed(), "checkpoint.5.1.safetensors checkpoint.4.20.safetensors weights.3.safetensors weights.-1.safetensors");
    put("weights.5.safetensors");
    deco_checkpoints_thin(run);
    assert_string_equal(listed(), "weights.5.safetensors checkpoint.5.1.safetensors weights.3.safetensors weights.-1.safetensors");
}

static void a_position_has_its_place_and_files_of_an_epoch_their_position(void **state)
{
    int64_t epoch, step;
    char *place = deco_checkpoint_place("run", &(deco_position){.epoch = 11, .step = 340});
    assert_string_equal(place, "run/out/checkpoint.12.340.safetensors");
    assert_true(deco_checkpoint_position_of_name(&epoch, &step, deco_path_name(place)));
    assert_true(epoch == 11 && step == 340);
    assert_true(deco_checkpoint_position_of_name(&epoch, &step, "analysis_7_flipped"));
    assert_true(epoch == 7 && step == 0);
    assert_true(deco_checkpoint_position_of_name(&epoch, &step, "analysis_12.340_flipped"));
    assert_true(epoch == 11 && step == 340);
    assert_true(deco_checkpoint_position_of_name(&epoch, &step, "reconstruct.-1.mrc"));
    assert_int_equal(epoch, -1);
    assert_false(deco_checkpoint_position_of_name(&epoch, &step, "uid.npy"));
    free(place);
}

static void the_newest_whole_one_is_read_and_damaged_ones_are_told(void **state)
{
    deco_device *dev;
    deco_model *m, *back = NULL;
    deco_position at = {.epoch = 2, .step = 3, .digest = "x"}, found, before;
    deco_model_config c = {.shape = {.L = 9, .pe_dim = 2, .H = 5, .n = 1, .Z = 2, .layer_norm = true},
                           .feat_sigma = 0.5,
                           .psize_A = 1,
                           .std = 1,
                           .D = 8,
                           .radius = 3,
                           .N = 6,
                           .seed = 3};
    assert_int_equal(deco_device_create(&dev, "cpu", 1), DECO_OK);
    assert_int_equal(deco_checkpoints_read_newest(&back, &found, dev, run, NULL, NULL), DECO_OK);
    assert_null(back); /* there is none */
    assert_int_equal(deco_model_create(&m, dev, &c), DECO_OK);
    for (at.step = 3; at.step < 6; at.step++) {
        char *path = deco_checkpoint_place(run, &at);
        assert_int_equal(deco_checkpoint_write(path, m, &at), DECO_OK);
        free(path);
    }
    put("checkpoint.3.9.safetensors"); /* one byte */
    assert_int_equal(deco_checkpoints_read_newest(&back, &found, dev, run, NULL, NULL), DECO_OK);
    assert_true(found.epoch == 2 && found.step == 5);
    deco_model_free(back);
    before = found;
    assert_int_equal(deco_checkpoints_read_newest(&back, &found, dev, run, &before, NULL), DECO_OK);
    assert_true(found.epoch == 2 && found.step == 4);
    deco_model_free(back);
    before.step = 3;
    assert_int_equal(deco_checkpoints_read_newest(&back, &found, dev, run, &before, NULL), DECO_OK);
    assert_null(back);
    for (at.step = 3; at.step < 6; at.step++) {
        char *path = deco_checkpoint_place(run, &at);
        assert_int_equal(deco_file_put(path, "y", 1), DECO_OK);
        free(path);
    }
    assert_int_equal(deco_checkpoints_read_newest(&back, &found, dev, run, NULL, NULL), DECO_E_FORMAT);
    assert_null(back);
    deco_model_free(m);
    deco_device_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(newest_comes_first_by_number_and_other_names_are_none, make_run),
        cmocka_unit_test_setup(there_may_be_no_folder_yet, make_run),
        cmocka_unit_test_setup(two_and_the_ends_of_phases_stay, make_run),
        cmocka_unit_test_setup(a_position_has_its_place_and_files_of_an_epoch_their_position, make_run),
        cmocka_unit_test_setup(the_newest_whole_one_is_read_and_damaged_ones_are_told, make_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
