/* Grids of rotations and shifts, radii of levels, quarter turns: what holds at every setting. */
#include "base/philox.h"
#include "formulas/rotation.h"
#include "geometry/levels.h"
#include "geometry/quarter_turn.h"
#include "geometry/shift_grid.h"
#include "geometry/so3_grid.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { C = DECO_SO3_CANDIDATES, K = DECO_SO3_NEIGHBOURS };
static const long double pi = 3.14159265358979323846264338327950288L;

static deco_random seeded(uint64_t of) { return deco_random_at(7, DECO_STREAM_SAMPLE, of); }
static int64_t drawn(deco_random *r, int64_t n) { return (int64_t)deco_random_below(r, (uint64_t)n); }

/* A quaternion of the grid in long double, from the definition of HEALPix's NESTED order (Górski et al. 2005) and METHOD.md section 6. */
static void reference_quaternion(long double q[4], int order, int64_t rotation)
{
    static const int ring[12] = {2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4}, meridian[12] = {1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7};
    int64_t n = (int64_t)1 << order, direction = rotation / (6 * n), face = direction >> (2 * order), x = 0, y = 0, r, around, odd;
    long double one_minus_z, psi = 2 * pi * ((long double)(rotation % (6 * n)) + 0.5L) / (6 * (long double)n);

    for (int bit = 0; bit < order; bit++) {
        x |= (direction >> (2 * bit) & 1) << bit;
        y |= (direction >> (2 * bit + 1) & 1) << bit;
    }
    r = ring[face] * n - x - y - 1;
    around = r < n ? r : r > 3 * n ? 4 * n - r : n; /* pixels in a quarter of the ring */
    odd = r < n || r > 3 * n ? 0 : (r - n) & 1;
    if (around < n) {
        one_minus_z = (long double)(around * around) / (3 * (long double)n * (long double)n);
        one_minus_z = r < n ? one_minus_z : 2 - one_minus_z;
    } else {
        one_minus_z = 1 - 2 * (long double)(2 * n - r) / (3 * (long double)n);
    }
    long double number =
        ((long double)(meridian[face] * around + x - y + 1 + odd)) / 2; /* in the ring, from 1; half numbers do not occur */
    long double phi = (number - (long double)(odd + 1) / 2) * pi / (2 * (long double)around);
    long double sin_half = sqrtl(one_minus_z / 2), cos_half = sqrtl(1 - one_minus_z / 2);
    q[0] = cos_half * cosl(psi / 2), q[1] = cos_half * sinl(psi / 2);
    q[2] = sin_half * cosl(phi + psi / 2), q[3] = sin_half * sinl(phi + psi / 2);
}

static long double reference_distance2(int order, int64_t parent, int64_t child)
{
    long double p[4], q[4], minus = 0, plus = 0;

    reference_quaternion(p, order, parent);
    reference_quaternion(q, order + 1, child);
    for (int a = 0; a < 4; a++)
        minus += (p[a] - q[a]) * (p[a] - q[a]), plus += (p[a] + q[a]) * (p[a] + q[a]);
    return fminl(minus, plus);
}

/* 2e-15: azimuth and angle, up to 2π, are each rounded twice by up to 4.4e-16, the angle is halved, and a product or two follow. */
static void every_order_has_the_rotations_of_the_definition(void **state)
{
    deco_random r = seeded(1);

    for (int order = 0; order <= DECO_SO3_ORDER_MAX; order++) {
        assert_true(deco_so3_count(order) == 12 * 6 * (int64_t)pow(8, order));
        for (int i = 0; i < 2000; i++) {
            int64_t rotation = i == 0 ? 0 : i == 1 ? deco_so3_count(order) - 1 : drawn(&r, deco_so3_count(order));
            long double expected[4], off = 0, other = 0;
            double q[4];
            deco_so3_quaternion(q, order, rotation);
            reference_quaternion(expected, order, rotation);
            for (int a = 0; a < 4; a++)
                off = fmaxl(off, fabsl(q[a] - expected[a])), other = fmaxl(other, fabsl(q[a] + expected[a]));
            assert_true(fminl(off, other) < 2e-15L);
        }
    }
}

/* No rotation is farther from the grid than the farthest corner of a HEALPix pixel from its centre (the corner of a polar pixel that
 * touches the equatorial belt, at z = 1 - (1 - 1/nside)²/3 under a centre at z = 2/3), and half a step in the plane. */
static double widest_gap_rad(int order)
{
    double n = ldexp(1, order), corner = acos(1 - (1 - 1 / n) * (1 - 1 / n) / 3), centre = acos(2.0 / 3), phi = (double)pi / (4 * n);
    double radius = acos(cos(corner) * cos(centre) + sin(corner) * sin(centre) * cos(phi));
    return radius + (double)pi / (double)deco_so3_angles(order);
}

static void base_grids_cover_all_rotations_evenly(void **state)
{
    for (int order = 1; order <= 3; order++) {
        int64_t n = deco_so3_count(order);
        double(*grid)[4] = malloc((size_t)n * sizeof *grid), spread[4][4] = {{0}}, narrowest = 1;
        deco_random random = seeded(2);
        assert_non_null(grid);
        for (int64_t r = 0; r < n; r++) {
            deco_so3_quaternion(grid[r], order, r);
            for (int a = 0; a < 16; a++)
                spread[a / 4][a % 4] += grid[r][a / 4] * grid[r][a % 4] / (double)n;
        }
        for (int a = 0; a < 16; a++) /* of uniform rotations the mean of q qᵀ is 1/4: no direction of the quaternions is preferred */
            assert_true(fabs(spread[a / 4][a % 4] - (a / 4 == a % 4 ? 0.25 : 0)) < 1e-12);
        for (int i = 0; i < 300; i++) {
            double u[3] = {deco_random_uniform(&random), deco_random_uniform(&random), deco_random_uniform(&random)}, q[4], nearest = 0;
            deco_quaternion_from_uniform(q, u);
            for (int64_t r = 0; r < n; r++)
                nearest = fmax(nearest, fabs(q[0] * grid[r][0] + q[1] * grid[r][1] + q[2] * grid[r][2] + q[3] * grid[r][3]));
            narrowest = fmin(narrowest, nearest);
        }
        assert_true(2 * acos(narrowest) <= widest_gap_rad(order));
        free(grid);
    }
}

static void each_rotation_of_the_next_grid_has_two_parents(void **state)
{
    for (int order = 1; order <= 2; order++) {
        uint8_t *seen = calloc((size_t)deco_so3_count(order + 1), 1);
        assert_non_null(seen);
        for (int64_t parent = 0; parent < deco_so3_count(order); parent++) {
            int64_t number[C];
            double q[C][4];
            deco_so3_candidates(number, q, order, parent);
            for (int c = 0; c < C; c++) {
                assert_true(number[c] >= 0 && number[c] < deco_so3_count(order + 1));
                assert_int_equal(deco_so3_direction(order + 1, number[c]), 4 * deco_so3_direction(order, parent) + c / 4);
                assert_int_equal(deco_so3_angle(order + 1, number[c]),
                                 (2 * deco_so3_angle(order, parent) - 1 + c % 4 + deco_so3_angles(order + 1)) % deco_so3_angles(order + 1));
                seen[number[c]]++;
            }
        }
        for (int64_t r = 0; r < deco_so3_count(order + 1); r++)
            assert_int_equal(seen[r], 2);
        free(seen);
    }
}

/* Parents next to each other on the circle, its ends among them, have 2 of 4 angles in common in each child direction. */
static void a_rotation_is_the_same_bits_from_either_parent(void **state)
{
    int64_t number[C], next[C];
    double q[C][4], p[C][4], own[4];

    for (int64_t parent = 0; parent < deco_so3_count(2); parent++) {
        int64_t direction = deco_so3_direction(2, parent), angle = deco_so3_angle(2, parent);
        int met = 0;
        deco_so3_candidates(number, q, 2, parent);
        deco_so3_candidates(next, p, 2, deco_so3_number(2, direction, (angle + 1) % deco_so3_angles(2)));
        for (int c = 0; c < C; c++) {
            deco_so3_quaternion(own, 3, number[c]);
            assert_memory_equal(q[c], own, sizeof own);
            for (int j = 0; j < C; j++)
                if (number[c] == next[j]) {
                    assert_memory_equal(q[c], p[j], sizeof own);
                    met++;
                }
        }
        assert_int_equal(met, 8);
    }
}

/* Against distances in long double. Rounding moves a squared distance by up to 1e-10 of itself in the finest grid: what differs by more
 * than the 1e-9 that so3_grid.c takes for equal must be in order, with the allowance of both; ties to the last digits of long double
 * must be in the order of their numbers. */
static void the_nearest_come_first_and_ties_by_number(void **state)
{
    deco_random random = seeded(3);
    int ties = 0, cut_ties = 0;

    for (int order = 1; order < DECO_SO3_ORDER_MAX; order++)
        for (int i = 0; i < 400; i++) {
            int64_t parent = drawn(&random, deco_so3_count(order)), all[C], near[K];
            double q[C][4], near_q[K][4];
            long double d[C];
            int candidate[K];
            bool chosen[C] = {false};
            deco_so3_candidates(all, q, order, parent);
            deco_so3_neighbours(near, near_q, candidate, order, parent);
            for (int c = 0; c < C; c++)
                d[c] = reference_distance2(order, parent, all[c]);
            for (int k = 0; k < K; k++) {
                assert_false(chosen[candidate[k]]);
                chosen[candidate[k]] = true;
                assert_int_equal(near[k], all[candidate[k]]);
                assert_memory_equal(near_q[k], q[candidate[k]], sizeof q[0]);
            }
            for (int k = 0; k < K; k++)
                for (int c = 0; c < C; c++) {
                    int mine = candidate[k];
                    bool after = !chosen[c];
                    for (int j = k + 1; j < K; j++)
                        after |= candidate[j] == c;
                    if (!after)
                        continue;
                    assert_true(d[mine] <= d[c] * (1 + 1.2e-9L));
                    if (fabsl(d[mine] - d[c]) < 1e-12L * d[c]) {
                        assert_true(mine < c);
                        ties++;
                        cut_ties += !chosen[c];
                    }
                }
        }
    assert_true(ties > 1000 && cut_ties > 10); /* or this would show nothing */
}

static void shift_grids_are_symmetric_with_x_fast(void **state)
{
    const struct {
        int64_t t_n_grid;
        int base_healpy;
        double extent;
    } settings[] = {{7, 1, 20}, {7, 2, 20}, {1, 1, 3}, {5, 3, 0.37}, {64, 6, 20}, {8, 1, 10}};

    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
        deco_shift_grid base =
            deco_shift_grid_base(deco_shift_axis(settings[s].t_n_grid, settings[s].base_healpy), settings[s].extent, 0, 0);
        int64_t n = settings[s].t_n_grid << (settings[s].base_healpy - 1), count = deco_shift_grid_count(base);
        double step = 2 * settings[s].extent / (double)n, first[2], t[2], opposite[2];
        assert_true(base.n == n && count == n * n);
        deco_shift_grid_at(first, base, 0); /* the first cell's centre is half a cell inside the edge */
        assert_true(fabs(first[0] + settings[s].extent - step / 2) < 1e-12 * settings[s].extent && first[1] == first[0]);
        for (int64_t i = 0; i < count; i += 1 + count / 5000) {
            int64_t row = i / n, column = i % n;
            deco_shift_grid_at(t, base, i);
            deco_shift_grid_at(opposite, base, count - 1 - i);
            assert_true(t[0] == -opposite[0] && t[1] == -opposite[1]);
            assert_true(fabs(t[0] - first[0] - step * (double)column) < 1e-12 * settings[s].extent);
            assert_true(fabs(t[1] - first[1] - step * (double)row) < 1e-12 * settings[s].extent);
        }
        for (int level = 1; level <= 8; level++) {
            double smaller[2];
            deco_shift_grid_at(t, base, count / 3);
            deco_shift_grid_at(smaller, deco_shift_grid_level(base, level), count / 3);
            assert_true(ldexp(smaller[0], level) == t[0] && ldexp(smaller[1], level) == t[1]);
        }
    }
}

static void the_offset_moves_the_first_level_alone(void **state)
{
    deco_shift_grid plain = deco_shift_grid_base(14, 20, 0, 0), moved = deco_shift_grid_base(14, 20, 3, -1.5);
    double t[2], u[2];

    for (int64_t i = 0; i < deco_shift_grid_count(plain); i++) {
        deco_shift_grid_at(t, plain, i);
        deco_shift_grid_at(u, moved, i);
        assert_true(u[0] == t[0] + 3 && u[1] == t[1] - 1.5);
        deco_shift_grid_at(t, deco_shift_grid_level(plain, 2), i);
        deco_shift_grid_at(u, deco_shift_grid_level(moved, 2), i);
        assert_true(u[0] == t[0] && u[1] == t[1]);
    }
}

static void without_a_search_there_is_one_shift(void **state)
{
    const deco_shift_grid grids[] = {deco_shift_grid_none(), deco_shift_grid_level(deco_shift_grid_none(), 3),
                                     deco_shift_grid_base(14, 0, 0, 0)};
    float out[2] = {9, 9};
    double t[2];

    for (size_t g = 0; g < 3; g++) {
        assert_int_equal(deco_shift_grid_count(grids[g]), 1);
        deco_shift_grid_fill(out, grids[g]);
        assert_true(out[0] == 0 && out[1] == 0);
    }
    deco_shift_grid_at(t, deco_shift_grid_base(14, 0, 3, 4), 0);
    assert_true(t[0] == 3 && t[1] == 4);
}

static void the_central_part_keeps_spacing_and_centre(void **state)
{
    deco_shift_grid level = deco_shift_grid_level(deco_shift_grid_base(14, 20, 0, 0), 1), part = deco_shift_grid_central(level, 4);
    double t[2], u[2];

    assert_int_equal(deco_shift_grid_count(part), 16);
    for (int64_t i = 0; i < 16; i++) {
        deco_shift_grid_at(t, part, i);
        deco_shift_grid_at(u, level, 14 * (5 + i / 4) + 5 + i % 4);
        assert_true(t[0] == u[0] && t[1] == u[1]);
    }
    assert_int_equal(deco_shift_grid_central(deco_shift_grid_none(), 4).n, 1);
}

static void level_radii_are_those_of_the_formula(void **state)
{
    static const int64_t defaults[5] = {12, 17, 22, 27, 32}; /* those of METHOD.md */
    const int64_t ends[][2] = {{12, 32}, {12, 16}, {8, 8}, {32, 12}, {1, 4096}, {10, 33}};

    for (int n_iter = 1; n_iter <= 8; n_iter++)
        for (size_t e = 0; e < sizeof ends / sizeof *ends; e++)
            for (int i = 0; i <= n_iter; i++) {
                int64_t l = ends[e][0] + (int64_t)((double)i / n_iter * (double)(ends[e][1] - ends[e][0]));
                assert_int_equal(deco_level_radius(i, n_iter, ends[e][0], ends[e][1], 16385), l);
                assert_int_equal(deco_level_radius(i, n_iter, ends[e][0], ends[e][1], 65), l < 32 ? l : 32);
            }
    for (int i = 0; i <= 4; i++)
        assert_int_equal(deco_level_radius(i, 4, 12, 32, 129), defaults[i]);
    assert_int_equal(deco_level_radius(0, 0, 12, 32, 129), 32);
    assert_int_equal(deco_level_radius(0, 0, 12, 32, 33), 16);
}

static void four_quarter_turns_of_the_mask_are_none(void **state)
{
    const int64_t sizes[][2] = {{3, 1}, {33, 12}, {33, 16}, {67, 25}, {129, 64}, {129, 0}};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        deco_mask *m = NULL;
        int32_t *turn = NULL;
        assert_int_equal(deco_mask_create(&m, sizes[s][0], sizes[s][1]), DECO_OK);
        assert_int_equal(deco_mask_quarter_turn(&turn, m), DECO_OK);
        for (int64_t p = 0; p < m->P; p++) {
            assert_true(m->k[2 * turn[p]] == m->k[2 * p + 1] && m->k[2 * turn[p] + 1] == -m->k[2 * p]);
            assert_int_equal(turn[turn[p]], m->P - 1 - p); /* half a turn: the opposite point */
        }
        free(turn);
        deco_mask_free(m);
    }
}

/* Where a slice is read: points c @ R. A quarter on in the plane they are the same points, in the mask's turned order. 1e-15 is the
 * rounding of R times the largest |c|, 1/√2. */
static void slices_a_quarter_apart_share_their_points(void **state)
{
    deco_random random = seeded(4);
    deco_mask *m = NULL;
    int32_t *turn = NULL;

    assert_int_equal(deco_mask_create(&m, 65, 12), DECO_OK);
    assert_int_equal(deco_mask_quarter_turn(&turn, m), DECO_OK);
    assert_int_equal(deco_so3_quarter(0), 0);
    assert_int_equal(deco_so3_quarter(2), 6);
    for (int i = 0; i < 200; i++) {
        int order = 1 + i % 6;
        int64_t direction = drawn(&random, deco_so3_directions(order)), angle = drawn(&random, deco_so3_angles(order));
        int64_t next = (angle + deco_so3_quarter(order)) % deco_so3_angles(order);
        double q[4], R[9], S[9];
        deco_so3_quaternion(q, order, deco_so3_number(order, direction, angle));
        deco_rotation_from_quaternion(R, q);
        deco_so3_quaternion(q, order, deco_so3_number(order, direction, next));
        deco_rotation_from_quaternion(S, q);
        for (int64_t p = 0; p < m->P; p++)
            for (int a = 0; a < 3; a++) {
                const float *c = m->k + 2 * p, *t = m->k + 2 * turn[p];
                assert_true(fabs((c[0] * S[a] + c[1] * S[3 + a]) - (t[0] * R[a] + t[1] * R[3 + a])) < 1e-15);
            }
    }
    free(turn);
    deco_mask_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_has_the_rotations_of_the_definition), cmocka_unit_test(base_grids_cover_all_rotations_evenly),
        cmocka_unit_test(each_rotation_of_the_next_grid_has_two_parents),  cmocka_unit_test(a_rotation_is_the_same_bits_from_either_parent),
        cmocka_unit_test(the_nearest_come_first_and_ties_by_number),       cmocka_unit_test(shift_grids_are_symmetric_with_x_fast),
        cmocka_unit_test(the_offset_moves_the_first_level_alone),          cmocka_unit_test(without_a_search_there_is_one_shift),
        cmocka_unit_test(the_central_part_keeps_spacing_and_centre),       cmocka_unit_test(level_radii_are_those_of_the_formula),
        cmocka_unit_test(four_quarter_turns_of_the_mask_are_none),         cmocka_unit_test(slices_a_quarter_apart_share_their_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
