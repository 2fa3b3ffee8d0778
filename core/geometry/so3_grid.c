/* Grids of rotations: HEALPix NESTED directions times angles in the plane (Hopf coordinates). METHOD.md section 6. */
#include "geometry/so3_grid.h"

#include <chealpix.h>
#include <math.h>
#include <string.h>

static const double pi = 3.141592653589793238463;

/* Squared distances nearer to each other than this share are equal: the children lie symmetric about their parent, and of two equal
 * distances rounding must not choose. In the finest grid (order 14) rounding reaches 1e-10, and distances that differ do so by more. */
static const double tie = 1e-9;

/* What a direction, and an angle, give to a quaternion. Sixteen candidates need only four of each. */
typedef struct direction_part {
    double cos_half, sin_half; /* of the colatitude */
    double cos_phi, sin_phi;
} direction_part;

typedef struct angle_part {
    double cos_half, sin_half;
} angle_part;

static direction_part part_of_direction(double theta, double phi)
{
    return (direction_part){cos(0.5 * theta), sin(0.5 * theta), cos(phi), sin(phi)};
}

static angle_part part_of_angle(double psi) { return (angle_part){cos(0.5 * psi), sin(0.5 * psi)}; }

static direction_part grid_direction(int order, int64_t direction)
{
    double theta, phi;

    deco_so3_direction_rad(&theta, &phi, order, direction);
    return part_of_direction(theta, phi);
}

static void join(double q[4], direction_part d, angle_part a)
{
    q[0] = d.cos_half * a.cos_half;
    q[1] = d.cos_half * a.sin_half;
    q[2] = d.sin_half * (d.cos_phi * a.cos_half - d.sin_phi * a.sin_half);
    q[3] = d.sin_half * (d.sin_phi * a.cos_half + d.cos_phi * a.sin_half);
}

void deco_hopf_quaternion(double q[4], double theta, double phi, double psi) { join(q, part_of_direction(theta, phi), part_of_angle(psi)); }

void deco_so3_direction_rad(double *theta, double *phi, int order, int64_t direction)
{
    pix2ang_nest64((int64_t)1 << order, direction, theta, phi);
}

double deco_so3_angle_rad(int order, int64_t angle) { return 2 * pi * ((double)angle + 0.5) / (double)deco_so3_angles(order); }

void deco_so3_quaternion(double q[4], int order, int64_t rotation)
{
    join(q, grid_direction(order, deco_so3_direction(order, rotation)),
         part_of_angle(deco_so3_angle_rad(order, deco_so3_angle(order, rotation))));
}

void deco_so3_candidates(int64_t rotation[DECO_SO3_CANDIDATES], double q[DECO_SO3_CANDIDATES][4], int order, int64_t parent)
{
    int64_t direction = 4 * deco_so3_direction(order, parent), first = 2 * deco_so3_angle(order, parent) - 1;
    int64_t circle = deco_so3_angles(order + 1), angle[4];
    angle_part a[4];

    for (int m = 0; m < 4; m++) {
        angle[m] = (first + m + circle) % circle;
        a[m] = part_of_angle(deco_so3_angle_rad(order + 1, angle[m]));
    }
    for (int c = 0; c < DECO_SO3_CANDIDATES; c += 4) {
        direction_part d = grid_direction(order + 1, direction + c / 4);
        for (int m = 0; m < 4; m++) {
            rotation[c + m] = deco_so3_number(order + 1, direction + c / 4, angle[m]);
            join(q[c + m], d, a[m]);
        }
    }
}

/* Squared, to the nearer of q and -q. From the difference, not from the product: 1 - |p·q| would lose half the digits. */
static double distance2(const double p[4], const double q[4])
{
    double minus = 0, plus = 0;

    for (int i = 0; i < 4; i++) {
        minus += (q[i] - p[i]) * (q[i] - p[i]);
        plus += (q[i] + p[i]) * (q[i] + p[i]);
    }
    return fmin(minus, plus);
}

void deco_so3_neighbours(int64_t rotation[DECO_SO3_NEIGHBOURS], double q[DECO_SO3_NEIGHBOURS][4], int candidate[DECO_SO3_NEIGHBOURS],
                         int order, int64_t parent)
{
    int64_t all[DECO_SO3_CANDIDATES];
    double all_q[DECO_SO3_CANDIDATES][4], centre[4], distance[DECO_SO3_CANDIDATES];
    int sorted[DECO_SO3_CANDIDATES];

    deco_so3_candidates(all, all_q, order, parent);
    deco_so3_quaternion(centre, order, parent);
    for (int c = 0; c < DECO_SO3_CANDIDATES; c++) {
        int at = c;
        distance[c] = distance2(centre, all_q[c]);
        for (; at > 0 && distance[c] < distance[sorted[at - 1]] * (1 - tie); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = c;
    }
    for (int n = 0; n < DECO_SO3_NEIGHBOURS; n++) {
        rotation[n] = all[sorted[n]];
        memcpy(q[n], all_q[sorted[n]], sizeof q[n]);
        if (candidate)
            candidate[n] = sorted[n];
    }
}
