/* flip_hand: maps and poses turn together, so that every projection stays. */
#include "analysis/hand.h"
#include "formats/npy.h"
#include "formulas/rotation.h"
#include "unit/analysis/toy_analysis.h"

enum { D = 8, N = 40, Z = 2 };

static void random_map(float *map)
{
    deco_random r = deco_random_at(3, DECO_STREAM_ORDER, 0);

    for (int i = 0; i < D * D * D; i++) /* nothing in the first planes: they stand for both edges of the box */
        map[i] = i % D && i / D % D && i / (D * D) ? (float)deco_random_uniform(&r) - 0.3f : 0;
}

static void random_rotation(float *out, uint64_t number)
{
    deco_random r = deco_random_at(4, DECO_STREAM_ORDER, number);
    double u[3], q[4], R[9];

    for (int i = 0; i < 3; i++)
        u[i] = deco_random_uniform(&r);
    deco_quaternion_from_uniform(q, u);
    deco_rotation_from_quaternion(R, q);
    for (int i = 0; i < 9; i++)
        out[i] = (float)R[i];
}

/* The Hartley transform of the map at the point c·R of c = (x, y, 0), in cycles a pixel: a slice, METHOD.md section 2. */
static double slice_value(const float *map, const float *R, double x, double y)
{
    double k[3], sum = 0;

    for (int i = 0; i < 3; i++)
        k[i] = x * R[i] + y * R[3 + i];
    for (int i = 0; i < D * D * D; i++) {
        double angle = 2 * M_PI * (k[0] * (i % D - D / 2) + k[1] * (i / D % D - D / 2) + k[2] * (i / (D * D) - D / 2));
        sum += map[i] * (cos(angle) + sin(angle));
    }
    return sum;
}

static void every_slice_of_the_mirrored_map_at_the_mirrored_pose_is_the_same(void **state)
{
    float map[D * D * D], mirrored[D * D * D];
    double most = 0, other = 0;

    (void)state;
    random_map(map);
    memcpy(mirrored, map, sizeof map);
    deco_map_mirror(mirrored, D);
    for (uint64_t n = 0; n < 8; n++) {
        float R[9], turned[9];
        random_rotation(R, n);
        memcpy(turned, R, sizeof R);
        deco_pose_mirror(turned);
        for (int y = -3; y <= 3; y++)
            for (int x = -3; x <= 3; x++) {
                double v = slice_value(map, R, x / (double)D, y / (double)D);
                most = fmax(most, fabs(v - slice_value(mirrored, turned, x / (double)D, y / (double)D)));
                other = fmax(other, fabs(v - slice_value(mirrored, R, x / (double)D, y / (double)D)));
            }
    }
    assert_true(most < 1e-9); /* the same numbers added in another order */
    assert_true(other > 1);   /* or the test would say nothing */
}

static void a_mirrored_pose_is_a_rotation_and_twice_is_once_not(void **state)
{
    float R[9], M[9], map[D * D * D], twice[D * D * D];

    (void)state;
    for (uint64_t n = 0; n < 8; n++) {
        random_rotation(R, n);
        memcpy(M, R, sizeof R);
        deco_pose_mirror(M);
        double det = M[0] * ((double)M[4] * M[8] - (double)M[5] * M[7]) - M[1] * ((double)M[3] * M[8] - (double)M[5] * M[6]) +
                     M[2] * ((double)M[3] * M[7] - (double)M[4] * M[6]);
        assert_true(fabs(det - 1) < 1e-6);
        deco_pose_mirror(M);
        assert_memory_equal(M, R, sizeof R);
    }
    random_map(map);
    memcpy(twice, map, sizeof map);
    deco_map_mirror(twice, D);
    assert_memory_not_equal(twice, map, sizeof map);
    assert_true(twice[(3 * D + 2) * D + 1] == map[((D - 3) * D + 2) * D + 1]);
    deco_map_mirror(twice, D);
    assert_memory_equal(twice, map, sizeof map);
}

/* ---- a whole analysis in both hands ------------------------------------------------------------------------------ */

typedef struct run {
    toy_analysis t;
    char place[700], directory[2][900];
} run;

static void analyse_both(run *r, bool estimated)
{
    toy j = toy_begin(N, NULL);
    int32_t truth[N];

    toy_write(&j);
    snprintf(r->place, sizeof r->place, "%s", j.project);
    toy_analysis_begin(&r->t, &j, N, Z, 1, truth);
    for (int flip = 0; flip < 2; flip++) {
        deco_analysis_input in = toy_analysis_input(&r->t, estimated);
        toy_ok(deco_options_set(r->t.o, "flip_hand", flip ? "True" : "False"));
        char *directory = deco_analysis_directory(r->place, 4, r->t.o);
        snprintf(r->directory[flip], sizeof r->directory[flip], "%s", directory);
        free(directory);
        char *parent = deco_path_directory(r->directory[flip]);
        toy_ok(deco_directory_make(parent));
        free(parent);
        toy_ok(deco_analysis_write(r->directory[flip], &in, r->t.o, NULL));
    }
}

static void end(run *r) { toy_analysis_end(&r->t); }

static const char *file_of(const run *r, int flip, const char *name)
{
    static char path[4][1100];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", r->directory[flip], name);
    return path[turn];
}

static void maps_arrays_and_subsets_flip_together(void **state)
{
    static const char *const maps[] = {"clustering2/vol_000.mrc", "clustering2/vol_001.mrc", "pc1_10/vol_003.mrc", "pc2_10/vol_009.mrc"};
    run r;

    (void)state;
    analyse_both(&r, false);
    assert_string_equal(deco_path_name(r.directory[0]), "analysis_4");
    assert_string_equal(deco_path_name(r.directory[1]), "analysis_4_flipped");
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        float map[2][TOY_D * TOY_D * TOY_D];
        for (int flip = 0; flip < 2; flip++) {
            deco_mrc *m;
            toy_ok(deco_mrc_open(&m, file_of(&r, flip, maps[i])));
            toy_ok(deco_mrc_read(m, map[flip], 0, TOY_D));
            deco_mrc_close(m);
        }
        assert_memory_not_equal(map[0], map[1], sizeof map[0]);
        deco_map_mirror(map[0], TOY_D);
        assert_memory_equal(map[0], map[1], sizeof map[0]);
    }
    deco_npy R[2], shift[2];
    for (int flip = 0; flip < 2; flip++) {
        toy_ok(deco_npy_read(&R[flip], file_of(&r, flip, "rotation.npy")));
        toy_ok(deco_npy_read(&shift[flip], file_of(&r, flip, "shift.npy")));
    }
    assert_memory_equal(shift[0].data, shift[1].data, sizeof(float[N][2]));
    assert_memory_equal(R[0].data, r.t.p->R, sizeof(float[N][9]));
    for (int i = 0; i < N; i++)
        deco_pose_mirror((float *)R[0].data + 9 * i);
    assert_memory_equal(R[0].data, R[1].data, sizeof(float[N][9]));
    /* The subsets' own poses are the input's where it is not flipped, and those of rotation.npy where it is. */
    deco_table *t;
    toy_ok(deco_cs_read(&t, file_of(&r, 1, "clustering2/clustering_cs_star/cluster_1.cs")));
    deco_npy label;
    toy_ok(deco_npy_read(&label, file_of(&r, 1, "clustering2/labels.npy")));
    int64_t at = 0;
    for (int i = 0; i < N; i++) {
        double v[3], turned[9];
        if (((const int32_t *)label.data)[i] != 1)
            continue;
        for (int k = 0; k < 3; k++)
            v[k] = deco_cell_real(deco_table_find(t, "alignments3D/pose"), at, k);
        deco_rotation_from_axis_angle(turned, v);
        for (int k = 0; k < 9; k++)
            assert_true(fabs(turned[k] - ((const float *)R[1].data)[9 * i + k]) < 1e-5);
        at++;
    }
    assert_int_equal(at, t->rows);
    deco_table_free(t);
    deco_npy_free(&label);
    for (int flip = 0; flip < 2; flip++) {
        deco_npy_free(&R[flip]);
        deco_npy_free(&shift[flip]);
    }
    end(&r);
}

static void the_hand_is_on_record(void **state)
{
    static const char *const words[2][2][2] = {{{"\"the given poses'\"", "false"}, {"opposite to the given poses'", "true"}},
                                               {{"\"arbitrary\"", "false"}, {"\"arbitrary\"", "true"}}};

    (void)state;
    for (int estimated = 0; estimated < 2; estimated++) {
        run r;
        analyse_both(&r, estimated);
        for (int flip = 0; flip < 2; flip++) {
            char *text;
            size_t n;
            toy_ok(deco_file_get(&text, &n, file_of(&r, flip, "hand.json"), 0));
            assert_non_null(strstr(text, words[estimated][flip][0]));
            assert_non_null(strstr(text, words[estimated][flip][1]));
            free(text);
        }
        end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slice_of_the_mirrored_map_at_the_mirrored_pose_is_the_same),
        cmocka_unit_test(a_mirrored_pose_is_a_rotation_and_twice_is_once_not),
        cmocka_unit_test(maps_arrays_and_subsets_flip_together),
        cmocka_unit_test(the_hand_is_on_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
