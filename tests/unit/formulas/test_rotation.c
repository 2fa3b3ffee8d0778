/* Rotations at their corners: no turn, half a turn, tiny turns; and there and back. */
#include "base/philox.h"
#include "formulas/rotation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void near(const double *a, const double *b, int n, double bound)
{
    for (int i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= bound))
            fail_msg("number %d: %.17g, expected %.17g", i, a[i], b[i]);
}

static void no_turn_is_the_identity(void **state)
{
    double R[9], v[3], one[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    deco_rotation_from_axis_angle(R, (double[]){0, 0, 0});
    near(R, one, 9, 0);
    deco_axis_angle_from_rotation(v, one);
    near(v, (double[]){0, 0, 0}, 3, 0);
}

/* Double precision all the way: 1e-12 leaves room for the square roots near half a turn. */
static void axis_angles_return(void **state)
{
    const double angles[] = {1e-12, 1e-8, 1e-5, 1e-4, 0.1, 1, 3, 3.1415, 3.14159265};
    deco_random random = deco_random_at(3, DECO_STREAM_SAMPLE, 0);
    for (size_t i = 0; i < sizeof angles / sizeof *angles; i++)
        for (int k = 0; k < 20; k++) {
            double v[3], back[3], R[9], n = 0;
            for (int a = 0; a < 3; a++)
                v[a] = deco_random_normal(&random), n += v[a] * v[a];
            for (int a = 0; a < 3; a++)
                v[a] *= angles[i] / sqrt(n);
            deco_rotation_from_axis_angle(R, v);
            deco_axis_angle_from_rotation(back, R);
            near(back, v, 3, 1e-12 + 1e-15 / angles[i]);
        }
}

/* Half a turn has two axis-angle vectors; either gives the matrix again. */
static void half_turns_return_as_matrices(void **state)
{
    const double axes[][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.6, 0.8, 0}, {0.6, 0, -0.8}, {2. / 3, -2. / 3, 1. / 3}};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        double v[3], R[9], again[9];
        for (int a = 0; a < 3; a++)
            v[a] = axes[i][a] * 3.14159265358979323846;
        deco_rotation_from_axis_angle(R, v);
        deco_axis_angle_from_rotation(v, R);
        deco_rotation_from_axis_angle(again, v);
        near(again, R, 9, 1e-12);
    }
}

/* METHOD.md section 6: (r,i,j,k) is (x,y,z,-w) of the usual quaternion. */
static void quaternions_return(void **state)
{
    deco_random random = deco_random_at(4, DECO_STREAM_SAMPLE, 0);
    for (int k = 0; k < 200; k++) {
        double u[3], q[4], R[9], usual[4], sign;
        for (int a = 0; a < 3; a++)
            u[a] = deco_random_uniform(&random);
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(R, q);
        deco_quaternion_from_rotation(usual, R);
        sign = q[3] > 0 ? -1 : 1;
        near(usual, (double[]){-sign * q[3], sign * q[0], sign * q[1], sign * q[2]}, 4, 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_turn_is_the_identity),
        cmocka_unit_test(axis_angles_return),
        cmocka_unit_test(half_turns_return_as_matrices),
        cmocka_unit_test(quaternions_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
