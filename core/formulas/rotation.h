/* Rotations: axis-angle, quaternions, the 6-D table form. METHOD.md sections 5 and 6. Matrices are row-major. */
#ifndef DECO_FORMULAS_ROTATION_H
#define DECO_FORMULAS_ROTATION_H

#include "formulas/host_device.h"
#include <math.h>

/* R = exp(v)ᵀ of an axis-angle vector, as poses in .cs files are used (identity for v = 0). */
DECO_HD void deco_rotation_from_axis_angle(double R[9], const double v[3])
{
    double a2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2], a = sqrt(a2);
    double s = a > 1e-8 ? sin(a) / a : 1 - a2 / 6;           /* sin a / a */
    double c = a > 1e-4 ? (1 - cos(a)) / a2 : 0.5 - a2 / 24; /* (1 - cos a) / a² */
    double x = v[0], y = v[1], z = v[2];
    R[0] = 1 - c * (y * y + z * z), R[1] = c * x * y + s * z, R[2] = c * x * z - s * y;
    R[3] = c * x * y - s * z, R[4] = 1 - c * (x * x + z * z), R[5] = c * y * z + s * x;
    R[6] = c * x * z + s * y, R[7] = c * y * z - s * x, R[8] = 1 - c * (x * x + y * y);
}

/* The axis-angle vector v of R = exp(v)ᵀ, angle in [0, π]. */
void deco_axis_angle_from_rotation(double v[3], const double R[9]);

/* METHOD.md section 6: rows from (r,i,j,k), any length. */
DECO_HD void deco_rotation_from_quaternion(double R[9], const double q[4])
{
    double n = 1 / (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]), r = q[0], i = q[1], j = q[2], k = q[3];
    R[0] = n * (r * r - i * i - j * j + k * k), R[1] = 2 * n * (r * i + j * k), R[2] = 2 * n * (r * j - i * k);
    R[3] = 2 * n * (r * i - j * k), R[4] = n * (-r * r + i * i - j * j + k * k), R[5] = 2 * n * (i * j + r * k);
    R[6] = 2 * n * (r * j + i * k), R[7] = 2 * n * (i * j - r * k), R[8] = n * (-r * r - i * i + j * j + k * k);
}

/* Usual (w,x,y,z) of a matrix; w >= 0. */
void deco_quaternion_from_rotation(double q[4], const double R[9]);

/* Gram–Schmidt of two 3-vectors to rows e1, e2, e3 = e1×e2. */
DECO_HD void deco_rotation_from_six(double R[9], const double s[6])
{
    double n = 1 / sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);
    for (int i = 0; i < 3; i++)
        R[i] = s[i] * n;
    double d = R[0] * s[3] + R[1] * s[4] + R[2] * s[5], e[3];
    for (int i = 0; i < 3; i++)
        e[i] = s[3 + i] - d * R[i];
    n = 1 / sqrt(e[0] * e[0] + e[1] * e[1] + e[2] * e[2]);
    for (int i = 0; i < 3; i++)
        R[3 + i] = e[i] * n;
    R[6] = R[1] * R[5] - R[2] * R[4], R[7] = R[2] * R[3] - R[0] * R[5], R[8] = R[0] * R[4] - R[1] * R[3];
}

/* ds [6] of the gradient dR [9] of that matrix. */
DECO_HD void deco_rotation_from_six_backward(double ds[6], const double dR[9], const double s[6])
{
    double R[9], g1[3], g2[3], du[3], along1 = 0, along2 = 0, tilt = 0;
    deco_rotation_from_six(R, s);
    const double *e1 = R, *e2 = R + 3, *g3 = dR + 6, *b = s + 3;
    double length1 = sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);
    double d = e1[0] * b[0] + e1[1] * b[1] + e1[2] * b[2], length2 = e2[0] * b[0] + e2[1] * b[1] + e2[2] * b[2];
    for (int i = 0; i < 3; i++) { /* e3 = e1×e2 */
        int j = (i + 1) % 3, k = (i + 2) % 3;
        g1[i] = dR[i] + e2[j] * g3[k] - e2[k] * g3[j];
        g2[i] = dR[3 + i] + g3[j] * e1[k] - g3[k] * e1[j];
    }
    for (int i = 0; i < 3; i++)
        along2 += g2[i] * e2[i];
    for (int i = 0; i < 3; i++) { /* e2 = u / |u|, u = b - d e1, d = e1·b */
        du[i] = (g2[i] - along2 * e2[i]) / length2;
        tilt += du[i] * e1[i];
    }
    for (int i = 0; i < 3; i++) {
        ds[3 + i] = du[i] - tilt * e1[i];
        g1[i] -= d * du[i] + tilt * b[i];
        along1 += g1[i] * e1[i];
    }
    for (int i = 0; i < 3; i++)
        ds[i] = (g1[i] - along1 * e1[i]) / length1;
}

/* A uniformly random quaternion (r,i,j,k) of three uniform numbers in [0, 1) (Shoemake). */
DECO_HD void deco_quaternion_from_uniform(double q[4], const double u[3])
{
    double a = sqrt(1 - u[0]), b = sqrt(u[0]), s = 6.283185307179586476925 * u[1], t = 6.283185307179586476925 * u[2];
    q[0] = a * sin(s), q[1] = a * cos(s), q[2] = b * sin(t), q[3] = b * cos(t);
}

#endif
