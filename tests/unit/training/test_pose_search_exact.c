/* The exact pose search: it finds planted poses, in any number of threads and pieces; bookkeeping from level to level; what it refuses. */
#include "training/pose_search_exact.h"
#include "formulas/rotation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { LATTICE = 33, IMAGES = 3, KEPT = 8, LEVELS = 3 };

static const deco_search_grid small_grid = {
    .base_healpy = 2, .n_iter = LEVELS - 1, .n_kept = KEPT, .l_start = 5, .l_end = 10, .t_n_grid = 2, .t_extent = 6};

/* A model with weights as training starts them, a batch, and room for results. */
typedef struct bench {
    deco_device *dev;
    deco_model *m;
    deco_mask *mask;
    deco_search_exact *search;
    deco_search_input in;
    int64_t Z;
    float *images, *ctf, *z;
    int64_t rotation[IMAGES]; /* planted, in the last level's grid */
    float planted[2 * IMAGES], half_norm[IMAGES];
    float R[9 * IMAGES], shift[2 * IMAGES], score[IMAGES];
    deco_search_level level[LEVELS];
} bench;

static void matrix_at(float R[9], int order, int64_t rotation)
{
    double q[4], wide[9];
    deco_so3_quaternion(q, order, rotation);
    deco_rotation_from_quaternion(wide, q);
    for (int i = 0; i < 9; i++)
        R[i] = (float)wide[i];
}

static deco_array latents(const bench *b, int64_t image) { return b->Z ? deco_f32_2(b->z + image * b->Z, 1, b->Z) : deco_none(); }

/* Image b shows the decoder at a rotation that lies on the last grid, shifted back from a shift that lies on its grid too, so that the
 * score at that pose is -½‖CTF·slice‖² over the last circle: no other can be lower. */
static void plant(bench *b, int64_t image, int64_t base)
{
    const deco_hypervolume *h = &b->m->shape;
    int64_t P = b->mask->P, near[DECO_SO3_NEIGHBOURS], last = b->search->levels - 1;
    double q[DECO_SO3_NEIGHBOURS][4];
    float R[9], *slice = calloc((size_t)P, sizeof *slice), back[2], centre[2] = {0}, *ctf = b->ctf + image * P;

    b->rotation[image] = base;
    search_exact_shift(centre, b->search, &(deco_search_input){.B = 1}, 0, centre, (int32_t)(5 + image));
    for (int64_t i = 1; i <= last; i++) {
        deco_so3_neighbours(near, q, NULL, (int)(b->search->level->order + i - 1), b->rotation[image]);
        b->rotation[image] = near[image % 4];
        search_exact_shift(centre, b->search, &(deco_search_input){.B = 1}, i, centre, (int32_t)(6 + 3 * (i % 2)));
    }
    memcpy(b->planted + 2 * image, centre, sizeof centre);
    back[0] = -centre[0], back[1] = -centre[1];
    matrix_at(R, b->search->level[last].order, b->rotation[image]);
    assert_int_equal(deco_hypervolume_values(b->dev, h, deco_f32_2(slice, 1, P), deco_none(),
                                             deco_f32_1(b->m->decoder.x, b->m->decoder.count), deco_f32_2(b->m->freqs, 3 * h->pe_dim, 3),
                                             deco_f32_2(b->mask->k, P, 2), deco_f32_3(R, 1, 3, 3), latents(b, image)),
                     DECO_OK);
    for (int64_t p = 0; p < P; p++) {
        ctf[p] = 0.7F + 0.3F * cosf(40 * (b->mask->k[2 * p] * b->mask->k[2 * p] + 2 * b->mask->k[2 * p + 1] * b->mask->k[2 * p + 1]));
        slice[p] *= ctf[p];
    }
    b->half_norm[image] = 0;
    for (int64_t p = 0; p < b->search->level[last].P; p++) {
        float x = slice[b->search->level[last].place[p]];
        b->half_norm[image] += 0.5F * x * x;
    }
    assert_int_equal(deco_shift(b->dev, deco_f32_2(b->images + image * P, 1, P), deco_f32_2(slice, 1, P), deco_f32_2(back, 1, 2),
                                deco_f32_2(b->mask->k, P, 2)),
                     DECO_OK);
    free(slice);
}

static void begin_at(bench *b, int threads, int64_t Z, deco_search_grid grid)
{
    deco_model_config c = {.shape = {LATTICE, 8, 32, 2, Z, true},
                           .feat_sigma = 0.7,
                           .psize_A = 2,
                           .std = 1,
                           .D = LATTICE - 1,
                           .radius = LATTICE / 2,
                           .N = 1,
                           .seed = 3};
    deco_random random = deco_random_at(4, DECO_STREAM_SAMPLE, 0);

    *b = (bench){.Z = Z};
    assert_int_equal(deco_device_create(&b->dev, "cpu", threads), DECO_OK);
    assert_int_equal(deco_model_create(&b->m, b->dev, &c), DECO_OK);
    assert_int_equal(deco_mask_create(&b->mask, LATTICE, LATTICE / 2), DECO_OK);
    assert_int_equal(deco_search_exact_create(&b->search, b->m, b->mask, &grid, IMAGES), DECO_OK);
    b->images = calloc((size_t)(IMAGES * b->mask->P), sizeof *b->images);
    b->ctf = calloc((size_t)(IMAGES * b->mask->P), sizeof *b->ctf);
    b->z = calloc((size_t)(IMAGES * Z) + 1, sizeof *b->z);
    for (int64_t i = 0; i < IMAGES * Z; i++)
        b->z[i] = (float)deco_random_normal(&random);
    for (int64_t i = 0; i < IMAGES; i++)
        plant(b, i, 100 + 1511 * i);
    b->in = (deco_search_input){.B = IMAGES, .images = b->images, .ctf_values = b->ctf, .z = Z ? b->z : NULL};
    for (int i = 0; i < LEVELS; i++) {
        b->level[i].rotation = calloc((size_t)IMAGES * KEPT, sizeof *b->level->rotation);
        b->level[i].shift = calloc((size_t)IMAGES * KEPT * 2, sizeof *b->level->shift);
        b->level[i].score = calloc((size_t)IMAGES * KEPT, sizeof *b->level->score);
    }
}

static void begin(bench *b, int threads) { begin_at(b, threads, 4, small_grid); }

static deco_status search(bench *b)
{
    return deco_search_exact_run(b->search, &b->in, &(deco_search_output){b->R, b->shift, b->score}, b->level);
}

static void end(bench *b)
{
    for (int i = 0; i < LEVELS; i++)
        free(b->level[i].rotation), free(b->level[i].shift), free(b->level[i].score);
    deco_search_exact_free(b->search);
    deco_mask_free(b->mask);
    deco_model_free(b->m);
    deco_device_free(b->dev);
    free(b->images), free(b->ctf), free(b->z);
}

/* ---- from level to level ---------------------------------------------------------------------------------------- */

static void the_best_are_kept_once_each_in_any_order(void **state)
{
    const deco_search_pose offered[] = {{7, {1, 0}, 3}, {2, {0, 0}, 5}, {9, {0, 0}, 1}, {7, {2, 0}, 2},  {4, {0, 0}, 2},
                                        {5, {0, 0}, 9}, {2, {3, 0}, 6}, {8, {0, 0}, 5}, {1, {0, 0}, NAN}};
    enum { N = sizeof offered / sizeof *offered };
    deco_random random = deco_random_at(5, DECO_STREAM_SAMPLE, 0);

    for (int trial = 0; trial < 50; trial++) {
        deco_search_pose pose[4];
        deco_search_best best = {.pose = pose, .room = 4};
        int64_t order[N];
        deco_random_permutation(&random, order, N);
        for (int i = 0; i < N; i++)
            deco_search_offer(&best, offered[order[i]]);
        assert_int_equal(best.kept, 4);
        /* rotation 7 by its better shift; of equal scores the lower number */
        const int64_t rotation[] = {9, 4, 7, 2};
        const float score[] = {1, 2, 2, 5}, x[] = {0, 0, 2, 0};
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pose[i].rotation, rotation[i]);
            assert_true(pose[i].score == score[i] && pose[i].shift[0] == x[i]);
        }
    }
}

static void children_of_two_parents_count_once(void **state)
{
    enum { ORDER = 3, PARENTS = 4, C = DECO_SO3_NEIGHBOURS };
    /* Some neighbours in the plane (one pair in 15) share children; the last is far away. */
    const deco_search_pose parent[PARENTS] = {{.rotation = 24576}, {.rotation = 24577}, {.rotation = 24578}, {.rotation = 20000}};
    int64_t rotation[PARENTS * C], near[C], n;
    double q[PARENTS * C][4], near_q[C][4];
    int32_t which[PARENTS][C];

    n = deco_search_children(rotation, q, which, parent, PARENTS, ORDER);
    assert_in_range(n, 4 * PARENTS, PARENTS * C - 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            assert_true(rotation[i] != rotation[j]);
    for (int i = 0; i < PARENTS; i++) {
        deco_so3_neighbours(near, near_q, NULL, ORDER, parent[i].rotation);
        for (int c = 0; c < C; c++) {
            assert_int_equal(rotation[which[i][c]], near[c]);
            assert_memory_equal(q[which[i][c]], near_q[c], sizeof near_q[c]);
        }
    }
}

/* ---- searches --------------------------------------------------------------------------------------------------- */

/* Scores are sums of some 300 products in f32; -½‖CTF·slice‖² is their largest. */
static void expect_planted(const bench *b)
{
    int last = (int)b->search->levels - 1;
    for (int64_t i = 0; i < IMAGES; i++) {
        float R[9];
        matrix_at(R, b->search->level[last].order, b->rotation[i]);
        assert_int_equal(b->level[last].rotation[i * b->level[last].kept], b->rotation[i]);
        assert_memory_equal(b->R + 9 * i, R, sizeof R);
        for (int a = 0; a < 2; a++)
            assert_true(fabsf(b->shift[2 * i + a] - b->planted[2 * i + a]) < 1e-5F);
        assert_true(fabsf(b->score[i] + b->half_norm[i]) < 1e-5F * b->half_norm[i]);
    }
}

static void planted_poses_are_found(void **state)
{
    bench b;
    begin(&b, 2);
    assert_int_equal(search(&b), DECO_OK);
    expect_planted(&b);
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(b.level[i].kept, i == LEVELS - 1 ? 1 : KEPT);
        for (int64_t k = 1; k < b.level[i].kept; k++)
            assert_true(b.level[i].score[k - 1] <= b.level[i].score[k]);
    }
    end(&b);
}

static void without_a_latent_all_images_read_the_same_slices(void **state)
{
    bench b;
    begin_at(&b, 2, 0, small_grid);
    for (int64_t i = 0; i < IMAGES; i++)
        plant(&b, i, 40 + 1200 * i); /* where level 0 does not lose the way */
    assert_int_equal(search(&b), DECO_OK);
    expect_planted(&b);
    end(&b);
}

/* A coarser base grid, other shifts; and a search of one level. */
static void other_grids_are_searched_as_well(void **state)
{
    bench b;
    deco_search_grid grid = small_grid;
    grid.base_healpy = 1, grid.t_x_shift = 1.5, grid.t_y_shift = -0.5, grid.t_n_grid = 5;
    begin_at(&b, 2, 4, grid);
    for (int64_t i = 0; i < IMAGES; i++)
        plant(&b, i, 10 + 191 * i);
    assert_int_equal(search(&b), DECO_OK);
    expect_planted(&b);
    end(&b);

    grid.base_healpy = 2, grid.n_iter = 0;
    begin_at(&b, 2, 4, grid);
    assert_int_equal(search(&b), DECO_OK);
    assert_int_equal(b.level[0].kept, 1);
    expect_planted(&b);
    end(&b);
}

static void known_shifts_are_kept(void **state)
{
    bench b;
    begin(&b, 2);
    b.in.shift = b.planted;
    assert_int_equal(search(&b), DECO_OK);
    expect_planted(&b);
    assert_memory_equal(b.shift, b.planted, sizeof b.planted);
    end(&b);
}

static void without_translations_shifts_are_zero(void **state)
{
    bench b;
    deco_search_grid grid = small_grid;
    grid.no_trans = true;
    begin_at(&b, 2, 4, grid);
    assert_int_equal(search(&b), DECO_OK);
    for (int i = 0; i < 2 * IMAGES; i++)
        assert_true(b.shift[i] == 0);
    expect_planted(&b);
    end(&b);
}

static void expect_same_levels(const bench *a, const bench *b, bool bits)
{
    for (int i = 0; i < LEVELS; i++) {
        size_t n = (size_t)(IMAGES * a->level[i].kept);
        assert_int_equal(a->level[i].kept, b->level[i].kept);
        assert_memory_equal(a->level[i].rotation, b->level[i].rotation, n * sizeof *a->level->rotation);
        assert_memory_equal(a->level[i].shift, b->level[i].shift, 2 * n * sizeof *a->level->shift);
        if (bits)
            assert_memory_equal(a->level[i].score, b->level[i].score, n * sizeof *a->level->score);
        for (size_t k = 0; k < n; k++)
            assert_true(fabsf(a->level[i].score[k] - b->level[i].score[k]) <= 1e-5F * fabsf(a->level[i].score[0]));
    }
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    bench one, more;
    begin(&one, 1);
    assert_int_equal(search(&one), DECO_OK);
    for (int threads = 2; threads <= 3; threads++) {
        begin(&more, threads);
        assert_int_equal(search(&more), DECO_OK);
        expect_same_levels(&one, &more, true);
        end(&more);
    }
    end(&one);
}

/* Large batches and fine grids are worked on in turn; a product's last bits hang on what stands beside it. */
static void work_in_turns_finds_the_same(void **state)
{
    bench whole, turns;
    begin(&whole, 2);
    begin(&turns, 2);
    turns.search->base = 37;
    turns.search->images_at_once = 1;
    assert_int_equal(search(&whole), DECO_OK);
    assert_int_equal(search(&turns), DECO_OK);
    expect_same_levels(&whole, &turns, false);
    end(&whole);
    end(&turns);
}

/* CTFs as rows of the particle set are those of the circles' points. */
static void ctf_rows_are_as_good_as_their_values(void **state)
{
    bench rows, values;
    deco_ctf_row ctf[IMAGES];
    begin(&rows, 2);
    begin(&values, 2);
    for (int i = 0; i < IMAGES; i++)
        ctf[i] = (deco_ctf_row){.defocus_u_A = 9000.0F + 2000.0F * (float)i,
                                .defocus_v_A = 8800,
                                .astig_rad = 0.4F,
                                .amp_contrast = 0.1F,
                                .psize_A = 3,
                                .cs_A = 2.7e7F,
                                .lambda_A = 0.0197};
    assert_int_equal(deco_ctf_values(values.dev, deco_f32_2(values.ctf, IMAGES, values.mask->P),
                                     (deco_array){ctf, DECO_BYTES, 1, {IMAGES, 1, 1, 1}, sizeof *ctf},
                                     deco_f32_2(values.mask->k, values.mask->P, 2)),
                     DECO_OK);
    rows.in.ctf_values = NULL;
    rows.in.ctf = ctf;
    assert_int_equal(search(&rows), DECO_OK);
    assert_int_equal(search(&values), DECO_OK);
    expect_same_levels(&rows, &values, true);
    end(&rows);
    end(&values);
}

static void a_later_run_takes_no_more_memory(void **state)
{
    bench b;
    begin(&b, 2);
    assert_int_equal(search(&b), DECO_OK);
    size_t scratch = deco_device_scratch_bytes(b.dev);
    assert_int_equal(search(&b), DECO_OK);
    assert_true(deco_device_scratch_bytes(b.dev) == scratch);
    end(&b);
}

/* ---- refused ---------------------------------------------------------------------------------------------------- */

static void what_cannot_be_is_refused(void **state)
{
    bench b;
    deco_search_exact *s;
    deco_search_grid grid = small_grid;
    deco_mask *inner;
    begin(&b, 1);
    assert_int_equal(deco_mask_create(&inner, LATTICE, small_grid.l_end - 1), DECO_OK);
    assert_int_equal(deco_search_exact_create(&s, b.m, inner, &grid, IMAGES), DECO_E_ARGUMENT);
    assert_null(s);
    assert_non_null(strstr(deco_error(), "level 2 has a radius of 10; the images have points within 1 to 9"));
    deco_mask_free(inner);
    grid.n_kept = 0;
    assert_int_equal(deco_search_exact_create(&s, b.m, b.mask, &grid, IMAGES), DECO_E_ARGUMENT);
    assert_int_equal(deco_search_exact_create(&s, b.m, b.mask, &small_grid, 0), DECO_E_ARGUMENT);
    b.in.B = IMAGES + 1;
    assert_int_equal(search(&b), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "a batch of 4 images; this pose search takes 1 to 3"));
    b.in.B = IMAGES, b.in.z = NULL;
    assert_int_equal(search(&b), DECO_E_ARGUMENT);
    end(&b);
}

static void a_decoder_without_numbers_is_noticed(void **state)
{
    bench b;
    float nan_ = NAN;
    begin(&b, 2);
    assert_int_equal(deco_device_upload(b.dev, b.m->decoder.x, &nan_, sizeof nan_), DECO_OK);
    assert_int_equal(search(&b), DECO_E_DIVERGED);
    assert_non_null(strstr(deco_error(), "only 0 of 4608 candidates of image 0"));
    end(&b);
}

static void a_stop_abandons_the_search_and_leaves_the_poses(void **state)
{
    bench b;
    deco_monitor *m = NULL;
    float R[9 * IMAGES] = {0};

    begin(&b, 2);
    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    memset(b.R, 0, sizeof b.R);
    b.in.m = m;
    deco_monitor_stop(m);
    assert_int_equal(search(&b), DECO_E_STOPPED);
    assert_memory_equal(b.R, R, sizeof R);
    b.in.m = NULL;
    assert_int_equal(search(&b), DECO_OK);
    expect_planted(&b);
    deco_monitor_free(m);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_are_kept_once_each_in_any_order),
        cmocka_unit_test(children_of_two_parents_count_once),
        cmocka_unit_test(planted_poses_are_found),
        cmocka_unit_test(without_a_latent_all_images_read_the_same_slices),
        cmocka_unit_test(other_grids_are_searched_as_well),
        cmocka_unit_test(known_shifts_are_kept),
        cmocka_unit_test(without_translations_shifts_are_zero),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(work_in_turns_finds_the_same),
        cmocka_unit_test(ctf_rows_are_as_good_as_their_values),
        cmocka_unit_test(a_later_run_takes_no_more_memory),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_decoder_without_numbers_is_noticed),
        cmocka_unit_test(a_stop_abandons_the_search_and_leaves_the_poses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
