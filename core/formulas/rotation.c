/* The conversions of rotation.h that branch too much to stand in a header. */
#include "formulas/rotation.h"

/* Shepperd's method: the largest of the four squares first, so that no root is of a small number. */
void deco_quaternion_from_rotation(double q[4], const double R[9])
{
    double trace = R[0] + R[4] + R[8];
    int i = R[0] >= R[4] ? (R[0] >= R[8] ? 0 : 2) : (R[4] >= R[8] ? 1 : 2);
    if (trace > R[4 * i]) {
        double s = 2 * sqrt(1 + trace);
        q[0] = s / 4, q[1] = (R[7] - R[5]) / s, q[2] = (R[2] - R[6]) / s, q[3] = (R[3] - R[1]) / s;
    } else {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        double s = 2 * sqrt(fmax(0, 1 + R[4 * i] - R[4 * j] - R[4 * k]));
        q[1 + i] = s / 4;
        q[1 + j] = (R[3 * i + j] + R[3 * j + i]) / s;
        q[1 + k] = (R[3 * i + k] + R[3 * k + i]) / s;
        q[0] = (R[3 * k + j] - R[3 * j + k]) / s;
    }
    double n = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    n = q[0] < 0 ? -n : n;
    for (int a = 0; a < 4; a++)
        q[a] /= n;
}

void deco_axis_angle_from_rotation(double v[3], const double R[9])
{
    double q[4]; /* of R = exp(v)ᵀ: the axis turns round */
    deco_quaternion_from_rotation(q, R);
    double s = sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3]), angle = 2 * atan2(s, q[0]);
    double scale = s > 0 ? -angle / s : 0;
    for (int a = 0; a < 3; a++)
        v[a] = scale * q[1 + a];
}
