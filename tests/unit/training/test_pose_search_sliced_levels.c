/* The sliced search level by level, against plain sums in double from its definition. */
#include "unit/training/sliced_rig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_holds_all_that_slices_touch),
        cmocka_unit_test(level_0_keeps_what_the_plain_double_sum_keeps),
        cmocka_unit_test(level_0_tries_the_shifts_around_a_given_middle),
        cmocka_unit_test(every_later_level_keeps_the_best_children_of_the_one_before),
        cmocka_unit_test(known_shifts_are_kept_and_rotations_searched),
        cmocka_unit_test(without_translations_all_shifts_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
