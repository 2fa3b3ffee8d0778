/* A sliced search with its model, images of a particle that it is to find, how far off it was, and plain sums in double to hold it against. */
#ifndef DECO_TESTS_SLICED_RIG_H
#define DECO_TESTS_SLICED_RIG_H

#include "base/philox.h"
#include "formulas/rotation.h"
#include "geometry/levels.h"
#include "training/pose_search_sliced.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a search and its images ------------------------------------------------------------------------------------- */

typedef struct rig {
    deco_device *dev;
    deco_model *m;
    deco_mask *mask;
    deco_search_sliced *s;
    int64_t D, B, P, Z;
    float *images, *ctf, *z, *R, *shift, *score; /* R, shift: found */
    double *true_R, *true_shift;                 /* [B,9], [B,2] */
    deco_search_level level[DECO_SLICED_LEVELS];
} rig;

static const deco_search_grid small_grid = {
    .base_healpy = 2, .n_iter = 3, .n_kept = 8, .l_start = 6, .l_end = 12, .t_n_grid = 3, .t_extent = 4.5};

static inline rig make_rig(int threads, int64_t D, int64_t B, int64_t Z, const deco_search_grid *grid,
                           const deco_search_sliced_config *config)
{
    rig r = {.D = D, .B = B, .Z = Z};
    deco_hypervolume shape = {.L = D + 1, .pe_dim = 8, .H = 32, .n = 1, .Z = Z, .layer_norm = true};
    assert_int_equal(deco_device_create(&r.dev, "cpu", threads), DECO_OK);
    assert_int_equal(
        deco_model_create(
            &r.m, r.dev,
            &(deco_model_config){
                .shape = shape, .feat_sigma = 1.25, .psize_A = 3, .std = 1, .D = D, .radius = D / 2, .N = Z ? B : 0, .seed = 4}),
        DECO_OK);
    assert_int_equal(deco_mask_create(&r.mask, D + 1, D / 2), DECO_OK);
    assert_int_equal(deco_search_sliced_create(&r.s, r.m, r.mask, grid, config, B), DECO_OK);
    r.P = r.mask->P;
    size_t n = (size_t)B;
    r.images = calloc(n * (size_t)r.P, sizeof *r.images);
    r.ctf = calloc(n * (size_t)r.P, sizeof *r.ctf);
    r.z = calloc(n * (size_t)Z + 1, sizeof *r.z);
    r.R = calloc(n * 9, sizeof *r.R);
    r.shift = calloc(n * 2, sizeof *r.shift);
    r.score = calloc(n, sizeof *r.score);
    r.true_R = calloc(n * 9, sizeof *r.true_R);
    r.true_shift = calloc(n * 2, sizeof *r.true_shift);
    for (int64_t i = 0; i <= grid->n_iter; i++) {
        size_t kept = n * (size_t)grid->n_kept;
        r.level[i].rotation = calloc(kept, sizeof *r.level[i].rotation);
        r.level[i].shift = calloc(kept * 2, sizeof *r.level[i].shift);
        r.level[i].score = calloc(kept, sizeof *r.level[i].score);
    }
    return r;
}

static inline void free_rig(rig *r)
{
    void *all[] = {r->images, r->ctf, r->z, r->R, r->shift, r->score, r->true_R, r->true_shift};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (int i = 0; i < DECO_SLICED_LEVELS; i++) {
        free(r->level[i].rotation);
        free(r->level[i].shift);
        free(r->level[i].score);
    }
    deco_search_sliced_free(r->s);
    deco_mask_free(r->mask);
    deco_model_free(r->m);
    deco_device_free(r->dev);
}

static inline deco_search_input input_of(const rig *r)
{
    return (deco_search_input){.B = r->B, .images = r->images, .ctf_values = r->ctf, .z = r->Z ? r->z : NULL};
}

static inline deco_search_output output_of(rig *r) { return (deco_search_output){r->R, r->shift, r->score}; }

static inline void search(rig *r)
{
    deco_search_input in = input_of(r);
    deco_search_output out = output_of(r);
    if (deco_search_sliced_run(r->s, &in, &out, r->level))
        fail_msg("%s", deco_error());
}

/* ---- particles --------------------------------------------------------------------------------------------------- */

/* Noise from lattice point to lattice point: nothing is alike by chance. */
static inline float random_value(void *context, const double k[3])
{
    int64_t at[3];
    for (int i = 0; i < 3; i++)
        at[i] = (int64_t)floor(4 * k[i] + 0.5) + 1000;
    deco_random r = deco_random_at(17, DECO_STREAM_SAMPLE, (uint64_t)((at[0] * 4096 + at[1]) * 4096 + at[2]));
    return (float)deco_random_normal(&r);
}

/* Hartley values of blobs at places in units of the box, none like another. `context`: how far the last one has moved. */
static const double blobs[][4] = {{0.10, 0.02, -0.05, 1.0}, {-0.08, 0.11, 0.03, 1.4}, {0.01, -0.13, 0.09, 0.8}, {-0.05, -0.04, -0.14, 1.2},
                                  {0.15, 0.07, 0.10, 0.6},  {-0.14, 0.03, 0.12, 0.9}, {0.05, 0.16, -0.02, 1.1}, {0.0, 0.0, 0.0, 0.7}};

static inline float blob_value(void *context, const double k[3])
{
    const double two_pi = DECO_TWO_PI, sigma = 0.03, moved = context ? *(const double *)context : 0;
    double sum = 0, r2 = k[0] * k[0] + k[1] * k[1] + k[2] * k[2];
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        double p = two_pi * (k[0] * (blobs[i][0] + (i == 6 ? moved : 0)) + k[1] * blobs[i][1] + k[2] * blobs[i][2]);
        sum += blobs[i][3] * (cos(p) + sin(p));
    }
    return (float)(sum * exp(-0.5 * two_pi * two_pi * sigma * sigma * r2));
}

static inline double reach_of(const rig *r, int64_t p, int axis)
{
    int64_t L = r->D + 1;
    int64_t at = axis ? r->mask->index[p] / L : r->mask->index[p] % L, middle = r->D / 2;
    return (double)(at - middle);
}

/* CTFs, poses and images: those of `value` at the points themselves, plus noise. */
static inline void make_images(rig *r, float (*value)(void *, const double *), void *context, double noise, double largest_shift)
{
    double *slice = calloc((size_t)r->P, sizeof *slice);
    for (int64_t b = 0; b < r->B; b++) {
        deco_random random = deco_random_at(23, DECO_STREAM_SIMULATE, (uint64_t)b);
        double u[3], q[4], *R = r->true_R + 9 * b, *t = r->true_shift + 2 * b;
        for (int i = 0; i < 3; i++)
            u[i] = deco_random_uniform(&random);
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(R, q);
        for (int i = 0; i < 2; i++)
            t[i] = largest_shift * (2 * deco_random_uniform(&random) - 1);
        float defocus = (float)(8000 + 9000 * deco_random_uniform(&random));
        deco_ctf_row row = {defocus, defocus + 400, 0.4f, 0.1f, 0, 0, 3, 2.7e7f, deco_wavelength_A(300)};
        for (int64_t p = 0; p < r->P; p++) {
            double x = reach_of(r, p, 0), y = reach_of(r, p, 1), k[3];
            for (int i = 0; i < 3; i++)
                k[i] = x * R[i] + y * R[3 + i];
            r->ctf[b * r->P + p] = deco_ctf(row, (float)(x / (double)r->D), (float)(y / (double)r->D));
            slice[p] = value(context, k) * (double)r->ctf[b * r->P + p];
        }
        for (int64_t p = 0; p < r->P; p++) {
            double phase = DECO_TWO_PI * (reach_of(r, p, 0) * t[0] + reach_of(r, p, 1) * t[1]) / (double)r->D;
            r->images[b * r->P + p] =
                (float)(cos(phase) * slice[p] - sin(phase) * slice[r->P - 1 - p] + noise * deco_random_normal(&random));
        }
    }
    free(slice);
}

static inline double degrees_between(const double a[9], const float b[9])
{
    double trace = 0;
    for (int i = 0; i < 9; i++)
        trace += a[i] * b[i];
    return acos(fmax(-1, fmin(1, 0.5 * (trace - 1)))) * 360 / DECO_TWO_PI;
}

static inline int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double errors(const rig *r, double *share_within_3, double *median_px)
{
    double degrees[512], px[512], within = 0;
    for (int64_t b = 0; b < r->B; b++) {
        degrees[b] = degrees_between(r->true_R + 9 * b, r->R + 9 * b);
        px[b] = hypot(r->shift[2 * b] - r->true_shift[2 * b], r->shift[2 * b + 1] - r->true_shift[2 * b + 1]);
        within += degrees[b] <= 3;
    }
    qsort(degrees, (size_t)r->B, sizeof *degrees, by_size);
    qsort(px, (size_t)r->B, sizeof *px, by_size);
    *share_within_3 = within / (double)r->B;
    *median_px = px[r->B / 2];
    return degrees[r->B / 2];
}

/* ---- plain references, in double, from the definition ------------------------------------------------------------ */

/* Trilinear at k lattice steps, from the snapshot's memory. */
static inline double snapshot_at(const deco_search_sliced *s, int64_t centroid, const double k[3])
{
    const deco_snapshot *shape = &s->snapshot[centroid];
    double f[3], sum = 0;
    int64_t whole[3];
    for (int i = 0; i < 3; i++) {
        double v = k[i] * (double)shape->scale;
        whole[i] = (int64_t)floor(v);
        f[i] = v - (double)whole[i];
    }
    for (int c = 0; c < 8; c++) {
        int64_t at[3], side = 1;
        double weight = 1;
        for (int i = 0; i < 3; i++) {
            at[i] = whole[i] + (c >> i & 1);
            weight *= c >> i & 1 ? f[i] : 1 - f[i];
        }
        if (weight == 0)
            continue;
        if (at[2] < 0)
            side = -1;
        int64_t x = side * at[0] + s->reach, y = side * at[1] + s->reach, z = side * at[2];
        sum += weight * shape->quad[4 * ((z * shape->n + y) * shape->n + x) + (side < 0)];
    }
    return sum;
}

/* Points of the mask inside a radius. */
static inline int64_t points_within(const rig *r, int64_t radius, int64_t *point)
{
    int64_t n = 0;
    for (int64_t p = 0; p < r->P; p++)
        if (reach_of(r, p, 0) * reach_of(r, p, 0) + reach_of(r, p, 1) * reach_of(r, p, 1) <= (double)(radius * radius))
            point[n++] = p;
    return n;
}

/* CTF · slice of an image at R, on the points of a level. */
static inline void model_at(double *out, const rig *r, int64_t b, const double R[9], const int64_t *point, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double x = reach_of(r, point[i], 0), y = reach_of(r, point[i], 1), k[3];
        for (int j = 0; j < 3; j++)
            k[j] = x * R[j] + y * R[3 + j];
        out[i] = r->ctf[b * r->P + point[i]] * snapshot_at(r->s, r->s->centroid[b], k);
    }
}

static inline double plain_score(const rig *r, int64_t b, const double *model, const int64_t *point, int64_t n, const double t[2])
{
    const float *image = r->images + b * r->P;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t p = point[i];
        double phase = DECO_TWO_PI * (reach_of(r, p, 0) * t[0] + reach_of(r, p, 1) * t[1]) / (double)r->D;
        sum += model[i] * (0.5 * model[i] - (cos(phase) * image[p] + sin(phase) * image[r->P - 1 - p]));
    }
    return sum;
}

static inline void rotation_matrix(double R[9], int order, int64_t rotation)
{
    double q[4];
    deco_so3_quaternion(q, order, rotation);
    deco_rotation_from_quaternion(R, q);
}

#endif
