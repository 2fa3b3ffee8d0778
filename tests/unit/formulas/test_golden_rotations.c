/* Golden topic e: conversions of rotations. */
#include "formulas/rotation.h"
#include "support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Runs `convert` on rows of `in` numbers and compares rows of `out`. */
static void rows(const char *input, const char *output, int in, int out, void (*convert)(double *to, const double *from))
{
    golden_array x = golden_read(input);
    int64_t n = x.count / in;
    double *mine = calloc((size_t)(n * out), sizeof *mine);
    for (int64_t i = 0; i < n; i++)
        convert(mine + i * out, x.v + i * in);
    golden_expect(output, mine, n * out);
    free(mine);
    golden_free(&x);
}

static void from_quaternion(double *R, const double *q) { deco_rotation_from_quaternion(R, q); }
static void from_axis_angle(double *R, const double *v) { deco_rotation_from_axis_angle(R, v); }
static void from_six(double *R, const double *s) { deco_rotation_from_six(R, s); }

static void matrices_of_quaternions(void **state) { rows("e_rotations/quat.npy", "e_rotations/quat_matrix.npy", 4, 9, from_quaternion); }
static void matrices_of_poses(void **state)
{
    rows("e_rotations/axis_angle.npy", "e_rotations/axis_angle_matrix.npy", 3, 9, from_axis_angle);
}
static void matrices_of_six_numbers(void **state) { rows("e_rotations/six.npy", "e_rotations/six_matrix.npy", 6, 9, from_six); }

/* Both signs are one rotation: ours is turned to the file's before it is compared. */
static void quaternions_of_matrices(void **state)
{
    golden_array R = golden_read("e_rotations/quat_matrix.npy"), q = golden_read("e_rotations/matrix_quat_wxyz.npy");
    double *mine = calloc((size_t)q.count, sizeof *mine);
    for (int64_t i = 0; i < q.count / 4; i++) {
        double dot = 0;
        deco_quaternion_from_rotation(mine + 4 * i, R.v + 9 * i);
        assert_true(mine[4 * i] >= 0);
        for (int a = 0; a < 4; a++)
            dot += mine[4 * i + a] * q.v[4 * i + a];
        for (int a = 0; a < 4; a++)
            mine[4 * i + a] *= dot < 0 ? -1 : 1;
    }
    golden_expect("e_rotations/matrix_quat_wxyz.npy", mine, q.count);
    free(mine);
    golden_free(&R);
    golden_free(&q);
}

/* u is [3, rotations]. */
static void random_quaternions(void **state)
{
    golden_array u = golden_read("e_rotations/random_u.npy");
    int64_t n = u.count / 3;
    double *mine = calloc((size_t)(4 * n), sizeof *mine);
    for (int64_t i = 0; i < n; i++)
        deco_quaternion_from_uniform(mine + 4 * i, (double[]){u.v[i], u.v[n + i], u.v[2 * n + i]});
    golden_expect("e_rotations/random_quat.npy", mine, 4 * n);
    free(mine);
    golden_free(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_of_quaternions), cmocka_unit_test(matrices_of_poses),  cmocka_unit_test(matrices_of_six_numbers),
        cmocka_unit_test(quaternions_of_matrices), cmocka_unit_test(random_quaternions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
