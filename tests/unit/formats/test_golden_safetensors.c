/* A file of the safetensors library with every dtype met, and spoilt ones. */
#include "formats/safetensors.h"
#include "support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void mixed_file_gives_its_values(void **state)
{
    deco_tensors *t;
    const char **names;
    int n = golden_list(&names, "n_files/safetensors/mixed_", ".npy");
    (void)state;
    if (deco_safetensors_read(&t, golden_path("n_files/safetensors/mixed.safetensors")))
        fail_msg("%s", deco_error());
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char name[64];
        const char *first = names[i] + strlen("n_files/safetensors/mixed_");
        snprintf(name, sizeof name, "%.*s", (int)(strlen(first) - strlen(".npy")), first);
        const deco_tensor *x = deco_safetensors_find(t, name);
        golden_array want = golden_read(names[i]);
        assert_non_null(x);
        assert_int_equal(x->count, want.count);
        for (int k = 0; k < x->dims; k++)
            assert_int_equal(x->shape[k], want.shape[k]);
        if (!strcmp(x->dtype, "I64")) {
            int64_t whole;
            memcpy(&whole, x->data, sizeof whole);
            assert_true((double)whole == want.v[0]);
        } else {
            float *f = calloc((size_t)x->count, sizeof *f);
            assert_non_null(f);
            assert_int_equal(deco_tensor_floats(f, x, t->path), DECO_OK);
            golden_expect_f(names[i], f, x->count);
            free(f);
        }
        golden_free(&want);
    }
    assert_int_equal(deco_safetensors_find(t, "nothing")->count, 0);
    assert_true(t->metadata_count > 0);
    deco_safetensors_free(t);
}

static void spoilt_files_are_refused_by_name(void **state)
{
    static const char *const names[] = {
        "st_cut",     "st_dtype",     "st_header_huge",   "st_json", "st_negative", "st_offsets_past_end", "st_offsets_reversed",
        "st_overlap", "st_shape_lie", "st_shape_overflow"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        deco_tensors *t;
        snprintf(name, sizeof name, "n_files/bad/%s.safetensors", names[i]);
        if (!golden_has(name))
            continue;
        assert_int_equal(deco_safetensors_read(&t, golden_path(name)), DECO_E_FORMAT);
        assert_null(t);
        assert_non_null(strstr(deco_error(), names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixed_file_gives_its_values),
        cmocka_unit_test(spoilt_files_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("golden_safetensors", tests, NULL, NULL);
}
