/* Golden topic b: lattice axes, coordinates, masks; and the window of topic a. */
#include "geometry/lattice.h"
#include "support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* The number behind `prefix` in a name: "b_lattice/axis_33.npy" → 33. */
static int64_t number_in(const char *name, const char *prefix)
{
    long long n = 0;
    char format[64];
    snprintf(format, sizeof format, "%s%%lld", prefix);
    assert_int_equal(sscanf(name, format, &n), 1);
    return n;
}

static void axes(void **state)
{
    const char **names;
    int count = golden_list(&names, "b_lattice/axis_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        int64_t L = number_in(names[i], "b_lattice/axis_");
        double *mine = calloc((size_t)L, sizeof *mine);
        for (int64_t k = 0; k < L; k++)
            mine[k] = deco_lattice_axis(L, k);
        golden_expect(names[i], mine, L);
        free(mine);
    }
}

static void coordinates_have_x_fast(void **state)
{
    const char **names;
    int count = golden_list(&names, "b_lattice/coords_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        int64_t L = number_in(names[i], "b_lattice/coords_");
        double *mine = calloc((size_t)(3 * L * L), sizeof *mine);
        for (int64_t k = 0; k < L * L; k++)
            mine[3 * k] = deco_lattice_axis(L, k % L), mine[3 * k + 1] = deco_lattice_axis(L, k / L);
        golden_expect(names[i], mine, 3 * L * L);
        free(mine);
    }
}

/* Where float32 squares lose points on the circle, the set holds the integer rule as well: ours. */
static void masks_follow_the_integer_rule(void **state)
{
    const char **names;
    int count = golden_list(&names, "b_lattice/radii_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        int64_t L = number_in(names[i], "b_lattice/radii_");
        golden_array radii = golden_read(names[i]);
        for (int64_t r = 0; r < radii.count; r++) {
            char name[96], exact[96];
            snprintf(name, sizeof name, "b_lattice/mask_%lld_%g.npy", (long long)L, radii.v[r]);
            snprintf(exact, sizeof exact, "b_lattice/mask_%lld_%g_exact.npy", (long long)L, radii.v[r]);
            deco_mask *m = NULL;
            assert_int_equal(deco_mask_create(&m, L, (int64_t)radii.v[r]), DECO_OK);
            double *mine = calloc((size_t)m->P, sizeof *mine);
            for (int64_t p = 0; p < m->P; p++)
                mine[p] = m->index[p];
            golden_expect(golden_has(exact) ? exact : name, mine, m->P);
            free(mine);
            deco_mask_free(m);
        }
        golden_free(&radii);
    }
}

static void windows(void **state)
{
    const char **names;
    int count = golden_list(&names, "a_images/window_", ".npy");
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        int64_t D = number_in(names[i], "a_images/window_");
        float *mine = calloc((size_t)(D * D), sizeof *mine);
        deco_window_fill(mine, D);
        golden_expect_f(names[i], mine, D * D);
        free(mine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes),
        cmocka_unit_test(coordinates_have_x_fast),
        cmocka_unit_test(masks_follow_the_integer_rule),
        cmocka_unit_test(windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
