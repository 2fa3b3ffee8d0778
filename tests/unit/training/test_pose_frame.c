/* Two sets of poses in frames and hands of their own: what they share is found, and nothing where they share nothing. */
#include "training/pose_frame.h"

#include "formulas/rotation.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { N = 600 };

static void random_rotation(double R[9], deco_random *r)
{
    double u[3], q[4];
    for (int i = 0; i < 3; i++)
        u[i] = deco_random_uniform(r);
    deco_quaternion_from_uniform(q, u);
    deco_rotation_from_quaternion(R, q);
}

static void multiply(double out[9], const double A[9], const double B[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = A[3 * i] * B[j] + A[3 * i + 1] * B[3 + j] + A[3 * i + 2] * B[6 + j];
}

/* b: the first `alike` of n as a in another frame (and hand), turned by up to 5 degrees each; the rest at random. */
static void make(float *a, float *b, int alike, bool mirrored)
{
    deco_random r = deco_random_at(5, DECO_STREAM_SAMPLE, 0);
    double Q[9];

    random_rotation(Q, &r);
    for (int i = 0; i < N; i++) {
        double A[9], B[9], wobble[9], v[3];
        random_rotation(A, &r);
        for (int j = 0; j < 3; j++)
            v[j] = 0.087 / sqrt(3) * (2 * deco_random_uniform(&r) - 1);
        deco_rotation_from_axis_angle(wobble, v);
        multiply(B, wobble, A);
        multiply(B, (double[9]){B[0], B[1], B[2], B[3], B[4], B[5], B[6], B[7], B[8]}, Q);
        if (mirrored) /* F B F: the pose of the mirrored map that shows the same image */
            B[2] = -B[2], B[5] = -B[5], B[6] = -B[6], B[7] = -B[7];
        if (i >= alike)
            random_rotation(B, &r);
        for (int j = 0; j < 9; j++)
            a[9 * i + j] = (float)A[j], b[9 * i + j] = (float)B[j];
    }
}

static deco_pose_frame fit(const float *a, const float *b)
{
    deco_random draw = deco_random_at(1, DECO_STREAM_SAMPLE, 1);
    return deco_pose_frame_fit(a, b, N, 20, &draw);
}

static void the_share_in_common_is_found_in_either_hand(void **state)
{
    static float a[9 * N], b[9 * N];
    (void)state;
    for (int hand = 0; hand < 2; hand++) {
        make(a, b, 360, hand);
        deco_pose_frame f = fit(a, b);
        assert_int_equal(f.mirrored, hand);
        assert_true(f.share >= 0.6 && f.share < 0.63); /* those alike, and of the others the 1 % that are near by chance */
    }
}

static void unrelated_poses_share_next_to_nothing(void **state)
{
    static float a[9 * N], b[9 * N];
    (void)state;
    make(a, b, 0, false);
    assert_true(fit(a, b).share < 0.06);
}

/* Poses crowded about one direction agree by chance; that is taken off. */
static void agreement_by_chance_does_not_count(void **state)
{
    static float a[9 * N], b[9 * N];
    double agreement;
    deco_random r = deco_random_at(6, DECO_STREAM_SAMPLE, 0);
    (void)state;
    for (int i = 0; i < 2 * N; i++) {
        double v[3], R[9];
        for (int j = 0; j < 3; j++)
            v[j] = 0.05 * deco_random_normal(&r);
        deco_rotation_from_axis_angle(R, v);
        for (int j = 0; j < 9; j++)
            *(i < N ? a + 9 * i + j : b + 9 * (i - N) + j) = (float)R[j];
    }
    assert_true(fit(a, b).share > 0.9);
    assert_int_equal(deco_pose_agreement(&agreement, a, b, N, 20, &r), DECO_OK);
    assert_true(agreement < 0.2);
    make(a, b, 300, false);
    assert_int_equal(deco_pose_agreement(&agreement, a, b, N, 20, &r), DECO_OK);
    assert_true(fabs(agreement - 0.5) < 0.03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_share_in_common_is_found_in_either_hand),
        cmocka_unit_test(unrelated_poses_share_next_to_nothing),
        cmocka_unit_test(agreement_by_chance_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
