/* STAR files of RELION 3.1 and older as rows with CryoSPARC's columns: every unit and convention, what is missing and what cannot be used. */
#include "toy_job.h"

#include "formulas/rotation.h"
#include "particles/star_rows.h"
#include "support/golden.h"

static deco_table *rows_of(const char *path)
{
    deco_table *t = NULL;
    toy_ok(particles_star_read(&t, path, NULL));
    return t;
}

static double value(const deco_table *t, const char *column, int64_t row, int64_t cell)
{
    const deco_column *c = deco_table_find(t, column);
    if (!c)
        fail_msg("there is no %s", column);
    return deco_cell_real(c, row, cell);
}

static const char *text(const deco_table *t, const char *column, int64_t row)
{
    static char out[4][512];
    static int turn;
    const deco_column *c = deco_table_find(t, column);
    turn = (turn + 1) % 4;
    if (!c)
        fail_msg("there is no %s", column);
    deco_cell_text(out[turn], sizeof out[turn], c, row);
    return out[turn];
}

/* Values are kept as f4: half a unit of its last place. */
static void near(double mine, double truth)
{
    if (!(fabs(mine - truth) <= fabs(truth) * 0x1p-24 + 1e-12))
        fail_msg("%.9g, should be %.9g", mine, truth);
}

/* Every number of the golden file, and with the optics group what data_optics says of it. */
static void relion_3_1(void **state)
{
    enum { GROUP, U, V, ANGLE, PHASE, ROT, TILT, PSI, X, Y, CLASS, HALF, COLUMNS };
    deco_table *t = rows_of(golden_path("n_files/star/relion31.star"));
    golden_array n = golden_read("n_files/star/relion31_numbers.npy");
    const double deg = 3.141592653589793238 / 180, psize[] = {1.3125, 1.3125, 1.06}, kV[] = {300, 300, 200}, w[] = {0.1, 0.07, 0.1};

    (void)state;
    assert_int_equal(n.shape[1], COLUMNS);
    assert_int_equal(t->rows, n.shape[0]);
    for (int64_t i = 0; i < t->rows; i++) {
        const double *v = n.v + i * COLUMNS;
        int g = (int)v[GROUP] - 1;
        double R[9], found[9], pose[3];
        near(value(t, "ctf/exp_group_id", i, 0), v[GROUP]);
        near(value(t, "ctf/df1_A", i, 0), v[U]);
        near(value(t, "ctf/df2_A", i, 0), v[V]);
        near(value(t, "ctf/df_angle_rad", i, 0), v[ANGLE] * deg);
        near(value(t, "ctf/phase_shift_rad", i, 0), v[PHASE] * deg);
        near(value(t, "ctf/accel_kv", i, 0), kV[g]);
        near(value(t, "ctf/amp_contrast", i, 0), w[g]);
        near(value(t, "blob/psize_A", i, 0), psize[g]);
        near(value(t, "blob/shape", i, 0), 128);
        near(value(t, "alignments3D/shift", i, 0), v[X] / (double)(float)psize[g]);
        near(value(t, "alignments3D/shift", i, 1), v[Y] / (double)(float)psize[g]);
        near(value(t, "alignments3D/psize_A", i, 0), psize[g]);
        near(value(t, "alignments3D/class", i, 0), v[CLASS] - 1);
        near(value(t, "alignments3D/split", i, 0), v[HALF] - 1);
        deco_star_rotation(R, v + ROT);
        for (int k = 0; k < 3; k++)
            pose[k] = value(t, "alignments3D/pose", i, k);
        deco_rotation_from_axis_angle(found, pose);
        for (int k = 0; k < 9; k++)
            assert_true(fabs(found[k] - R[k]) < 1e-6);
    }
    assert_string_equal(text(t, "blob/path", 0), "stacks/a.mrcs");
    assert_string_equal(text(t, "location/micrograph_path", 1), "mics/m 1.mrc");
    assert_true(value(t, "blob/idx", 1, 0) == 1);
    deco_table_free(t);
    golden_free(&n);
}

/* The file, with something for the path that one of its rows lacks. */
static const char *with_all_paths(const char *path)
{
    char *content, *at, *whole;
    size_t n;
    const char *out;

    toy_ok(deco_file_get(&content, &n, path, 0));
    at = strstr(content, "@ ");
    whole = deco_format("%.*s@x%s", at ? (int)(at - content) : (int)n, content, at ? at + 1 : "");
    out = scratch_put("from_cs.star", whole, strlen(whole));
    free(content);
    free(whole);
    return at ? out : path;
}

/* The reference's converter wrote this from CryoSPARC's poses: they come back. */
static void poses_of_the_references_converter(void **state)
{
    deco_table *t = rows_of(with_all_paths(golden_path("n_files/star/from_cs.star")));
    golden_array rows = golden_read("n_files/star/from_cs_rows.npy"), matrix = golden_read("n_files/star/pose_matrix.npy");

    (void)state;
    for (int64_t i = 0; i < t->rows; i++) {
        double v[3], R[9];
        for (int k = 0; k < 3; k++)
            v[k] = value(t, "alignments3D/pose", i, k);
        deco_rotation_from_axis_angle(R, v);
        /* angles of six digits after the point, computed in f32 */
        for (int k = 0; k < 9; k++)
            if (fabs(R[k] - matrix.v[9 * (int64_t)rows.v[i] + k % 3 * 3 + k / 3]) > 3e-6)
                fail_msg("row %lld: R[%d] is %.9g, not %.9g", (long long)i, k, R[k], matrix.v[9 * (int64_t)rows.v[i] + k % 3 * 3 + k / 3]);
    }
    deco_table_free(t);
    golden_free(&rows);
    golden_free(&matrix);
}

#define OLD_HEAD \
    "data_\nloop_\n_rlnImageName\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n_rlnVoltage\n_rlnSphericalAberration\n" \
    "_rlnAmplitudeContrast\n_rlnMagnification\n_rlnDetectorPixelSize\n"

static const char *star_file(const char *name, const char *content) { return scratch_put(name, content, strlen(content)); }

static void older_than_3_1(void **state)
{
    deco_table *t =
        rows_of(star_file("old.star", OLD_HEAD "_rlnOriginX\n_rlnOriginY\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnCtfFigureOfMerit\n"
                                               "_rlnImageOriginalName\n"
                                               "3@./s/a.mrcs 12000 11000 30 300 2.7 0.1 50000 7 1.5 -2 10 20 30 0.25 x@y\n"
                                               "1@s/a.mrcs 12000 11000 30 300 2.7 0.1 50000 7 0 0 0 0 0 0.5 z\n"));

    (void)state;
    near(value(t, "blob/psize_A", 0, 0), 1.4);
    near(value(t, "alignments3D/shift", 0, 0), 1.5); /* pixels already */
    near(value(t, "alignments3D/shift", 0, 1), -2);
    near(value(t, "star/rlnCtfFigureOfMerit", 1, 0), 0.5); /* kept, as a number and as text */
    assert_string_equal(text(t, "star/rlnImageOriginalName", 0), "x@y");
    assert_null(deco_table_find(t, "blob/shape")); /* the stack says it */
    assert_null(deco_table_find(t, "blob/sign"));
    assert_true(deco_cell_u64(deco_table_find(t, "uid"), 0, 0) == particles_image_uid("s/a.mrcs", 2));
    assert_true(particles_image_uid("s/a.mrcs", 2) != particles_image_uid("s/a.mrcs", 1));
    deco_table_free(t);
}

/* 2D classes have in-plane angles only: rot and tilt are 0 in every row. */
static void angles_of_2D_classes_are_no_views(void **state)
{
    deco_table *t = rows_of(star_file("2d.star", OLD_HEAD "_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n"
                                                          "1@a.mrcs 12000 11000 30 300 2.7 0.1 50000 7 0 0 90\n"
                                                          "2@a.mrcs 12000 11000 30 300 2.7 0.1 50000 7 0 0 45\n"));

    (void)state;
    assert_null(deco_table_find(t, "alignments3D/pose"));
    near(value(t, "alignments2D/pose", 0, 0), 3.141592653589793238 / 2);
    deco_table_free(t);
}

static void refuses(const char *content, deco_status st, const char *a, const char *b)
{
    deco_table *t = (deco_table *)1;

    assert_int_equal(particles_star_read(&t, star_file("refused.star", content), NULL), st);
    assert_null(t);
    if (!strstr(deco_error(), a) || !strstr(deco_error(), b) || !strstr(deco_error(), "refused.star"))
        fail_msg("the message lacks \"%s\" or \"%s\": %s", a, b, deco_error());
}

#define OPTICS(extra_names, extra) \
    "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnSphericalAberration\n_rlnImagePixelSize\n_rlnImageSize\n" extra_names \
    "1 300 2.7 1.4 8 " extra "\ndata_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n"

static void what_cannot_be_used(void **state)
{
    (void)state;
    refuses("data_\nloop_\n_rlnMicrographName\na.mrc\n", DECO_E_FORMAT, "no _rlnImageName", "micrographs");
    refuses(OLD_HEAD "1@a.mrcs 12000 abc 30 300 2.7 0.1 50000 7\n", DECO_E_FORMAT, "row 0: _rlnDefocusV is 'abc'", "a number");
    refuses(OLD_HEAD "0@a.mrcs 12000 1 30 300 2.7 0.1 50000 7\n", DECO_E_FORMAT, "row 0: _rlnImageName is '0@a.mrcs'", "from 1");
    refuses(OLD_HEAD "x@a.mrcs 12000 1 30 300 2.7 0.1 50000 7\n", DECO_E_FORMAT, "_rlnImageName", "NUMBER@STACK");
    refuses("data_\nloop_\n_rlnImageName\n1@a.mrcs\n", DECO_E_FORMAT, "pixel size", "_rlnMagnification");
    refuses("data_\nloop_\n_rlnImageName\n_rlnImagePixelSize\n1@a.mrcs 2\n", DECO_E_FORMAT, "_rlnVoltage", "CTF");
    refuses(OPTICS("", "") "1@a.mrcs 2 1e4 1e4 0\n", DECO_E_FORMAT, "row 0: _rlnOpticsGroup is 2", "data_optics");
    refuses(OPTICS("_rlnCtfDataAreCtfPremultiplied\n", "1") "1@a.mrcs 1 1e4 1e4 0\n", DECO_E_UNSUPPORTED, "multiplied by the CTF", "row 0");
    refuses(OPTICS("_rlnImageDimensionality\n", "3") "1@a.mrcs 1 1e4 1e4 0\n", DECO_E_UNSUPPORTED, "subtomograms", "row 0");
}

/* RELION's layout: x/Extract/job012/particles.star names Extract/job012/a.mrcs, counted from x. One image twice is refused. */
static void opens_as_a_set(void **state)
{
    toy j = toy_begin(1, NULL);
    char folder[900], path[1000];
    deco_particles *p = NULL;
    static const char content[] = OPTICS("", "") "1@Extract/job012/a.mrcs 1 15000 14000 30\n5@Extract/job012/a.mrcs 1 15000 14000 30\n";

    (void)state;
    deco_table_free(j.t);
    snprintf(folder, sizeof folder, "%s/Extract/job012", j.project);
    toy_ok(deco_directory_make(folder));
    snprintf(path, sizeof path, "%s/a.mrcs", folder);
    assert_int_equal(link(toy_stack_path(&j, 0), path), 0);
    snprintf(path, sizeof path, "%s/particles.star", folder);
    toy_ok(deco_file_put(path, content, strlen(content)));
    for (int k = 0; k < 2; k++) { /* the file, and its directory */
        toy_ok(deco_particles_open(&p, k ? folder : path, NULL, DECO_NEED_STACKS, NULL));
        assert_int_equal(p->N, 2);
        assert_int_equal(p->D, 8);
        assert_int_equal(p->image[1].index, 4);
        assert_string_equal(p->project, j.project);
        assert_true(p->from[0].star);
        assert_null(p->poses);
        assert_true(p->sign[0] == 1); /* toy images show no contrast: taken as dark on light */
        assert_string_equal(p->sign_from, "assumed");
        deco_particles_free(p);
    }
    toy_ok(deco_particles_open_input(&p, &(deco_input){.path = (const char *[]){path}, .paths = 1, .contrast = "light_on_dark"}, 0, NULL));
    assert_true(p->sign[0] == -1);
    deco_particles_free(p);
}

/* Symmetry expansion and double picks: rows of one image are particles of their own, and the first is what it would be alone. */
static void rows_of_one_image_have_uids_of_their_own(void **state)
{
    toy j = toy_begin(1, NULL);
    char path[900];
    deco_particles *p = NULL;
    static const char content[] = OLD_HEAD "2@J7/stacks/s0.mrc 12000 11000 30 300 2.7 0.1 50000 7\n"
                                           "1@J7/stacks/s0.mrc 12000 11000 30 300 2.7 0.1 50000 7\n"
                                           "02@J7/stacks/s0.mrc 12000 11000 40 300 2.7 0.1 50000 7\n"
                                           "2@./J7/stacks/s0.mrc 12000 11000 50 300 2.7 0.1 50000 7\n";

    (void)state;
    deco_table_free(j.t);
    snprintf(path, sizeof path, "%s/old.star", j.project);
    toy_ok(deco_file_put(path, content, strlen(content)));
    toy_ok(deco_particles_open(&p, path, NULL, 0, NULL));
    uint64_t two = particles_image_uid("J7/stacks/s0.mrc", 1), one = particles_image_uid("J7/stacks/s0.mrc", 0);
    const uint64_t wanted[] = {two, one, particles_copy_uid(two, 1), particles_copy_uid(two, 2)};
    for (int64_t i = 0; i < 4; i++) {
        assert_true(deco_particles_uid(p, i) == wanted[i]);
        assert_int_equal(p->image[i].index, i == 1 ? 0 : 1);
    }
    assert_true(two != wanted[2] && wanted[2] != wanted[3] && two != wanted[3]);
    deco_particles_free(p);
}

/* Without rlnImageSize the stacks' headers say the box; a missing stack is then named with its places. */
static void box_of_the_stack(void **state)
{
    toy j = toy_begin(1, NULL);
    char path[900];
    deco_particles *p = NULL;
    static const char content[] =
        OLD_HEAD "2@J7/stacks/s0.mrc 12000 11000 30 300 2.7 0.1 50000 7\n1@J7/stacks/s1.mrc 12000 11000 30 300 2.7 0.1 50000 7\n";

    (void)state;
    deco_table_free(j.t);
    snprintf(path, sizeof path, "%s/old.star", j.project);
    toy_ok(deco_file_put(path, content, strlen(content)));
    toy_ok(deco_particles_open(&p, path, NULL, 0, NULL));
    assert_int_equal(p->D, TOY_D);
    assert_int_equal(deco_cell_u64(deco_table_find(p->rows, "blob/shape"), 1, 1), TOY_D);
    deco_particles_free(p);
    unlink(toy_stack_path(&j, 1));
    toy_refuses(path, 0, DECO_E_FILE, "row 1: stack J7/stacks/s1.mrc is not found; tried", "--datadir");
}

/* Dark discs in light surroundings, and the other way round, in noise of their size. */
static float disc_sign;
static void add_disc(int image, float *pixels)
{
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++)
            pixels[y * 16 + x] += hypotf((float)x - 8, (float)y - 8) < 4 ? disc_sign * (1 + 0.1f * (float)(image % 3)) : 0;
}

static void contrast_is_seen(void **state)
{
    static const char content[] =
        "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnSphericalAberration\n_rlnImagePixelSize\n_rlnImageSize\n"
        "1 300 2.7 1.4 16\ndata_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n"
        "1@J7/stacks/s0.mrc 1 1e4 1e4 0\n2@J7/stacks/s0.mrc 1 1e4 1e4 0\n3@J7/stacks/s0.mrc 1 1e4 1e4 0\n4@J7/stacks/s0.mrc 1 "
        "1e4 1e4 0\n5@J7/stacks/s0.mrc 1 1e4 1e4 0\n";

    (void)state;
    for (int k = -1; k <= 1; k += 2) {
        toy j = toy_begin(1, NULL);
        char path[900];
        deco_particles *p = NULL;
        deco_table_free(j.t);
        disc_sign = (float)k;
        toy_write_stack(&j, 0, 16, TOY_IMAGES, add_disc);
        snprintf(path, sizeof path, "%s/a.star", j.project);
        toy_ok(deco_file_put(path, content, strlen(content)));
        toy_ok(deco_particles_open(&p, path, NULL, DECO_NEED_STACKS, NULL));
        assert_string_equal(p->sign_from, "seen");
        assert_true(p->sign[0] == (float)-k);
        deco_particles_free(p);
    }
}

/* Widths multiply rows: one long value must not make a small file large. */
static void one_long_value(void **state)
{
    size_t rows = 20000, long_one = 200000;
    char *content = malloc(strlen(OLD_HEAD) + 100 + rows * 64 + long_one), *to = content;
    deco_table *t = NULL;

    (void)state;
    to += sprintf(to, "%s_rlnNote\n", OLD_HEAD);
    for (size_t i = 0; i < rows; i++) {
        to += sprintf(to, "%zu@a 1e4 1e4 0 300 2.7 0.1 50000 7 ", i + 1);
        memset(to, 'x', i == 7 ? long_one : 1);
        to += i == 7 ? long_one : 1;
        *to++ = '\n';
    }
    *to = 0;
    toy_ok(particles_star_read(&t, star_file("long.star", content), NULL));
    assert_int_equal(t->rows, rows);
    assert_null(deco_table_find(t, "star/rlnNote"));
    deco_table_free(t);
    free(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relion_3_1),
        cmocka_unit_test(poses_of_the_references_converter),
        cmocka_unit_test(older_than_3_1),
        cmocka_unit_test(angles_of_2D_classes_are_no_views),
        cmocka_unit_test(what_cannot_be_used),
        cmocka_unit_test(opens_as_a_set),
        cmocka_unit_test(rows_of_one_image_have_uids_of_their_own),
        cmocka_unit_test(box_of_the_stack),
        cmocka_unit_test(contrast_is_seen),
        cmocka_unit_test(one_long_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
