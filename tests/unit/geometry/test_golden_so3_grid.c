/* Golden topic f: HEALPix directions, angles in the plane, the base grid, candidates and neighbours. The base order is read off the
 * number of angles, that of a level's grid is higher by the level. */
#include "geometry/so3_grid.h"
#include "support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { C = DECO_SO3_CANDIDATES, K = DECO_SO3_NEIGHBOURS };

static double *numbers(int64_t n)
{
    double *v = calloc((size_t)n + 1, sizeof *v);
    assert_non_null(v);
    return v;
}

static int base_order(void)
{
    golden_array angles = golden_read("f_so3_grid/s1_angles.npy");
    int order = 0;

    while (deco_so3_angles(order) < angles.count)
        order++;
    assert_int_equal(deco_so3_angles(order), angles.count);
    golden_free(&angles);
    return order;
}

/* q and -q are one rotation: each of mine is turned to the golden one's side. */
static void align(double *mine, const double *golden, int64_t count)
{
    for (int64_t i = 0; i < count; i += 4) {
        double dot = 0;
        for (int a = 0; a < 4; a++)
            dot += mine[i + a] * golden[i + a];
        for (int a = 0; a < 4; a++)
            mine[i + a] *= dot < 0 ? -1 : 1;
    }
}

static void expect_rotations(const char *name, double *mine, int64_t count)
{
    golden_array g = golden_read(name);

    assert_int_equal(g.count, count);
    align(mine, g.v, count);
    golden_expect(name, mine, count);
    golden_free(&g);
}

static void expect_directions(const char *name, int order, const golden_array *index)
{
    int64_t n = index ? index->count : deco_so3_directions(order);
    double *mine = numbers(2 * n);

    for (int64_t i = 0; i < n; i++)
        deco_so3_direction_rad(&mine[2 * i], &mine[2 * i + 1], order, index ? (int64_t)index->v[i] : i);
    golden_expect(name, mine, 2 * n);
    free(mine);
}

static void healpix_pixels_of_every_nside(void **state)
{
    const char **names;
    int count = golden_list(&names, "f_so3_grid/healpix_", "_index.npy");

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        char angles[96];
        int nside, order = 0;
        golden_array index = golden_read(names[i]);
        assert_int_equal(sscanf(names[i], "f_so3_grid/healpix_%d_index.npy", &nside), 1);
        while (1 << order < nside)
            order++;
        snprintf(angles, sizeof angles, "f_so3_grid/healpix_%d_angles.npy", nside);
        expect_directions(angles, order, &index);
        golden_free(&index);
    }
}

static void base_directions_and_angles(void **state)
{
    int order = base_order();
    double *mine = numbers(deco_so3_angles(order));

    expect_directions("f_so3_grid/s2_angles.npy", order, NULL);
    for (int64_t m = 0; m < deco_so3_angles(order); m++)
        mine[m] = deco_so3_angle_rad(order, m);
    golden_expect("f_so3_grid/s1_angles.npy", mine, deco_so3_angles(order));
    free(mine);
}

static void base_quaternions_count_angles_fast(void **state)
{
    int order = base_order();
    double *mine = numbers(4 * deco_so3_count(order));

    for (int64_t r = 0; r < deco_so3_count(order); r++)
        deco_so3_quaternion(mine + 4 * r, order, r);
    expect_rotations("f_so3_grid/base_quat.npy", mine, 4 * deco_so3_count(order));
    free(mine);
}

static void quaternions_of_bare_directions(void **state)
{
    int order = base_order();
    int64_t n = deco_so3_directions(order);
    double *mine = numbers(4 * n), theta, phi;

    for (int64_t d = 0; d < n; d++) {
        deco_so3_direction_rad(&theta, &phi, order, d);
        deco_hopf_quaternion(mine + 4 * d, theta, phi, 0);
    }
    expect_rotations("f_so3_grid/base_s2_quat.npy", mine, 4 * n);
    free(mine);
}

/* A level's files: golden_read("f_so3_grid/level<level>_<what>.npy"). */
static const char *level_file(int level, const char *what)
{
    static char name[96];
    snprintf(name, sizeof name, "f_so3_grid/level%d_%s.npy", level, what);
    return name;
}

/* The golden angles run past the circle. */
static int64_t number_at(int order, const double *direction_and_angle)
{
    return deco_so3_number(order, (int64_t)direction_and_angle[0], (int64_t)direction_and_angle[1] % deco_so3_angles(order));
}

static int levels(void)
{
    const char **names;
    int count = golden_list(&names, "f_so3_grid/level", "_parent_index.npy");
    assert_true(count > 0);
    return count;
}

static void base_rotation_numbers_are_direction_then_angle(void **state)
{
    int order = base_order();
    golden_array number = golden_read("f_so3_grid/parents.npy"), pair = golden_read(level_file(1, "parent_index"));

    assert_int_equal(pair.count, 2 * number.count);
    for (int64_t i = 0; i < number.count; i++) {
        assert_int_equal(number_at(order, pair.v + 2 * i), (int64_t)number.v[i]);
        assert_int_equal(deco_so3_direction(order, (int64_t)number.v[i]), (int64_t)pair.v[2 * i]);
        assert_int_equal(deco_so3_angle(order, (int64_t)number.v[i]), (int64_t)pair.v[2 * i + 1]);
    }
    golden_free(&number);
    golden_free(&pair);
}

static void parents_are_rotations_of_their_grid(void **state)
{
    for (int level = 1; level <= levels(); level++) {
        int order = base_order() + level - 1;
        golden_array parent = golden_read(level_file(level, "parent_index")), q = golden_read(level_file(level, "parent_quat"));
        double *mine = numbers(q.count);
        for (int64_t i = 0; i < parent.count / 2; i++)
            deco_so3_quaternion(mine + 4 * i, order, number_at(order, parent.v + 2 * i));
        align(mine, q.v, q.count);
        golden_compare(level_file(level, "parent_quat"), mine, q.v, q.count, 5e-7, 0); /* as base_quat: float32 numbers of the reference */
        free(mine);
        golden_free(&parent);
        golden_free(&q);
    }
}

static double distance2(const double *p, const double *q)
{
    double minus = 0, plus = 0;
    for (int a = 0; a < 4; a++)
        minus += (p[a] - q[a]) * (p[a] - q[a]), plus += (p[a] + q[a]) * (p[a] + q[a]);
    return fmin(minus, plus);
}

static void candidates_and_their_distances(void **state)
{
    for (int level = 1; level <= levels(); level++) {
        int order = base_order() + level - 1;
        golden_array parent = golden_read(level_file(level, "parent_index")), index = golden_read(level_file(level, "cand_index"));
        int64_t n = parent.count / 2;
        double *q = numbers(4 * C * n), *distance = numbers(C * n);
        assert_int_equal(index.count, 2 * C * n);
        for (int64_t i = 0; i < n; i++) {
            int64_t number[C];
            double mine[C][4], centre[4];
            deco_so3_candidates(number, mine, order, number_at(order, parent.v + 2 * i));
            deco_so3_quaternion(centre, order, number_at(order, parent.v + 2 * i));
            memcpy(q + 4 * C * i, mine, sizeof mine);
            for (int c = 0; c < C; c++) {
                assert_int_equal(number[c], number_at(order + 1, index.v + 2 * (C * i + c)));
                distance[C * i + c] = distance2(mine[c], centre);
            }
        }
        expect_rotations(level_file(level, "cand_quat"), q, 4 * C * n);
        golden_expect(level_file(level, "cand_dist"), distance, C * n);
        free(q);
        free(distance);
        golden_free(&parent);
        golden_free(&index);
    }
}

static bool holds(const int64_t *set, int64_t number)
{
    for (int k = 0; k < K; k++)
        if (set[k] == number)
            return true;
    return false;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The golden parents are float32, which moves distances by 1e-8 and breaks ties: as the manifest says, the eight are compared where the
 * ninth is at least 1e-6 farther than the eighth, and so is their order where two of them differ by that. The distances always are. */
static void expect_neighbours(int level, int order, int64_t parent, const double *near, const double *distances, double gap)
{
    int64_t number[K], golden[K];
    double q[K][4], centre[4], sorted[C], mine[K];

    deco_so3_neighbours(number, q, NULL, order, parent);
    deco_so3_quaternion(centre, order, parent);
    for (int k = 0; k < K; k++) {
        golden[k] = number_at(order + 1, near + 2 * k);
        mine[k] = distance2(q[k], centre);
    }
    memcpy(sorted, distances, sizeof sorted);
    qsort(sorted, C, sizeof *sorted, rising);
    golden_compare(level_file(level, "cand_dist (the nearest)"), mine, sorted, K, 1e-6, 0);
    for (int k = 0; k < K; k++) {
        bool apart = (k == 0 || mine[k] - mine[k - 1] >= 1e-6) && (k == K - 1 || mine[k + 1] - mine[k] >= 1e-6);
        if (gap >= 1e-6)
            assert_true(holds(golden, number[k]));
        if (gap >= 1e-6 && apart)
            assert_int_equal(number[k], golden[k]);
    }
}

static void the_eight_nearest(void **state)
{
    for (int level = 1; level <= levels(); level++) {
        int order = base_order() + level - 1;
        golden_array parent = golden_read(level_file(level, "parent_index")), distances = golden_read(level_file(level, "cand_dist"));
        golden_array exact = golden_read(level_file(level, "near_exact")), gap = golden_read(level_file(level, "gap"));
        assert_int_equal(exact.count, 2 * K * gap.count);
        for (int64_t i = 0; i < gap.count; i++)
            expect_neighbours(level, order, number_at(order, parent.v + 2 * i), exact.v + 2 * K * i, distances.v + C * i, gap.v[i]);
        golden_free(&parent);
        golden_free(&distances);
        golden_free(&exact);
        golden_free(&gap);
    }
}

/* What the reference itself chose, in float32: the same eight where the choice is not arbitrary. */
static void the_reference_chose_the_same(void **state)
{
    for (int level = 1; level <= levels(); level++) {
        int order = base_order() + level - 1;
        golden_array parent = golden_read(level_file(level, "parent_index")), gap = golden_read(level_file(level, "gap"));
        golden_array index = golden_read(level_file(level, "near_index")), q = golden_read(level_file(level, "near_quat"));
        for (int64_t i = 0; i < gap.count; i++) {
            int64_t number[K];
            double mine[K][4], theirs[4];
            deco_so3_neighbours(number, mine, NULL, order, number_at(order, parent.v + 2 * i));
            for (int k = 0; k < K; k++) {
                int64_t chosen = number_at(order + 1, index.v + 2 * (K * i + k));
                if (gap.v[i] >= 1e-6)
                    assert_true(holds(number, chosen));
                deco_so3_quaternion(theirs, order + 1, chosen);
                align(theirs, q.v + 4 * (K * i + k), 4);
                golden_compare(level_file(level, "near_quat"), theirs, q.v + 4 * (K * i + k), 4, 5e-7, 0);
            }
        }
        golden_free(&parent);
        golden_free(&gap);
        golden_free(&index);
        golden_free(&q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(healpix_pixels_of_every_nside),
        cmocka_unit_test(base_directions_and_angles),
        cmocka_unit_test(base_quaternions_count_angles_fast),
        cmocka_unit_test(quaternions_of_bare_directions),
        cmocka_unit_test(base_rotation_numbers_are_direction_then_angle),
        cmocka_unit_test(parents_are_rotations_of_their_grid),
        cmocka_unit_test(candidates_and_their_distances),
        cmocka_unit_test(the_eight_nearest),
        cmocka_unit_test(the_reference_chose_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
