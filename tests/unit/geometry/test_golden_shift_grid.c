/* Golden topic d: the shift grids, with METHOD.md's defaults (box 128, 7 points an axis at base_healpy 2). */
#include "geometry/shift_grid.h"
#include "support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void expect(const char *name, deco_shift_grid g)
{
    int64_t count = 2 * deco_shift_grid_count(g);
    float *mine = calloc((size_t)count, sizeof *mine);

    assert_non_null(mine);
    deco_shift_grid_fill(mine, g);
    golden_expect_f(name, mine, count);
    free(mine);
}

static deco_shift_grid default_grid(void) { return deco_shift_grid_base(deco_shift_axis(7, 2), deco_shift_extent(128), 0, 0); }

static void base_grid(void **state) { expect("d_shifts/grid_base.npy", default_grid()); }

static void grids_of_the_levels(void **state)
{
    const char **names;
    int count = golden_list(&names, "d_shifts/grid_level", ".npy"), level;

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(sscanf(names[i], "d_shifts/grid_level%d.npy", &level), 1);
        expect(names[i], deco_shift_grid_level(default_grid(), level));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(base_grid), cmocka_unit_test(grids_of_the_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
