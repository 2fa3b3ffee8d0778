/* Structures to density maps: Gaussians on a grid of half the pixel size, filtered and cut in Fourier space. */
#include "base/file.h"
#include "compute/ops.h"
#include "particles/simulate_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REACH 6 /* voxels of the fine grid to either side of an atom: exp(-18) of its middle */

/* One atom as a Gaussian of standard deviation 1 voxel, a row of weights an axis. `at` in voxels, from the corner. */
static void add_atom(float *fine, int64_t n, const double at[3], float weight)
{
    float g[3][2 * REACH + 1];
    int64_t first[3];
    for (int a = 0; a < 3; a++) {
        first[a] = (int64_t)floor(at[a]) - REACH;
        for (int i = 0; i <= 2 * REACH; i++) {
            double d = (double)(first[a] + i) - at[a];
            g[a][i] = (float)exp(-0.5 * d * d);
        }
    }
    for (int z = 0; z <= 2 * REACH; z++)
        for (int y = 0; y <= 2 * REACH; y++) {
            float *row = fine + ((first[2] + z) * n + first[1] + y) * n + first[0], w = weight * g[2][z] * g[1][y];
            for (int x = 0; x <= 2 * REACH; x++)
                row[x] += w * g[0][x];
        }
}

/* Farther than this from the centre an atom's density would leave the box. */
static double room_A(const sim_settings *s) { return (0.5 * (double)s->D - 0.5 * (REACH + 1)) * s->psize_A; }

static deco_status splat(float *fine, const sim_settings *s, const sim_atoms *a, const double centre[3])
{
    for (int64_t i = 0; i < a->count; i++) {
        double at[3], far = 0;
        for (int k = 0; k < 3; k++) {
            double d = a->x[3 * i + k] - centre[k];
            at[k] = d / (0.5 * s->psize_A) + (double)s->D;
            far = fmax(far, fabs(d));
        }
        if (far > room_A(s))
            return deco_fail(DECO_E_ARGUMENT,
                             "the molecule does not fit: an atom is %.1f Å from the middle along an axis, and a box of %lld pixels of %g Å "
                             "leaves %.1f Å; a larger box or psize_A does",
                             far, (long long)s->D, s->psize_A, room_A(s));
        add_atom(fine, 2 * s->D, at, a->weight[i]);
    }
    return DECO_OK;
}

void sim_central(float *out, int64_t D, const float *in, int64_t n)
{
    int64_t m = D < n ? D : n, a = D / 2 - m / 2, b = n / 2 - m / 2;
    if (D > n)
        memset(out, 0, (size_t)(D * D * D) * sizeof *out);
    for (int64_t z = 0; z < m; z++)
        for (int64_t y = 0; y < m; y++)
            memcpy(out + ((z + a) * D + y + a) * D + a, in + ((z + b) * n + y + b) * n + b, (size_t)m * sizeof *out);
}

/* Each value of a centred transform [D,D,D] times f(frequency in cycles per voxel). */
static void filter(float *h, int64_t D, double (*f)(double k, double parameter), double parameter)
{
    int64_t half = D / 2;
    for (int64_t z = 0; z < D; z++)
        for (int64_t y = 0; y < D; y++)
            for (int64_t x = 0; x < D; x++) {
                double a = (double)(x - half), b = (double)(y - half), c = (double)(z - half);
                h[(z * D + y) * D + x] *= (float)f(sqrt(a * a + b * b + c * c) / (double)D, parameter);
            }
}

/* A Gaussian's transform; of negative `variance` (voxels²) the inverse of one. */
static double gaussian(double k, double variance) { return exp(-2 * M_PI * M_PI * variance * k * k); }

static double taper(double k, double unused)
{
    double x = (k / 0.5 - 0.9) / 0.1;
    (void)unused;
    return x <= 0 ? 1 : x >= 1 ? 0 : 0.5 * (1 + cos(M_PI * x));
}

void sim_band_limit(float *h, int64_t D) { filter(h, D, taper, 0); }

deco_status sim_density_of_atoms(float *v, const sim_settings *s, const sim_atoms *a, const double centre[3], deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t D = s->D, n = 2 * D;
    float *fine = NULL;
    /* A Gaussian whose transform falls to 1/e at 1/resolution; the voxels' own (σ = half a pixel) is part of it. */
    double sigma_px = s->resolution_A / (M_PI * sqrt(2)) / s->psize_A;

    TRY(deco_alloc(&fine, (size_t)(n * n * n), sizeof *fine, "density grid"));
    TRY(splat(fine, s, a, centre));
    TRY(deco_hartley_3d(dev, deco_f32_3(fine, n, n, n), deco_f32_3(fine, n, n, n), false));
    TRY(deco_device_wait(dev));
    sim_central(v, D, fine, n);
    filter(v, D, gaussian, sigma_px * sigma_px - 0.25);
    sim_band_limit(v, D);
    TRY(deco_hartley_3d(dev, deco_f32_3(v, D, D, D), deco_f32_3(v, D, D, D), true));
    TRY(deco_device_wait(dev));
out:
    free(fine);
    return st;
}

/* Centre of mass of all structures together: every class stands in one frame. */
static void common_centre(double centre[3], const sim_atoms *a, int64_t n)
{
    double sum[3] = {0}, mass = 0;
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < a[k].count; i++) {
            mass += a[k].weight[i];
            for (int c = 0; c < 3; c++)
                sum[c] += a[k].weight[i] * a[k].x[3 * i + c];
        }
    for (int c = 0; c < 3; c++)
        centre[c] = sum[c] / mass;
}

/* Step `t` of the way from a to b, atom by atom. */
static void between(sim_atoms *out, const sim_atoms *a, const sim_atoms *b, double t)
{
    for (int64_t i = 0; i < 3 * a->count; i++)
        out->x[i] = (1 - t) * a->x[i] + t * b->x[i];
}

static deco_status structure_densities(float **map, const sim_settings *s, deco_device *dev)
{
    deco_status st = DECO_OK;
    const deco_list *from = &s->o->from;
    sim_atoms *atoms = NULL, step = {0};
    double centre[3];

    TRY(deco_alloc(&atoms, (size_t)from->count, sizeof *atoms, "structures"));
    for (int64_t i = 0; i < from->count; i++)
        TRY(sim_structure_read(&atoms[i], from->items[i]));
    common_centre(centre, atoms, from->count);
    if (!s->continuous)
        for (int64_t i = 0; i < s->maps; i++)
            TRY(sim_density_of_atoms(map[i], s, &atoms[i], centre, dev));
    else {
        if (atoms[0].count != atoms[1].count)
            TRY(deco_fail(DECO_E_ARGUMENT,
                          "motion: %s has %lld atoms and %s %lld; both ends of a motion need the same atoms in the same order",
                          from->items[0], (long long)atoms[0].count, from->items[1], (long long)atoms[1].count));
        TRY(deco_alloc(&step.x, (size_t)(3 * atoms[0].count), sizeof *step.x, "atoms"));
        TRY(deco_alloc(&step.weight, (size_t)atoms[0].count, sizeof *step.weight, "atoms"));
        memcpy(step.weight, atoms[0].weight, (size_t)atoms[0].count * sizeof *step.weight);
        step.count = atoms[0].count;
        for (int64_t i = 0; i < s->maps; i++) {
            between(&step, &atoms[0], &atoms[1], ((double)i + 0.5) / (double)s->maps);
            TRY(sim_density_of_atoms(map[i], s, &step, centre, dev));
        }
    }
out:
    for (int64_t i = 0; atoms && i < from->count; i++)
        sim_atoms_free(&atoms[i]);
    free(atoms);
    sim_atoms_free(&step);
    return st;
}

/* Maps given as maps; between two of them the motion is a cross-fade. */
static deco_status map_densities(float **map, const sim_settings *s, deco_device *dev)
{
    deco_status st = DECO_OK;
    const deco_list *from = &s->o->from;
    int64_t values = s->D * s->D * s->D;
    float *end[2] = {NULL, NULL};

    if (!s->continuous) {
        for (int64_t i = 0; i < s->maps; i++)
            TRY(sim_density_of_map(map[i], s, from->items[i], dev));
        goto out;
    }
    for (int k = 0; k < 2; k++) {
        TRY(deco_alloc(&end[k], (size_t)values, sizeof *end[k], "density map"));
        TRY(sim_density_of_map(end[k], s, from->items[k], dev));
    }
    for (int64_t i = 0; i < s->maps; i++) {
        float t = (float)(((double)i + 0.5) / (double)s->maps);
        for (int64_t p = 0; p < values; p++)
            map[i][p] = (1 - t) * end[0][p] + t * end[1][p];
    }
out:
    free(end[0]);
    free(end[1]);
    return st;
}

deco_status sim_densities_make(float **map, const sim_settings *s, deco_device *dev, deco_monitor *m)
{
    deco_info(m, "density: %lld map%s of %lld³ voxels of %g Å", (long long)s->maps, s->maps == 1 ? "" : "s", (long long)s->D, s->psize_A);
    return s->from_maps ? map_densities(map, s, dev) : structure_densities(map, s, dev);
}
