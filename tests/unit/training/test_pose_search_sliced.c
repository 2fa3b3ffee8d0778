/* The sliced pose search, on snapshots of functions and of a small decoder. */
#include "unit/training/sliced_rig.h"

#include <stdio.h>

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

static void a_stop_abandons_the_search_and_leaves_the_poses(void **state)
{
    deco_search_sliced_config config = {.oversampling = 1, .centroids = 1, .newton_steps = 1};
    rig r = make_rig(2, 32, 3, 0, &small_grid, &config);
    deco_search_input in = input_of(&r);
    deco_search_output out = output_of(&r);
    deco_monitor *m = NULL;
    float R[27];

    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    assert_int_equal(deco_search_sliced_fill(r.s, 0, NULL, blob_value, NULL), DECO_OK);
    make_images(&r, blob_value, NULL, 1, 2);
    in.m = m;
    for (int i = 0; i < 27; i++)
        R[i] = r.R[i] = (float)(i % 9 % 4 == 0);
    deco_monitor_stop(m);
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_E_STOPPED);
    assert_int_equal(deco_search_sliced_refine(r.s, &in, &out, 1), DECO_E_STOPPED);
    assert_memory_equal(r.R, R, sizeof R);
    in.m = NULL;
    assert_int_equal(deco_search_sliced_run(r.s, &in, &out, NULL), DECO_OK);
    assert_memory_not_equal(r.R, R, sizeof R);
    deco_monitor_free(m);
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
        cmocka_unit_test(poses_of_a_known_particle_are_found),
        cmocka_unit_test(gauss_newton_lowers_scores_and_finds_a_moved_pose_again),
        cmocka_unit_test(gauss_newton_never_raises_a_score),
        cmocka_unit_test(snapshots_hold_the_decoder_s_values),
        cmocka_unit_test(finalists_are_scored_by_the_decoder),
        cmocka_unit_test(the_exact_engine_finds_the_same_poses),
        cmocka_unit_test(the_number_of_threads_changes_no_bit),
        cmocka_unit_test(ctfs_by_row_are_those_by_value),
        cmocka_unit_test(a_stop_abandons_the_search_and_leaves_the_poses),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
