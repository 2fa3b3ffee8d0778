/* Files written by mrcfile, in every mode and both byte orders. */
#include "formats/mrc.h"
#include "support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_values(const char *file, const char *values)
{
    golden_array want = golden_read(values);
    deco_mrc *m;
    if (deco_mrc_open(&m, golden_path(file)))
        fail_msg("%s", deco_error());
    assert_int_equal(want.dims, 3);
    assert_int_equal(m->nz, want.shape[0]);
    assert_int_equal(m->ny, want.shape[1]);
    assert_int_equal(m->nx, want.shape[2]);
    assert_true(m->psize_A > 0);
    float *all = calloc((size_t)want.count, sizeof *all), *one = calloc((size_t)(m->nx * m->ny), sizeof *one);
    assert_true(all && one);
    assert_int_equal(deco_mrc_read(m, all, 0, m->nz), DECO_OK);
    golden_expect_f(values, all, want.count);
    assert_int_equal(deco_mrc_read(m, one, m->nz - 1, 1), DECO_OK);
    assert_memory_equal(one, all + (m->nz - 1) * m->nx * m->ny, (size_t)(m->nx * m->ny) * sizeof *one);
    free(all);
    free(one);
    golden_free(&want);
    deco_mrc_close(m);
}

static void every_mode_in_both_byte_orders_gives_its_values(void **state)
{
    const char **names;
    int n = golden_list(&names, "n_files/mrc/", "_values.npy");
    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        int stem = (int)(strlen(names[i]) - strlen("_values.npy"));
        char file[256];
        snprintf(file, sizeof file, "%.*s_little.mrc", stem, names[i]);
        expect_values(file, names[i]);
        snprintf(file, sizeof file, "%.*s_big.mrc", stem, names[i]);
        expect_values(file, names[i]);
    }
}

static void spoilt_files_are_refused_by_name(void **state)
{
    static const char *const names[] = {"cut.mrc",    "header_cut.mrc",    "huge_size.mrc",
                                        "mode99.mrc", "negative_size.mrc", "next_negative.mrc"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        deco_mrc *m;
        snprintf(name, sizeof name, "n_files/bad/%s", names[i]);
        if (!golden_has(name))
            continue;
        assert_int_equal(deco_mrc_open(&m, golden_path(name)), DECO_E_FORMAT);
        assert_null(m);
        assert_non_null(strstr(deco_error(), names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_in_both_byte_orders_gives_its_values),
        cmocka_unit_test(spoilt_files_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("golden_mrc", tests, NULL, NULL);
}
