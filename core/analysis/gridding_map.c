/* From sums on the fine grid to a density map. */
#include "analysis/gridding.h"
#include "compute/ops.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of a shell's mean, the least that a cell is taken to hold; as in RELION's BackProjector. */
static const double least_weight = 1e-3;

typedef struct filling {
    const deco_gridding *g;
    int which;
    double *sums;              /* [side,shells,2] by plane: weights, cells */
    const double *add, *least; /* [shells] */
    float *grid;               /* [fine,fine,fine] Hartley values, centre at fine/2 */
} filling;

static int64_t shells(const deco_gridding *g) { return g->mask->radius + 2; }

/* Shell of the lattice, by the cell's distance from the centre; beyond the mask and the last points' reach: none. */
static int64_t shell_of(const deco_gridding *g, int64_t x, int64_t y, int64_t z)
{
    int64_t d2 = x * x + y * y + z * z, most = DECO_GRID_FINE * g->mask->radius + 1;
    return d2 > most * most ? -1 : lrint(sqrt((double)d2) / DECO_GRID_FINE);
}

static float weight_at(const filling *f, int64_t at)
{
    const deco_grid_sums *h = f->g->half;
    return f->which < 2 ? h[f->which].weight[at] : h[0].weight[at] + h[1].weight[at];
}

static float value_at(const filling *f, int64_t at)
{
    const deco_grid_sums *h = f->g->half;
    return f->which < 2 ? h[f->which].value[at] : h[0].value[at] + h[1].value[at];
}

static deco_status sum_plane(void *context, int64_t index, int worker)
{
    const filling *f = context;
    const deco_gridding *g = f->g;
    double *sums = f->sums + 2 * index * shells(g);

    for (int64_t y = -g->reach; y <= g->reach; y++)
        for (int64_t x = 0; x < g->depth - 1; x++) {
            int64_t s = shell_of(g, x, y, index - g->reach), at = (index * g->side + y + g->reach) * g->depth + x + 1;
            if (s < 0)
                continue;
            sums[2 * s] += weight_at(f, at);
            sums[2 * s + 1]++;
        }
    return DECO_OK;
}

/* Where the grid ends it meets itself; those cells stay empty. */
static bool inside(const deco_gridding *g, int64_t c) { return c > -g->D && c < g->D; }

static deco_status fill_plane(void *context, int64_t index, int worker)
{
    const filling *f = context;
    const deco_gridding *g = f->g;
    int64_t z = index - g->reach, n = DECO_GRID_FINE * g->D, c = g->D;

    for (int64_t y = -g->reach; y <= g->reach && inside(g, z); y++)
        for (int64_t x = 0; x < g->depth - 1 && inside(g, y); x++) {
            int64_t s = shell_of(g, x, y, z), at = (index * g->side + y + g->reach) * g->depth + x + 1;
            double w, re, im;
            if (s < 0 || !inside(g, x))
                continue;
            w = fmax(weight_at(f, at), f->least[s]) + f->add[s];
            re = w > 0 ? value_at(f, 2 * at) / w : 0;
            im = w > 0 ? value_at(f, 2 * at + 1) / w : 0;
            f->grid[((c + z) * n + c + y) * n + c + x] = (float)(re - im);
            if (x > 0) /* cells with x = 0 have their opposites among themselves */
                f->grid[((c - z) * n + c - y) * n + c - x] = (float)(re + im);
        }
    return DECO_OK;
}

/* What a cell's weight is raised to and by: Wiener's noise over signal is the shell's mean weight over its signal-to-noise ratio. */
static deco_status find_floors(filling *f, double *add, double *least, const double *ssnr, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t n = shells(f->g), side = f->g->side;

    TRY(deco_alloc(&f->sums, 2 * (size_t)(side * n), sizeof *f->sums, "weights by shell"));
    TRY(deco_pool_run(pool, sum_plane, f, side));
    for (int64_t s = 0; s < n; s++) {
        double weight = 0, count = 0, mean;
        for (int64_t z = 0; z < side; z++) {
            weight += f->sums[2 * (z * n + s)];
            count += f->sums[2 * (z * n + s) + 1];
        }
        mean = count > 0 ? weight / count : 0;
        least[s] = ssnr ? 0 : least_weight * mean;
        add[s] = ssnr ? mean / fmax(ssnr[s <= f->g->mask->radius ? s : f->g->mask->radius], 1e-3) : 0;
    }
out:
    free(f->sums);
    f->sums = NULL;
    return st;
}

/* The kernel's transform over a box's half, relative to the centre: what spreading has multiplied the density by. */
static void fill_fall_off(double *out, const deco_gridding *g)
{
    const int steps = 512;
    double centre = 0;

    for (int64_t x = 0; x <= g->D / 2; x++) {
        double sum = 0, turn = 2 * M_PI * (double)x / (double)(DECO_GRID_FINE * g->D);
        for (int i = -steps; i <= steps; i++) {
            double at = DECO_GRID_KERNEL / 2.0 * i / steps;
            sum += g->kernel[(int64_t)(fabs(at) * DECO_GRID_STEPS)] * cos(turn * at);
        }
        centre = x ? centre : sum;
        out[x] = sum / centre;
    }
}

static void crop(float *map, const float *grid, const double *fall_off, int64_t D)
{
    int64_t n = DECO_GRID_FINE * D;

    for (int64_t z = -D / 2; z < D / 2; z++)
        for (int64_t y = -D / 2; y < D / 2; y++)
            for (int64_t x = -D / 2; x < D / 2; x++)
                *map++ = (float)(grid[((D + z) * n + D + y) * n + D + x] / (fall_off[llabs(z)] * fall_off[llabs(y)] * fall_off[llabs(x)]));
}

deco_status deco_gridding_map(float *map, const deco_gridding *g, int which, const double *ssnr)
{
    deco_status st = DECO_OK;
    int64_t n = DECO_GRID_FINE * g->D, points = n * n * n;
    filling f = {.g = g, .which = which};
    double *floors = NULL, *fall_off = NULL;
    float *field = NULL;
    deco_array a;

    TRY(deco_alloc(&floors, 2 * (size_t)shells(g), sizeof *floors, "weights by shell"));
    TRY(deco_alloc(&fall_off, (size_t)(g->D / 2 + 1), sizeof *fall_off, "a kernel"));
    TRY(deco_alloc(&f.grid, (size_t)points, sizeof *f.grid, "a padded box"));
    TRY(deco_device_alloc(g->dev, &field, (size_t)points * sizeof *field, "a padded box"));
    f.add = floors;
    f.least = floors + shells(g);
    TRY(find_floors(&f, floors, floors + shells(g), ssnr, deco_device_pool(g->dev)));
    TRY(deco_pool_run(deco_device_pool(g->dev), fill_plane, &f, g->side));
    TRY(deco_device_upload(g->dev, field, f.grid, (size_t)points * sizeof *field));
    a = deco_f32_3(field, n, n, n);
    TRY(deco_hartley_3d(g->dev, a, a, true));
    TRY(deco_device_download(g->dev, f.grid, field, (size_t)points * sizeof *field));
    fill_fall_off(fall_off, g);
    crop(map, f.grid, fall_off, g->D);
out:
    deco_device_release(g->dev, field);
    free(f.grid);
    free(fall_off);
    free(floors);
    return st;
}
