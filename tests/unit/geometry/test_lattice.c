/* Masks, balls, the window. */
#include "geometry/lattice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void mask_points_rise_and_pair_up_with_their_opposites(void **state)
{
    const int64_t sizes[][2] = {{3, 1}, {33, 16}, {33, 12}, {61, 25}, {67, 33}, {129, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t L = sizes[i][0], r = sizes[i][1];
        deco_mask *m = NULL;
        assert_int_equal(deco_mask_create(&m, L, r), DECO_OK);
        for (int64_t p = 0; p < m->P; p++) {
            int64_t q = m->P - 1 - p, x = m->index[p] % L - L / 2, y = m->index[p] / L - L / 2;
            assert_true(p == 0 || m->index[p] > m->index[p - 1]);
            assert_true(x * x + y * y <= r * r && (x || y));
            assert_int_equal(m->index[p] + m->index[q], L * L - 1);
            assert_true(m->k[2 * p] == -m->k[2 * q] && m->k[2 * p + 1] == -m->k[2 * q + 1]);
            assert_true(m->k[2 * p] == (float)((double)x / (double)(L - 1)));
        }
        deco_mask_free(m);
    }
}

static void mask_and_ball_hold_every_point_inside(void **state)
{
    for (int64_t r = 0; r <= 7; r++) {
        int64_t disc = -1, ball = -1, at = 0;
        deco_mask *m = NULL;
        deco_ball *b = NULL;
        assert_int_equal(deco_mask_create(&m, 15, r), DECO_OK);
        assert_int_equal(deco_ball_create(&b, 15, r), DECO_OK);
        for (int64_t i = 0; i < 15 * 15 * 15; i++) {
            int64_t x = i % 15 - 7, y = i / 15 % 15 - 7, z = i / 225 - 7;
            disc += z == 0 && x * x + y * y <= r * r;
            if (x * x + y * y + z * z > r * r)
                continue;
            ball++;
            if (x || y || z)
                assert_int_equal(b->index[at++], i);
        }
        assert_int_equal(m->P, disc);
        assert_int_equal(b->P, ball);
        deco_mask_free(m);
        deco_ball_free(b);
    }
}

static void impossible_lattices_are_refused(void **state)
{
    deco_mask *m = (deco_mask *)1;
    deco_ball *b = (deco_ball *)1;
    assert_int_equal(deco_mask_create(&m, 32, 4), DECO_E_ARGUMENT);
    assert_null(m);
    assert_int_equal(deco_mask_create(&m, 33, 17), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "radius 17; it must be 0 to 16 for box 32"));
    assert_int_equal(deco_mask_create(&m, INT64_MAX, 4), DECO_E_ARGUMENT);
    assert_int_equal(deco_ball_create(&b, 33, -1), DECO_E_ARGUMENT);
    assert_null(b);
}

static void window_is_one_inside_and_zero_at_the_edge(void **state)
{
    float w[64 * 64];
    deco_window_fill(w, 64);
    assert_true(w[32 * 64 + 32] == 1 && w[32 * 64 + 32 + 27] == 1); /* r = 27/32 < 0.85 */
    assert_true(w[0] == 0 && w[32 * 64] == 0);                      /* r = 1.41 and 1 */
    for (int i = 1; i < 64; i++)
        assert_true(w[32 * 64 + i] == w[32 * 64 + 64 - i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_points_rise_and_pair_up_with_their_opposites),
        cmocka_unit_test(mask_and_ball_hold_every_point_inside),
        cmocka_unit_test(impossible_lattices_are_refused),
        cmocka_unit_test(window_is_one_inside_and_zero_at_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
