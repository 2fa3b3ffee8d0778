/* Weighted back-projection into a small ball of Fourier space. */
#include "training/voxel_map.h"

#include "compute/ops.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The mask falls off over three points of its grid: as sharp as the grid can hold. */
static const double mask_edge = 3;

static int64_t side_of(int64_t radius) { return 2 * radius + 3; }

/* A quarter wider than the ball, so that the mask's edge has room. */
static int64_t grid_of(int64_t radius) { return 2 * ((5 * side_of(radius) + 7) / 8); }

static int64_t cells(const deco_voxel_map *v) { return v->side * v->side * v->side; }

/* 1 in the sphere, 0 outside. */
static deco_status make_mask(deco_voxel_map *v, double mask_px)
{
    deco_status st = DECO_OK;
    int64_t n = v->grid;
    double per = (double)n / (double)v->D;
    float *mask = NULL;

    TRY(deco_alloc(&mask, (size_t)(n * n * n), sizeof *mask, "a map of voxels"));
    for (int64_t i = 0; i < n * n * n; i++) {
        int64_t x = i % n - n / 2, y = i / n % n - n / 2, z = i / n / n - n / 2;
        double edge = (mask_px * per - sqrt((double)(x * x + y * y + z * z))) / mask_edge + 0.5;
        mask[i] = (float)fmax(0, fmin(1, edge));
    }
    TRY(deco_device_upload(v->dev, v->mask, mask, (size_t)(n * n * n) * sizeof *mask));
out:
    free(mask);
    return st;
}

static void fill_shells(deco_voxel_map *v)
{
    int64_t n = v->side;

    for (int64_t i = 0; i < cells(v); i++) {
        int64_t x = i % n - v->reach, y = i / n % n - v->reach, z = i / n / n - v->reach;
        v->shell[i] = (int32_t)lrint(sqrt((double)(x * x + y * y + z * z)));
    }
}

deco_status deco_voxel_map_create(deco_voxel_map **out, deco_device *dev, int64_t D, int64_t radius, double mask_px, int64_t chunks)
{
    deco_status st = DECO_OK;
    deco_voxel_map *v = NULL;

    *out = NULL;
    TRY(deco_alloc(&v, 1, sizeof *v, "a map of voxels"));
    v->dev = dev;
    v->D = D;
    v->radius = radius;
    v->gain = 1;
    v->reach = radius + 1;
    v->side = side_of(radius);
    v->chunks = chunks;
    v->grid = grid_of(radius);
    size_t n = (size_t)cells(v), g = (size_t)(v->grid * v->grid * v->grid);
    TRY(deco_alloc(&v->chunk, 2 * n * (size_t)chunks, sizeof *v->chunk, "a map of voxels"));
    TRY(deco_alloc(&v->value, n, sizeof *v->value, "a map of voxels"));
    TRY(deco_alloc(&v->weight, n, sizeof *v->weight, "a map of voxels"));
    TRY(deco_alloc(&v->map, n, sizeof *v->map, "a map of voxels"));
    TRY(deco_alloc(&v->shell, n, sizeof *v->shell, "a map of voxels"));
    TRY(deco_alloc(&v->power, (size_t)radius + 2, sizeof *v->power, "a map of voxels"));
    TRY(deco_device_alloc(dev, &v->mask, g * sizeof *v->mask, "a map of voxels"));
    TRY(deco_device_alloc(dev, &v->field, g * sizeof *v->field, "a map of voxels"));
    TRY(make_mask(v, mask_px));
    fill_shells(v);
    *out = v;
    v = NULL;
out:
    deco_voxel_map_free(v);
    return st;
}

size_t deco_voxel_map_bytes(int64_t radius, int64_t chunks)
{
    size_t n = (size_t)(side_of(radius) * side_of(radius) * side_of(radius)),
           g = (size_t)(grid_of(radius) * grid_of(radius) * grid_of(radius));
    return n * (size_t)(2 * chunks + 3) * sizeof(float) + n * sizeof(int32_t) + 2 * g * sizeof(float);
}

/* The mask's grid on the host, and half of its transform. */
size_t deco_voxel_update_bytes(int64_t radius) { return 2 * (size_t)(grid_of(radius) * grid_of(radius) * grid_of(radius)) * sizeof(float); }

void deco_voxel_map_copy(deco_voxel_map *to, const deco_voxel_map *from)
{
    size_t n = (size_t)cells(from);

    memcpy(to->value, from->value, n * sizeof *to->value);
    memcpy(to->weight, from->weight, n * sizeof *to->weight);
    memcpy(to->map, from->map, n * sizeof *to->map);
    to->used = from->used;
}

void deco_voxel_map_free(deco_voxel_map *v)
{
    if (!v)
        return;
    free(v->chunk);
    free(v->value);
    free(v->weight);
    free(v->map);
    free(v->shell);
    free(v->power);
    deco_device_release(v->dev, v->mask);
    deco_device_release(v->dev, v->field);
    free(v);
}

/* The transpose of a trilinear slice. The point opposite to cell i is cell side³ - 1 - i. */
void deco_voxel_map_add(deco_voxel_map *v, int64_t chunk, const float R[9], double weight, deco_half_image image, const float *half_ctf2,
                        const deco_half_plane *half)
{
    int64_t n = v->side, last = cells(v) - 1;
    float *value = v->chunk + 2 * chunk * (last + 1), *weights = value + last + 1, w = (float)weight;

    for (int64_t j = 0; j < half->points; j++) {
        float x = half->kx[j] * R[0] + half->ky[j] * R[3] + (float)v->reach, y = half->kx[j] * R[1] + half->ky[j] * R[4] + (float)v->reach,
              z = half->kx[j] * R[2] + half->ky[j] * R[5] + (float)v->reach;
        int64_t ix = (int64_t)x, iy = (int64_t)y, iz = (int64_t)z, at = (iz * n + iy) * n + ix;
        float fx = x - (float)ix, fy = y - (float)iy, fz = z - (float)iz;
        float c2 = 2 * w * half_ctf2[j], here = w * image.at[j], there = w * image.opposite[j];
        for (int corner = 0; corner < 8; corner++) {
            int64_t cell = at + (corner & 1) + n * (corner >> 1 & 1) + n * n * (corner >> 2);
            float share = (corner & 1 ? fx : 1 - fx) * (corner & 2 ? fy : 1 - fy) * (corner & 4 ? fz : 1 - fz);
            value[cell] += share * here;
            value[last - cell] += share * there;
            weights[cell] += share * c2;
            weights[last - cell] += share * c2;
        }
    }
}

/* An update, a plane of the cube in use a task. */
typedef struct update {
    deco_voxel_map *v;
    float fade, *grid;
    int64_t radius, first, last, shells; /* lines and planes in use; numbers of a plane's sums */
    double *sums;                        /* [side,shells,2] the map's signal in each plane, and its weight */
} update;

/* Chunks in their order, whoever filled them. */
static void gather(const update *u, int64_t at, int64_t n)
{
    deco_voxel_map *v = u->v;
    float *value = v->value + at, *weight = v->weight + at;

    for (int64_t i = 0; i < n; i++)
        value[i] *= u->fade, weight[i] *= u->fade;
    for (int64_t c = 0; c < v->chunks; c++) {
        float *new_value = v->chunk + 2 * c * cells(v) + at, *new_weight = new_value + cells(v);
        for (int64_t i = 0; i < n; i++)
            value[i] += new_value[i], weight[i] += new_weight[i];
        memset(new_value, 0, (size_t)n * sizeof *new_value);
        memset(new_weight, 0, (size_t)n * sizeof *new_weight);
    }
}

/* The signal's power by shell, from the sums themselves: E value² = weight² power + weight, as the noise of a whitened image is 1. */
static void sum_power(double *sum, const deco_voxel_map *v, int64_t at, int64_t n)
{
    for (int64_t i = at; i < at + n; i++) {
        double value = v->value[i], weight = v->weight[i];
        sum[2 * v->shell[i]] += value * value - weight;
        sum[2 * v->shell[i] + 1] += weight * weight;
    }
}

static deco_status gather_plane(void *context, int64_t plane, int worker)
{
    const update *u = context;
    int64_t side = u->v->side, n = u->last - u->first + 1;

    (void)worker;
    for (int64_t y = u->first; y <= u->last; y++) {
        int64_t at = ((u->first + plane) * side + y) * side + u->first;
        gather(u, at, n);
        sum_power(u->sums + 2 * u->shells * plane, u->v, at, n);
    }
    return DECO_OK;
}

/* Sums of the planes, in their order. */
static void find_power(const update *u)
{
    deco_voxel_map *v = u->v;

    for (int64_t plane = 1; plane <= u->last - u->first; plane++)
        for (int64_t i = 0; i < 2 * u->shells; i++)
            u->sums[i] += u->sums[2 * u->shells * plane + i];
    for (int64_t r = 0; r < v->radius + 2; r++)
        v->power[r] = r >= 1 && r <= u->radius && u->sums[2 * r + 1] > 0 ? fmax(u->sums[2 * r] / u->sums[2 * r + 1], 0) : 0;
}

/* The cube lies in the middle of the mask's grid. */
static float *line_of_grid(const update *u, int64_t z, int64_t y)
{
    int64_t n = u->v->grid, first = n / 2 - u->v->reach;
    return u->grid + ((z + first) * n + y + first) * n + first;
}

static deco_status filter_plane(void *context, int64_t plane, int worker)
{
    const update *u = context;
    const deco_voxel_map *v = u->v;
    int64_t z = u->first + plane;

    (void)worker;
    for (int64_t y = u->first; y <= u->last; y++) {
        float *line = line_of_grid(u, z, y);
        for (int64_t x = u->first; x <= u->last; x++) {
            int64_t i = (z * v->side + y) * v->side + x, r = v->shell[i];
            double power = r <= u->radius ? v->gain * v->power[r] : 0;
            line[x] = power > 0 ? (float)(power * v->value[i] / (power * v->weight[i] + 1)) : 0;
        }
    }
    return DECO_OK;
}

/* The density outside the mask is none: its edge reaches beyond what is in use. */
static deco_status mask_density(const update *u)
{
    deco_status st = DECO_OK;
    deco_voxel_map *v = u->v;
    int64_t n = v->grid;
    size_t bytes = (size_t)(n * n * n) * sizeof(float);
    deco_array field = deco_f32_3(v->field, n, n, n), flat = deco_f32_2(v->field, n * n, n), mask = deco_f32_2(v->mask, n * n, n);

    TRY(deco_device_upload(v->dev, v->field, u->grid, bytes));
    TRY(deco_hartley_3d(v->dev, field, field, true));
    TRY(deco_multiply(v->dev, flat, flat, mask));
    TRY(deco_hartley_3d(v->dev, field, field, false));
    TRY(deco_device_download(v->dev, u->grid, v->field, bytes));
    for (int64_t z = 0; z < v->side; z++)
        for (int64_t y = 0; y < v->side; y++)
            memcpy(v->map + (z * v->side + y) * v->side, line_of_grid(u, z, y), (size_t)v->side * sizeof *v->map);
out:
    return st;
}

deco_status deco_voxel_map_update(deco_voxel_map *v, double fade, int64_t radius)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(v->dev);
    update u = {.v = v, .fade = (float)fade, .radius = radius, .shells = 2 * v->side}; /* corners lie at 1.74 times the reach */

    v->used = radius + 1 > v->used ? radius + 1 : v->used;
    u.first = v->reach - v->used, u.last = v->reach + v->used;
    TRY(deco_alloc(&u.grid, (size_t)(v->grid * v->grid * v->grid), sizeof *u.grid, "a map of voxels"));
    TRY(deco_alloc(&u.sums, (size_t)v->side * 2 * (size_t)u.shells, sizeof *u.sums, "a map of voxels"));
    TRY(deco_pool_run(pool, gather_plane, &u, u.last - u.first + 1));
    find_power(&u);
    TRY(deco_pool_run(pool, filter_plane, &u, u.last - u.first + 1));
    TRY(mask_density(&u));
out:
    free(u.grid);
    free(u.sums);
    return st;
}

float deco_voxel_map_value(void *map, const double k[3])
{
    const deco_voxel_map *v = map;
    int64_t at[3];

    for (int i = 0; i < 3; i++) {
        at[i] = lrint(k[i]) + v->reach;
        if (at[i] < 0 || at[i] >= v->side)
            return 0;
    }
    return v->map[(at[2] * v->side + at[1]) * v->side + at[0]];
}
