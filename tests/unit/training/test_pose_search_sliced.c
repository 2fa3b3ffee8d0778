/* The sliced pose search, on snapshots of functions and of a small decoder. */
#include "base/philox.h"
#include "formulas/rotation.h"
#include "geometry/levels.h"
#include "training/pose_search_sliced.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

static rig make_rig(int threads, int64_t D, int64_t B, int64_t Z, const deco_search_grid *grid, const deco_search_sliced_config *config)
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

static void free_rig(rig *r)
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

static deco_search_input input_of(const rig *r)
{
    return (deco_search_input){.B = r->B, .images = r->images, .ctf_values = r->ctf, .z = r->Z ? r->z : NULL};
}

static deco_search_output output_of(rig *r) { return (deco_search_output){r->R, r->shift, r->score}; }

static void search(rig *r)
{
    deco_search_input in = input_of(r);
    deco_search_output out = output_of(r);
    if (deco_search_sliced_run(r->s, &in, &out, r->level))
        fail_msg("%s", deco_error());
}

/* ---- particles --------------------------------------------------------------------------------------------------- */

/* Noise from lattice point to lattice point: nothing is alike by chance. */
static float random_value(void *context, const double k[3])
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

static float blob_value(void *context, const double k[3])
{
    const double two_pi = DECO_TWO_PI, sigma = 0.03, moved = context ? *(const double *)context : 0;
    double sum = 0, r2 = k[0] * k[0] + k[1] * k[1] + k[2] * k[2];
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        double p = two_pi * (k[0] * (blobs[i][0] + (i == 6 ? moved : 0)) + k[1] * blobs[i][1] + k[2] * blobs[i][2]);
        sum += blobs[i][3] * (cos(p) + sin(p));
    }
    return (float)(sum * exp(-0.5 * two_pi * two_pi * sigma * sigma * r2));
}

static double reach_of(const rig *r, int64_t p, int axis)
{
    int64_t L = r->D + 1;
    int64_t at = axis ? r->mask->index[p] / L : r->mask->index[p] % L, middle = r->D / 2;
    return (double)(at - middle);
}

/* CTFs, poses and images: those of `value` at the points themselves, plus noise. */
static void make_images(rig *r, float (*value)(void *, const double *), void *context, double noise, double largest_shift)
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

static double degrees_between(const double a[9], const float b[9])
{
    double trace = 0;
    for (int i = 0; i < 9; i++)
        trace += a[i] * b[i];
    return acos(fmax(-1, fmin(1, 0.5 * (trace - 1)))) * 360 / DECO_TWO_PI;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double errors(const rig *r, double *share_within_3, double *median_px)
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
static double snapshot_at(const deco_search_sliced *s, int64_t centroid, const double k[3])
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
static int64_t points_within(const rig *r, int64_t radius, int64_t *point)
{
    int64_t n = 0;
    for (int64_t p = 0; p < r->P; p++)
        if (reach_of(r, p, 0) * reach_of(r, p, 0) + reach_of(r, p, 1) * reach_of(r, p, 1) <= (double)(radius * radius))
            point[n++] = p;
    return n;
}

/* CTF · slice of an image at R, on the points of a level. */
static void model_at(double *out, const rig *r, int64_t b, const double R[9], const int64_t *point, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double x = reach_of(r, point[i], 0), y = reach_of(r, point[i], 1), k[3];
        for (int j = 0; j < 3; j++)
            k[j] = x * R[j] + y * R[3 + j];
        out[i] = r->ctf[b * r->P + point[i]] * snapshot_at(r->s, r->s->centroid[b], k);
    }
}

static double plain_score(const rig *r, int64_t b, const double *model, const int64_t *point, int64_t n, const double t[2])
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

static void rotation_matrix(double R[9], int order, int64_t rotation)
{
    double q[4];
    deco_so3_quaternion(q, order, rotation);
    deco_rotation_from_quaternion(R, q);
}

/* Best score of a rotation over shifts, each `middle` + the grid's. Factors are looked up: every shift of thousands of rotations. */
static double best_over_shifts(double shift[2], const rig *r, int64_t b, const double *model, const int64_t *point, int64_t n,
                               deco_shift_grid g, const double *wave)
{
    const float *image = r->images + b * r->P;
    double best = INFINITY, norm = 0;
    for (int64_t i = 0; i < n; i++)
        norm += 0.5 * model[i] * model[i];
    for (int64_t t = 0; t < deco_shift_grid_count(g); t++) {
        double dot = 0;
        for (int64_t i = 0; i < n; i++)
            dot += model[i] * (wave[2 * (t * n + i)] * image[point[i]] + wave[2 * (t * n + i) + 1] * image[r->P - 1 - point[i]]);
        if (norm - dot < best) {
            best = norm - dot;
            deco_shift_grid_at(shift, g, t);
        }
    }
    return best;
}

static double *waves_of(const rig *r, const int64_t *point, int64_t n, deco_shift_grid g)
{
    double *wave = calloc((size_t)(deco_shift_grid_count(g) * n * 2), sizeof *wave), t[2];
    for (int64_t i = 0; i < deco_shift_grid_count(g) * n; i++) {
        deco_shift_grid_at(t, g, i / n);
        double phase = DECO_TWO_PI * (reach_of(r, point[i % n], 0) * t[0] + reach_of(r, point[i % n], 1) * t[1]) / (double)r->D;
        wave[2 * i] = cos(phase), wave[2 * i + 1] = sin(phase);
    }
    return wave;
}

/* Kept poses against all there are. Ties of 1e-5 may come in any order, so it is scores that are compared, and that each kept rotation
 * has the score it is said to have. The worst score of all is about the norm of a model plus its product with the image: what the best
 * one, a small difference of these, is measured by. */
static void expect_kept(const rig *r, int64_t level, int64_t b, const deco_search_pose *all, int64_t n)
{
    const deco_search_level *l = &r->level[level];
    deco_search_pose best[64] = {{0}};
    deco_search_best sorted = {best, 0, l->kept};
    double bound = 0;
    assert_true(l->kept <= 64);
    for (int64_t i = 0; i < n; i++) {
        deco_search_offer(&sorted, all[i]);
        bound = fmax(bound, 1e-5 * fabs((double)all[i].score));
    }
    for (int64_t i = 0; i < l->kept; i++) {
        int64_t at = b * l->kept + i, same = 0;
        if (!(fabs((double)l->score[at] - best[i].score) <= bound))
            fail_msg("level %lld, image %lld: pose %lld scores %.9g, should %.9g within %.2g", (long long)level, (long long)b, (long long)i,
                     (double)l->score[at], (double)best[i].score, bound);
        while (same < n && (all[same].rotation != l->rotation[at] || fabs((double)all[same].score - l->score[at]) > bound ||
                            hypot((double)all[same].shift[0] - l->shift[2 * at], (double)all[same].shift[1] - l->shift[2 * at + 1]) > 1e-4))
            same++;
        if (same == n)
            fail_msg("level %lld, image %lld: rotation %lld at (%g, %g) does not score %.9g", (long long)level, (long long)b,
                     (long long)l->rotation[at], (double)l->shift[2 * at], (double)l->shift[2 * at + 1], (double)l->score[at]);
    }
}

static void expect_level_0(const rig *r, int64_t radius, deco_shift_grid g, double prior_px, int64_t b)
{
    int64_t *point = calloc((size_t)r->P, sizeof *point), n = points_within(r, radius, point), count = deco_so3_count(2);
    double *model = calloc((size_t)n, sizeof *model), *wave = waves_of(r, point, n, g), shift[2];
    deco_search_pose *all = calloc((size_t)count, sizeof *all);
    for (int64_t i = 0; i < count; i++) {
        double R[9];
        rotation_matrix(R, 2, i);
        model_at(model, r, b, R, point, n);
        double score = best_over_shifts(shift, r, b, model, point, n, g, wave);
        if (prior_px > 0) { /* few shifts in that test */
            score = INFINITY;
            for (int64_t t = 0; t < deco_shift_grid_count(g); t++) {
                double at[2], is;
                deco_shift_grid_at(at, g, t);
                is = plain_score(r, b, model, point, n, at) + (at[0] * at[0] + at[1] * at[1]) / (2 * prior_px * prior_px);
                if (is < score)
                    score = is, shift[0] = at[0], shift[1] = at[1];
            }
        }
        all[i] = (deco_search_pose){i, {(float)shift[0], (float)shift[1]}, (float)score};
    }
    expect_kept(r, 0, b, all, count);
    free(point);
    free(model);
    free(wave);
    free(all);
}

/* Every child of what the level before kept, with every shift around its own. */
static void expect_later_level(const rig *r, int64_t level, int64_t radius, deco_shift_grid g, int64_t b)
{
    const deco_search_level *before = &r->level[level - 1];
    int64_t *point = calloc((size_t)r->P, sizeof *point), n = points_within(r, radius, point), count = 0;
    double *model = calloc((size_t)n, sizeof *model);
    deco_search_pose all[64 * DECO_SO3_NEIGHBOURS];
    for (int64_t i = 0; i < before->kept; i++) {
        int64_t rotation[DECO_SO3_NEIGHBOURS], at = b * before->kept + i;
        double q[DECO_SO3_NEIGHBOURS][4], R[9], t[2], offset[2];
        deco_so3_neighbours(rotation, q, NULL, 2 + (int)level - 1, before->rotation[at]);
        for (int c = 0; c < DECO_SO3_NEIGHBOURS; c++, count++) {
            all[count] = (deco_search_pose){.rotation = rotation[c], .score = INFINITY};
            deco_rotation_from_quaternion(R, q[c]);
            model_at(model, r, b, R, point, n);
            for (int64_t s = 0; s < deco_shift_grid_count(g); s++) {
                deco_shift_grid_at(offset, g, s);
                for (int a = 0; a < 2; a++)
                    t[a] = before->shift[2 * at + a] + offset[a];
                double score = plain_score(r, b, model, point, n, t);
                if (score < all[count].score)
                    all[count] = (deco_search_pose){rotation[c], {(float)t[0], (float)t[1]}, (float)score};
            }
        }
    }
    expect_kept(r, level, b, all, count);
    free(point);
    free(model);
}

static float linear_value(void *context, const double k[3]) { return (float)(3 + 0.3 * k[0] - 0.2 * k[1] + 0.5 * k[2]); }

/* Trilinear slices of a linear function are that function: wherever a corner of a touched cell were missing, they would not be. */
static void a_snapshot_holds_all_that_slices_touch(void **state)
{
    for (int64_t os = 1; os <= 3; os++) {
        deco_search_sliced_config config = {.oversampling = os, .centroids = 1};
        rig r = make_rig(1, 32, 30, 0, &small_grid, &config);
        const deco_half_plane *half = &r.s->level[3].half;
        float at[256], opposite[256];
        assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, linear_value, NULL), DECO_OK);
        make_images(&r, linear_value, NULL, 0, 0); /* for the rotations */
        assert_true(half->padded <= 256);
        for (int64_t b = 0; b < r.B; b++) {
            float R[9];
            for (int i = 0; i < 9; i++)
                R[i] = (float)(b ? r.true_R[9 * b + i] : i % 4 == 0);
            r.s->kernels->slice(at, opposite, &r.s->snapshot[0], R, half);
            for (int64_t j = 0; j < half->points; j++) {
                double k[3];
                for (int i = 0; i < 3; i++)
                    k[i] = (double)half->kx[j] * R[i] + (double)half->ky[j] * R[3 + i];
                assert_float_equal(at[j], linear_value(NULL, k), 1e-5);
                for (int i = 0; i < 3; i++)
                    k[i] = -k[i];
                assert_float_equal(opposite[j], linear_value(NULL, k), 1e-5);
            }
        }
        free_rig(&r);
    }
}

/* ---- level by level ---------------------------------------------------------------------------------------------- */

static void level_0_keeps_what_the_plain_double_sum_keeps(void **state)
{
    const struct {
        int64_t l, t_n_grid, axis, os;
        double x, y, prior;
    } cases[] = {{5, 7, 0, 1, 0, 0, 0}, {12, 7, 3, 1, 0, 0, 0}, {6, 3, 5, 2, 1.5, -2, 0}, {4, 1, 4, 1, 0, 1, 1.5}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        deco_search_grid grid = small_grid;
        grid.n_iter = 1, grid.l_start = cases[c].l, grid.l_end = cases[c].l + 1, grid.t_n_grid = cases[c].t_n_grid;
        grid.t_x_shift = cases[c].x, grid.t_y_shift = cases[c].y;
        deco_search_sliced_config config = {
            .oversampling = cases[c].os, .centroids = 1, .base_shift_axis = cases[c].axis, .shift_prior_px = cases[c].prior};
        rig r = make_rig(2, 32, 2, 0, &grid, &config);
        assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, random_value, NULL), DECO_OK);
        make_images(&r, random_value, NULL, 1, 2);
        search(&r);
        int64_t n = cases[c].axis ? cases[c].axis : 2 * cases[c].t_n_grid;
        for (int64_t b = 0; b < r.B; b++)
            expect_level_0(&r, cases[c].l, deco_shift_grid_base(n, grid.t_extent, cases[c].x, cases[c].y), cases[c].prior, b);
        free_rig(&r);
    }
}

/* Shifts around each image's own middle; the prior is still one about the image's centre. */
static void level_0_tries_the_shifts_around_a_given_middle(void **state)
{
    const double priors[] = {0, 1.5};
    for (size_t c = 0; c < sizeof priors / sizeof *priors; c++) {
        deco_search_grid grid = small_grid;
        grid.n_iter = 1, grid.t_x_shift = 1;
        deco_search_sliced_config config = {
            .oversampling = 1, .centroids = 1, .base_shift_axis = 8, .window_axis = 4, .shift_prior_px = priors[c]};
        rig r = make_rig(2, 32, 2, 0, &grid, &config);
        const float middle[4] = {1.3f, -0.4f, -2, 0.25f};
        deco_search_input in = input_of(&r);
        deco_search_output out = output_of(&r);
        in.middle = middle;
        assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, random_value, NULL), DECO_OK);
        make_images(&r, random_value, NULL, 1, 2);
        assert_int_equal(deco_search_sliced_run(r.s, &in, &out, r.level), DECO_OK);
        for (int64_t b = 0; b < r.B; b++) /* four points at the spacing of the eight */
            expect_level_0(&r, grid.l_start, (deco_shift_grid){4, grid.t_extent / 4, middle[2 * b], middle[2 * b + 1]}, priors[c], b);
        in.shift = middle;
        assert_int_equal(deco_search_sliced_run(r.s, &in, &out, r.level), DECO_E_ARGUMENT);
        assert_non_null(strstr(deco_error(), "middle"));
        free_rig(&r);
    }
}

static void every_later_level_keeps_the_best_children_of_the_one_before(void **state)
{
    const struct {
        int64_t t_n_grid, l_start, l_end, os;
    } cases[] = {{7, 6, 12, 1}, {1, 4, 16, 2}, {3, 9, 5, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        deco_search_grid grid = small_grid;
        grid.t_n_grid = cases[c].t_n_grid, grid.l_start = cases[c].l_start, grid.l_end = cases[c].l_end;
        deco_search_sliced_config config = {.oversampling = cases[c].os, .centroids = 3};
        rig r = make_rig(2, 32, 6, 2, &grid, &config);
        for (int64_t i = 0; i < 3; i++) {
            float z[2] = {(float)i, 0.5f};
            double moved = 0.1 * (double)i;
            assert_int_equal(deco_search_sliced_fill(r.s, i, z, i ? blob_value : random_value, &moved), DECO_OK);
        }
        for (int64_t b = 0; b < r.B; b++)
            r.z[2 * b] = (float)(b % 3) + 0.4f, r.z[2 * b + 1] = (float)b; /* nearest by the first alone */
        make_images(&r, random_value, NULL, 1, 2);
        search(&r);
        deco_shift_grid base = deco_shift_grid_base(2 * grid.t_n_grid, grid.t_extent, 0, 0);
        for (int64_t b = 0; b < r.B; b++) {
            assert_int_equal(r.s->centroid[b], b % 3);
            for (int level = 1; level <= 3; level++)
                expect_later_level(&r, level, deco_level_radius(level, 3, grid.l_start, grid.l_end, 33),
                                   deco_shift_grid_central(deco_shift_grid_level(base, level), 4), b);
            double R[9];
            rotation_matrix(R, 5, r.level[3].rotation[b]);
            for (int i = 0; i < 9; i++)
                assert_true(r.R[9 * b + i] == (float)R[i]);
            assert_memory_equal(r.shift + 2 * b, r.level[3].shift + 2 * b, 2 * sizeof *r.shift);
            assert_true(r.score[b] == r.level[3].score[b]);
        }
        free_rig(&r);
    }
}

static void known_shifts_are_kept_and_rotations_searched(void **state)
{
    deco_search_sliced_config config = {.oversampling = 2, .centroids = 1, .newton_steps = 2};
    rig r = make_rig(2, 32, 40, 0, &small_grid, &config);
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, blob_value, NULL), DECO_OK);
    make_images(&r, blob_value, NULL, 0.05, 7); /* far outside the grid of shifts */
    float known[80];
    for (int i = 0; i < 80; i++)
        known[i] = (float)r.true_shift[i];
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    in.shift = known;
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, r.level), DECO_OK);
    assert_memory_equal(r.shift, known, sizeof known);
    double within, px;
    assert_true(errors(&r, &within, &px) < 1 && within >= 0.95);
    free_rig(&r);
}

static void without_translations_all_shifts_are_zero(void **state)
{
    deco_search_grid grid = small_grid;
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 1};
    grid.no_trans = true, grid.t_x_shift = 3, grid.n_iter = 0;
    rig r = make_rig(1, 32, 3, 0, &grid, &config);
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, random_value, NULL), DECO_OK);
    make_images(&r, random_value, NULL, 1, 0);
    search(&r);
    for (int64_t b = 0; b < r.B; b++) {
        assert_true(r.shift[2 * b] == 0 && r.shift[2 * b + 1] == 0);
        expect_level_0(&r, 12, deco_shift_grid_none(), 0, b);
    }
    free_rig(&r);
}

/* ---- truth ------------------------------------------------------------------------------------------------------- */

/* The last grid's steps are 3.75° / 2, so a pose is off by 1° even where nothing is wrong; Gauss–Newton takes that away. */
static void poses_of_a_known_particle_are_found(void **state)
{
    deco_search_sliced_config config = {.oversampling = 2, .centroids = 2};
    deco_search_grid grid = small_grid;
    grid.l_end = 16, grid.t_n_grid = 7;
    rig r = make_rig(2, 32, 80, 1, &grid, &config);
    double moved[2] = {0, 0.08}, within, px, searched, refined, searched_px;
    for (int64_t i = 0; i < 2; i++)
        assert_int_equal(deco_search_sliced_fill(r.s, i, &(float){(float)i}, blob_value, &moved[i]), DECO_OK);
    for (int64_t b = 0; b < r.B; b++)
        r.z[b] = 1;
    make_images(&r, blob_value, &moved[1], 1, 4);
    search(&r);
    searched = errors(&r, &within, &searched_px);
    if (!(searched < 3 && within >= 0.5 && searched_px < 0.3))
        fail_msg("searched: median %.2f degrees, %.2f px, %.0f %% within 3 degrees", searched, searched_px, 100 * within);
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 3), DECO_OK);
    refined = errors(&r, &within, &px);
    if (!(refined < searched && within >= 0.8 && px < searched_px))
        fail_msg("refined: median %.2f degrees (searched: %.2f), %.2f px (%.2f), %.0f %% within 3 degrees", refined, searched, px,
                 searched_px, 100 * within);
    free_rig(&r);
}

static void gauss_newton_lowers_scores_and_finds_a_moved_pose_again(void **state)
{
    deco_search_sliced_config config = {.oversampling = 4, .centroids = 1};
    rig r = make_rig(2, 32, 30, 0, &small_grid, &config);
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, blob_value, NULL), DECO_OK);
    make_images(&r, blob_value, NULL, 0, 2);
    int64_t *point = calloc((size_t)r.P, sizeof *point), n = points_within(&r, 12, point);
    double *model = calloc((size_t)n, sizeof *model), start[30];
    for (int64_t b = 0; b < r.B; b++) { /* 3° about an axis of its own, and 0.5 px */
        double v[3] = {0.03 * cos((double)b), 0.03 * sin((double)b), 0.0425}, E[9], R[9], t[2];
        deco_rotation_from_axis_angle(E, v);
        for (int i = 0; i < 9; i++) {
            R[i] = 0;
            for (int j = 0; j < 3; j++)
                R[i] += E[i / 3 * 3 + j] * r.true_R[9 * b + 3 * j + i % 3];
            r.R[9 * b + i] = (float)R[i];
        }
        for (int i = 0; i < 2; i++)
            t[i] = r.true_shift[2 * b + i] + (i ? -0.3 : 0.4), r.shift[2 * b + i] = (float)t[i];
        r.s->centroid[b] = 0;
        model_at(model, &r, b, R, point, n);
        start[b] = plain_score(&r, b, model, point, n, t);
    }
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 6), DECO_OK);
    for (int64_t b = 0; b < r.B; b++) {
        double R[9], t[2] = {r.shift[2 * b], r.shift[2 * b + 1]}, degrees = degrees_between(r.true_R + 9 * b, r.R + 9 * b);
        double px = hypot(t[0] - r.true_shift[2 * b], t[1] - r.true_shift[2 * b + 1]);
        for (int i = 0; i < 9; i++)
            R[i] = r.R[9 * b + i];
        model_at(model, &r, b, R, point, n);
        double is = plain_score(&r, b, model, point, n, t);
        assert_true(is < start[b]);
        if (!(fabs(is - r.score[b]) <= 1e-5 * fabs(is)))
            fail_msg("image %lld: score %.9g, should be %.9g", (long long)b, (double)r.score[b], is);
        if (!(degrees < 0.25 && px < 0.03)) /* the trilinear slice is not the function's */
            fail_msg("image %lld: still %.3f degrees and %.3f px away", (long long)b, degrees, px);
    }
    free(point);
    free(model);
    free_rig(&r);
}

static void gauss_newton_never_raises_a_score(void **state)
{
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 1};
    rig r = make_rig(2, 32, 40, 0, &small_grid, &config);
    float *before = calloc(40, sizeof *before);
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, random_value, NULL), DECO_OK); /* nothing to find: steps lead anywhere */
    make_images(&r, random_value, NULL, 2, 2);
    search(&r);
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 0), DECO_OK);
    memcpy(before, r.score, 40 * sizeof *before);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 1), DECO_OK);
        for (int b = 0; b < 40; b++)
            assert_true(r.score[b] <= before[b]);
    }
    free(before);
    free_rig(&r);
}

/* ---- the decoder ------------------------------------------------------------------------------------------------- */

static void decoded(float *out, rig *r, const float *x, int64_t n, const float *R, const float *z)
{
    const deco_hypervolume *h = &r->m->shape;
    deco_array points = R ? deco_f32_2((void *)x, n, 2) : deco_f32_3((void *)x, 1, n, 3);
    assert_int_equal(deco_hypervolume_values(r->dev, h, deco_f32_2(out, 1, n), deco_none(),
                                             deco_f32_1(r->m->decoder.x, r->m->decoder.count), deco_f32_2(r->m->freqs, 3 * h->pe_dim, 3),
                                             points, R ? deco_f32_3((void *)R, 1, 3, 3) : deco_none(), deco_f32_2((void *)z, 1, h->Z)),
                     DECO_OK);
}

static void snapshots_hold_the_decoder_s_values(void **state)
{
    deco_search_sliced_config config = {.oversampling = 2, .centroids = 2};
    rig r = make_rig(2, 32, 2, 3, &small_grid, &config);
    const float z[2][3] = {{0.1f, -1, 2}, {1, 0.5f, -0.2f}};
    assert_int_equal(deco_search_sliced_renew(r.s, z[0]), DECO_OK);
    for (int c = 0; c < 2; c++)
        for (int64_t i = 0; i < 200; i++) {
            deco_random random = deco_random_at(3, DECO_STREAM_SAMPLE, (uint64_t)i);
            double k[3];
            float x[3], is;
            for (int a = 0; a < 3; a++) { /* ±13 steps of half a lattice step: inside the ball of 25.75 */
                k[a] = 0.5 * ((double)deco_random_below(&random, 27) - 13);
                x[a] = (float)(k[a] / 32);
            }
            decoded(&is, &r, x, 1, NULL, z[c]);
            assert_float_equal(snapshot_at(r.s, c, k), is,
                               1e-5); /* the device's sums depend on a tile's neighbours at most in the last digits */
        }
    free_rig(&r);
}

static void finalists_are_scored_by_the_decoder(void **state)
{
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 2, .rescore = 5};
    rig r = make_rig(2, 32, 19, 3, &small_grid, &config);
    const float z[2][3] = {{0.1f, -1, 2}, {1, 0.5f, -0.2f}};
    assert_int_equal(deco_search_sliced_renew(r.s, z[0]), DECO_OK);
    make_images(&r, random_value, NULL, 1, 2);
    for (int64_t i = 0; i < r.B * r.Z; i++)
        r.z[i] = 0.1f * (float)(i % 17);
    search(&r);
    assert_int_equal(r.level[3].kept, 5);
    int64_t *point = calloc((size_t)r.P, sizeof *point), n = points_within(&r, 12, point);
    assert_int_equal(n, 440);
    float *x = calloc(440, 2 * sizeof *x), *slice = calloc(440, sizeof *slice);
    double *model = calloc(440, sizeof *model);
    for (int64_t i = 0; i < n; i++)
        memcpy(x + 2 * i, r.mask->k + 2 * point[i], 2 * sizeof *x);
    for (int64_t b = 0; b < r.B; b++) {
        double best = INFINITY, chosen = 0;
        for (int64_t i = 0; i < 5; i++) {
            double R[9], t[2] = {r.level[3].shift[2 * (5 * b + i)], r.level[3].shift[2 * (5 * b + i) + 1]};
            float R32[9];
            rotation_matrix(R, 5, r.level[3].rotation[5 * b + i]);
            for (int j = 0; j < 9; j++)
                R32[j] = (float)R[j];
            decoded(slice, &r, x, n, R32, r.z + 3 * b);
            for (int64_t j = 0; j < n; j++)
                model[j] = (double)slice[j] * r.ctf[b * r.P + point[j]];
            double is = plain_score(&r, b, model, point, n, t);
            best = fmin(best, is);
            bool same = r.shift[2 * b] == (float)t[0] && r.shift[2 * b + 1] == (float)t[1];
            for (int j = 0; j < 9; j++)
                same = same && R32[j] == r.R[9 * b + j];
            chosen = same ? is : chosen;
        }
        double bound = 1e-5 * (1 + fabs(best)); /* sums of 440 products near 1 */
        assert_float_equal(r.score[b], best, bound);
        assert_float_equal(chosen, best, bound);
    }
    free(point);
    free(x);
    free(slice);
    free(model);
    free_rig(&r);
}

/* Images of the decoder itself, so that there is something to find; noise of a third of their deviation. */
static void make_decoded_images(rig *r, const float *z)
{
    float *slice = calloc((size_t)r->P, sizeof *slice), R[9];
    make_images(r, blob_value, NULL, 0, 2); /* poses and CTFs */
    for (int64_t b = 0; b < r->B; b++) {
        const double *t = r->true_shift + 2 * b;
        double power = 0;
        deco_random random = deco_random_at(29, DECO_STREAM_NOISE, (uint64_t)b);
        for (int i = 0; i < 9; i++)
            R[i] = (float)r->true_R[9 * b + i];
        decoded(slice, r, r->mask->k, r->P, R, z);
        for (int64_t p = 0; p < r->P; p++) {
            slice[p] *= r->ctf[b * r->P + p];
            power += (double)slice[p] * slice[p] / (double)r->P;
        }
        for (int64_t p = 0; p < r->P; p++) {
            double phase = DECO_TWO_PI * (reach_of(r, p, 0) * t[0] + reach_of(r, p, 1) * t[1]) / (double)r->D;
            r->images[b * r->P + p] =
                (float)(cos(phase) * slice[p] - sin(phase) * slice[r->P - 1 - p] + 0.3 * sqrt(power) * deco_random_normal(&random));
        }
    }
    free(slice);
}

/* The engines differ by what trilinear slices are off, and by the shifts at the rim of the later levels' grids, which only the exact one
 * looks at. With little noise neither matters; one image of 24 may be a near tie. */
static void the_exact_engine_finds_the_same_poses(void **state)
{
    deco_search_sliced_config config = {.oversampling = 2, .centroids = 1, .rescore = 8};
    rig r = make_rig(2, 32, 24, 2, &small_grid, &config);
    const float z[2] = {0.3f, -0.7f};
    float exact_R[24 * 9], exact_shift[24 * 2], exact_score[24];
    deco_search_exact *exact = NULL;
    int same = 0;
    for (int64_t b = 0; b < r.B; b++)
        memcpy(r.z + 2 * b, z, sizeof z);
    make_decoded_images(&r, z);
    assert_int_equal(deco_search_sliced_renew(r.s, z), DECO_OK);
    search(&r);
    deco_search_input in = input_of(&r);
    assert_int_equal(deco_search_exact_create(&exact, r.m, r.mask, &small_grid, r.B), DECO_OK);
    assert_int_equal(deco_search_exact_run(exact, &in, &(deco_search_output){exact_R, exact_shift, exact_score}, NULL), DECO_OK);
    for (int64_t b = 0; b < r.B; b++) {
        double R[9];
        for (int i = 0; i < 9; i++)
            R[i] = exact_R[9 * b + i];
        if (degrees_between(R, r.R + 9 * b) > 1.5)
            continue;
        same++;
        assert_true(hypot((double)exact_shift[2 * b] - r.shift[2 * b], (double)exact_shift[2 * b + 1] - r.shift[2 * b + 1]) < 0.3);
        assert_float_equal(r.score[b], exact_score[b], 1e-3 * fabs((double)exact_score[b]));
    }
    if (same < 23)
        fail_msg("%d of 24 poses are the exact engine's", same);
    deco_search_exact_free(exact);
    free_rig(&r);
}

/* ---- threads, and bad input -------------------------------------------------------------------------------------- */

static void the_number_of_threads_changes_no_bit(void **state)
{
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 3, .newton_steps = 2};
    rig first = make_rig(1, 32, 23, 1, &small_grid, &config);
    for (int threads = 1; threads <= 3; threads++) {
        rig r = make_rig(threads, 32, 23, 1, &small_grid, &config), *is = threads == 1 ? &first : &r;
        for (int64_t i = 0; i < 3; i++) {
            double moved = 0.05 * (double)i;
            assert_int_equal(deco_search_sliced_fill(is->s, i, &(float){(float)i}, blob_value, &moved), DECO_OK);
        }
        for (int64_t b = 0; b < is->B; b++)
            is->z[b] = (float)(b % 3);
        make_images(is, blob_value, NULL, 1, 2);
        search(is);
        if (threads > 1) {
            assert_memory_equal(is->R, first.R, 9 * 23 * sizeof *is->R);
            assert_memory_equal(is->shift, first.shift, 2 * 23 * sizeof *is->shift);
            assert_memory_equal(is->score, first.score, 23 * sizeof *is->score);
            assert_memory_equal(is->level[0].rotation, first.level[0].rotation, 8 * 23 * sizeof *is->level[0].rotation);
        }
        free_rig(&r);
    }
    free_rig(&first);
}

static void ctfs_by_row_are_those_by_value(void **state)
{
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 1};
    rig r = make_rig(2, 32, 5, 0, &small_grid, &config);
    deco_ctf_row rows[5];
    float R[45];
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, blob_value, NULL), DECO_OK);
    make_images(&r, blob_value, NULL, 1, 2);
    for (int64_t b = 0; b < r.B; b++) {
        rows[b] = (deco_ctf_row){9000 + 100 * (float)b, 9500, 0.4f, 0.1f, 0, 20, 3, 2.7e7f, deco_wavelength_A(300)};
        for (int64_t p = 0; p < r.P; p++)
            r.ctf[b * r.P + p] = deco_ctf(rows[b], r.mask->k[2 * p], r.mask->k[2 * p + 1]);
    }
    search(&r);
    memcpy(R, r.R, sizeof R);
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    in.ctf_values = NULL, in.ctf = rows;
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_OK);
    assert_memory_equal(r.R, R, sizeof R);
    free_rig(&r);
}

static void bad_input_is_refused(void **state)
{
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 1};
    rig r = make_rig(2, 32, 3, 0, &small_grid, &config);
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    deco_search_sliced *none = NULL;
    deco_search_grid grid = small_grid;

    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "no snapshot"));
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, blob_value, NULL), DECO_OK);
    make_images(&r, blob_value, NULL, 1, 2);
    in.B = 4;
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_E_ARGUMENT);
    in.B = 3;
    r.images[r.P + 5] = NAN;
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_OK); /* outside the circle of every level */
    for (int64_t p = 0; p < r.P; p++)
        r.images[r.P + p] = NAN;
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_E_DIVERGED);
    assert_non_null(strstr(deco_error(), "image 1"));
    for (int i = 0; i < 27; i++)
        r.R[i] = (float)(i % 9 % 4 == 0);
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 1), DECO_E_DIVERGED);
    r.R[9] = 1.5f;
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 1), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "image 1"));
    r.R[9] = NAN;
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 1), DECO_E_ARGUMENT);

    config.oversampling = 0;
    assert_int_equal(deco_search_sliced_create(&none, r.m, r.mask, &grid, &config, 3), DECO_E_ARGUMENT);
    config.oversampling = 1;
    grid.base_healpy = 0;
    assert_int_equal(deco_search_sliced_create(&none, r.m, r.mask, &grid, &config, 3), DECO_E_ARGUMENT);
    assert_null(none);
    free_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_holds_all_that_slices_touch),
        cmocka_unit_test(level_0_keeps_what_the_plain_double_sum_keeps),
        cmocka_unit_test(level_0_tries_the_shifts_around_a_given_middle),
        cmocka_unit_test(every_later_level_keeps_the_best_children_of_the_one_before),
        cmocka_unit_test(known_shifts_are_kept_and_rotations_searched),
        cmocka_unit_test(without_translations_all_shifts_are_zero),
        cmocka_unit_test(poses_of_a_known_particle_are_found),
        cmocka_unit_test(gauss_newton_lowers_scores_and_finds_a_moved_pose_again),
        cmocka_unit_test(gauss_newton_never_raises_a_score),
        cmocka_unit_test(snapshots_hold_the_decoder_s_values),
        cmocka_unit_test(finalists_are_scored_by_the_decoder),
        cmocka_unit_test(the_exact_engine_finds_the_same_poses),
        cmocka_unit_test(the_number_of_threads_changes_no_bit),
        cmocka_unit_test(ctfs_by_row_are_those_by_value),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
