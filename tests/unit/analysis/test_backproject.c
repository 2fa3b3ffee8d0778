/* Density maps straight from images: against the truth, beside a slow direct reference; half sets, threads. */
#include "analysis/fsc.h"
#include "particles/loader.h"
#include "unit/analysis/known_set.h"
#include "unit/analysis/slow_gridding.h"

enum { MOST_SHELLS = 65 };

/* The reference's sums of one half set (2: of both). */
static void slow_sum(slow_sums *sums, const known_set *s, int32_t k, const uint8_t *half, int which)
{
    deco_loader *l = NULL;
    deco_batch b;
    int64_t *row = calloc((size_t)s->p->N, sizeof *row), n = rows_of(row, s, k);
    double waited = 0;

    toy_ok(deco_loader_create(&l, s->p, s->mask, &(deco_image_stats){.std = 1}, s->dev, 32, 2));
    toy_ok(deco_loader_start(l, row, n));
    for (;;) {
        toy_ok(deco_loader_next(l, &b, &waited));
        if (!b.B)
            break;
        for (int64_t i = 0; i < b.B; i++) {
            const deco_ctf_row *c = s->p->ctf + b.row[i];
            if (which < 2 && half[b.row[i]] != which)
                continue;
            slow_add(sums,
                     &(slow_image){b.images + i * s->mask->P, s->R + 9 * b.row[i], s->shift + 2 * b.row[i], c->defocus_u_A, c->defocus_v_A,
                                   c->astig_rad, c->amp_contrast, c->phase_rad, c->cs_A, c->lambda_A, c->psize_A},
                     s->mask->k, s->mask->P);
        }
    }
    deco_loader_free(l);
    free(row);
}

static void fsc_to(double *out, const float *map, const double *truth, int64_t D)
{
    double *x = calloc((size_t)(D * D * D), sizeof *x);
    for (int64_t i = 0; i < D * D * D; i++)
        x[i] = map[i];
    slow_fsc(out, x, truth, D);
    free(x);
}

/* FSC against the truth in every shell, filtered and unfiltered, no worse than the reference's by more than 0.01: trilinear and Kaiser-Bessel
 * kernels leave different traces near the box's edge and in the gaps of the last shells, at most that much. */
static void as_good_as_the_slow_one(const char *root, const char *job, const char *name, int classes, deco_crossing *half,
                                    deco_crossing *whole)
{
    known_set s;
    deco_half_sets h;
    open_set(&s, root, job, name, 0);
    int64_t D = s.p->D, shells = deco_shells(D);
    double *map = calloc((size_t)(D * D * D), sizeof *map);

    toy_ok(deco_half_sets_find(&h, s.p, s.label, 3));
    for (int k = 0; k < classes; k++) {
        deco_back_projection b;
        double ours[MOST_SHELLS], slow[MOST_SHELLS], ssnr[MOST_SHELLS], *truth = read_truth(root, k, D);
        slow_sums sums = slow_begin(D);
        back_project(&b, &s, k, h.of);
        slow_sum(&sums, &s, k, h.of, 2);
        for (int64_t i = 0; i < shells; i++)
            ssnr[i] = 2 * fmin(fmax(b.fsc[i], 1e-3), 0.999) / (1 - fmin(fmax(b.fsc[i], 1e-3), 0.999));
        fsc_to(ours, b.map, truth, D);
        slow_map(map, &sums, ssnr);
        slow_fsc(slow, map, truth, D);
        for (int64_t i = 1; i < shells; i++)
            if (!(ours[i] >= slow[i] - 0.01))
                fail_msg("%s, class %d, shell %lld of %lld: FSC %.4f against the truth, the reference's %.4f", name, k, (long long)i,
                         (long long)D / 2, ours[i], slow[i]);
        half[k] = deco_fsc_crossing(b.fsc, D / 2, 0.143);
        whole[k] = deco_fsc_crossing(ours, D / 2, 0.5);
        print_message("%s, class %d: half maps 0.143 at shell %.1f, map against truth 0.5 at %.1f (reference %.1f) of %lld\n", name, k,
                      half[k].shell, whole[k].shell, deco_fsc_crossing(slow, D / 2, 0.5).shell, (long long)D / 2);
        slow_end(&sums);
        deco_back_projection_free(&b);
        free(truth);
    }
    deco_half_sets_free(&h);
    free(map);
    close_set(&s);
}

static void maps_of_tiny_are_as_good_as_the_slow_reference(void **state)
{
    deco_crossing half[2], whole[2];
    as_good_as_the_slow_one(data_path("tiny"), "J12", "tiny", 2, half, whole);
}

/* Where the half maps' FSC falls to 0.143, the whole map should be at 0.5 against the truth (Rosenthal & Henderson 2003). */
static void half_maps_of_demo_tell_how_good_the_map_is(void **state)
{
    deco_crossing half[3], whole[3];

    char root[1024];
    snprintf(root, sizeof root, "%s", data_path("demo"));
    if (!deco_path_exists(root)) /* not in the project: CRYODECO_DATA names where it is */
        skip();
    as_good_as_the_slow_one(root, "J30", "demo", 3, half, whole);
    for (int k = 0; k < 3; k++)
        assert_true(fabs(half[k].shell - whole[k].shell) <= 2);
}

/* Slabs of the grid belong to tasks, whichever thread runs them. */
static void maps_are_the_same_on_any_number_of_threads(void **state)
{
    deco_back_projection b[2];

    for (int t = 0; t < 2; t++) {
        known_set s;
        deco_half_sets h;
        open_set(&s, data_path("tiny"), "J12", "tiny", t ? 3 : 1);
        toy_ok(deco_half_sets_find(&h, s.p, s.label, 3));
        back_project(&b[t], &s, 0, h.of);
        deco_half_sets_free(&h);
        close_set(&s);
    }
    size_t n = (size_t)(b[0].D * b[0].D * b[0].D);
    assert_memory_equal(b[0].map, b[1].map, n * sizeof(float));
    assert_memory_equal(b[0].half[1], b[1].half[1], n * sizeof(float));
    deco_back_projection_free(&b[0]);
    deco_back_projection_free(&b[1]);
}

/* Drawn halves are even in each cluster, to one particle; the input's own are taken as they are. */
static void half_sets_are_the_inputs_or_drawn_evenly(void **state)
{
    known_set s;
    deco_half_sets h;
    int64_t count[2][2] = {{0}};

    open_set(&s, data_path("tiny"), "J12", "tiny", 1);
    toy_ok(deco_half_sets_find(&h, s.p, s.label, 3));
    const deco_column *c = deco_table_find(s.p->rows, "alignments3D/split");
    assert_int_equal(h.drawn, !c);
    for (int64_t i = 0; i < s.p->N; i++)
        if (c)
            assert_int_equal(h.of[i], deco_cell_real(c, i, 0));
    deco_half_sets_free(&h);
    deco_table *with = s.p->rows;
    deco_table *without = NULL;
    toy_ok(deco_table_create(&without, s.p->N, "none"));
    s.p->rows = without;
    toy_ok(deco_half_sets_find(&h, s.p, s.label, 3));
    s.p->rows = with;
    deco_table_free(without);
    assert_true(h.drawn);
    for (int64_t i = 0; i < s.p->N; i++)
        count[s.label[i]][h.of[i]]++;
    assert_true(llabs(count[0][0] - count[0][1]) <= 1 && llabs(count[1][0] - count[1][1]) <= 1);
    deco_half_sets_free(&h);
    close_set(&s);
}

/* Every image ten rows, as after symmetry expansion: its noise is in one half map, whether halves are drawn or given, and sizes stay alike. */
static void rows_of_one_image_are_in_one_half(void **state)
{
    known_set s;
    deco_half_sets h;
    deco_table *rows = NULL, *with;
    deco_column *split;

    open_set(&s, data_path("tiny"), "J12", "tiny", 1);
    for (int64_t i = 0; i < s.p->N; i++)
        s.p->image[i] = s.p->image[i / 10 * 10];
    with = s.p->rows;
    for (int given = 0; given < 2; given++) {
        int64_t count[2] = {0};
        toy_ok(deco_table_create(&rows, s.p->N, "toy"));
        if (given) {
            toy_ok(deco_table_add(rows, &split, "alignments3D/split", 'u', 4, 0, NULL));
            for (int64_t i = 0; i < s.p->N; i++) /* every seventh row is astray */
                deco_cell_set_u64(split, i, 0, (uint64_t)(i / 10 % 2 ^ (i % 7 == 3)));
        }
        s.p->rows = rows;
        toy_ok(deco_half_sets_find(&h, s.p, s.label, 3));
        s.p->rows = with;
        assert_int_equal(h.drawn, !given);
        for (int64_t i = 0; i < s.p->N; i++) {
            assert_int_equal(h.of[i], h.of[i / 10 * 10]);
            count[h.of[i]]++;
        }
        assert_true(llabs(count[0] - count[1]) <= s.p->N / 5);
        deco_half_sets_free(&h);
        deco_table_free(rows);
    }
    close_set(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_of_tiny_are_as_good_as_the_slow_reference),
        cmocka_unit_test(half_maps_of_demo_tell_how_good_the_map_is),
        cmocka_unit_test(maps_are_the_same_on_any_number_of_threads),
        cmocka_unit_test(half_sets_are_the_inputs_or_drawn_evenly),
        cmocka_unit_test(rows_of_one_image_are_in_one_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
