/* STAR: what RELION and mmCIF files hold, what is refused, and that our files read back as they were meant. */
#include "formats/star.h"
#include "support/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_star *star_of(const char *text)
{
    deco_star *s;
    if (deco_star_read(&s, scratch_put("x.star", text, strlen(text))))
        fail_msg("%s", deco_error());
    return s;
}

static const char *cell(const deco_star *s, const char *name, int64_t row)
{
    int64_t column;
    const deco_star_loop *l = deco_star_find(s, name, &column);
    assert_non_null(l);
    assert_true(row < l->rows);
    return l->cell[row * l->columns + column];
}

static void loops_quotes_comments_and_crlf_are_read(void **state)
{
    int64_t column;
    (void)state;
    deco_star *s = star_of("# before\r\n\r\ndata_optics # a comment\r\n\r\nloop_ \r\n_rlnOpticsGroup #1\r\n_rlnOpticsGroupName\r\n1 'og "
                           "one'\r\n\r\n2 \"it's\" # tail\r\n"
                           "3 it's\r\n\r\ndata_particles\r\nloop_\r\n_a\r\n_b\r\n");
    assert_int_equal(s->loops, 2);
    assert_string_equal(s->loop[0].block, "optics");
    assert_int_equal(s->loop[0].rows, 3);
    assert_string_equal(cell(s, "rlnOpticsGroupName", 0), "og one");
    assert_string_equal(cell(s, "rlnOpticsGroupName", 1), "it's");
    assert_string_equal(cell(s, "rlnOpticsGroupName", 2), "it's");
    assert_int_equal(s->loop[1].rows, 0);
    assert_non_null(deco_star_find(s, "b", &column));
    assert_int_equal(column, 1);
    assert_null(deco_star_find(s, "rlnopticsgroup", &column));
    deco_star_free(s);
}

static void mmcif_items_text_and_rows_over_lines_are_read(void **state)
{
    (void)state;
    deco_star *s = star_of("data_1ABC\n_entry.id 1ABC\n_struct.title\n;Two\nlines\n;\n_x.y 'a ''b' "
                           "#c\n#\nloop_\n_atom_site.id\n_atom_site.label\n1\n\"O5'\"\n2 C\n#\n_z.z ?\n");
    assert_int_equal(s->loops, 3);
    assert_string_equal(s->loop[0].block, "1ABC");
    assert_string_equal(cell(s, "struct.title", 0), "Two\nlines");
    assert_string_equal(cell(s, "x.y", 0), "a ''b");
    assert_int_equal(s->loop[1].rows, 2);
    assert_string_equal(cell(s, "atom_site.label", 0), "O5'");
    assert_string_equal(cell(s, "atom_site.label", 1), "C");
    assert_string_equal(cell(s, "z.z", 0), "?");
    deco_star_free(s);
}

static void path_that_looks_like_a_block_stays_a_value(void **state)
{
    (void)state;
    deco_star *s = star_of("data_\nloop_\n_mic\n_n\ndata_set/m.mrc 1\nx data_set/n.mrc\ny _odd\n");
    assert_int_equal(s->loops, 1);
    assert_string_equal(cell(s, "mic", 0), "data_set/m.mrc");
    assert_string_equal(cell(s, "n", 1), "data_set/n.mrc");
    assert_string_equal(cell(s, "n", 2), "_odd");
    deco_star_free(s);
}

static void expect_refused(const char *text, size_t size, const char *words)
{
    deco_star *s;
    assert_int_equal(deco_star_read(&s, scratch_put("bad.star", text, size ? size : strlen(text))), DECO_E_FORMAT);
    assert_null(s);
    if (!strstr(deco_error(), words) || !strstr(deco_error(), "bad.star"))
        fail_msg("for '%s': %s", text, deco_error());
}

static void broken_files_are_refused_with_their_line(void **state)
{
    (void)state;
    expect_refused("", 0, "no data_ block");
    expect_refused("hello\n", 0, "line 1: 'hello' stands where");
    expect_refused("loop_\n_a\n", 0, "line 1: loop_ stands before any data_ block");
    expect_refused("\n_a 1\n", 0, "line 2: '_a' stands before any data_ block");
    expect_refused("data_\nloop_\n1 2\n", 0, "line 3: '1' stands where");
    expect_refused("data_\nloop_\ndata_x\n", 0, "line 2: a loop_ without column names");
    expect_refused("data_\n\nloop_\n_a\n_b\n1 2\n3\n", 0, "begins in line 3 has 3 values, not a multiple of its 2 columns (row 2");
    expect_refused("data_\n_a\n_b 2\n", 0, "'_a' has no value");
    expect_refused("data_\n_a\n", 0, "'_a' has no value");
    expect_refused("data_\n_a 1 2\n", 0, "line 2: '2' stands where");
    expect_refused("data_\n_a 'open\n_b 1\n", 0, "line 2: a quoted value is not closed");
    expect_refused("data_\n_a\n;open\n", 0, "line 3: the text that begins here");
    expect_refused("data_\n\0 1\n", 10, "byte 6 is zero");
}

static void matrix_of(double R[9], double rot, double tilt, double psi)
{
    double d = acos(-1) / 180, a = cos(rot * d), b = sin(rot * d), c = cos(tilt * d), s = sin(tilt * d), e = cos(psi * d), f = sin(psi * d);
    const double m[9] = {e * c * a - f * b, e * c * b + f * a, -e * s, -f * c * a - e * b, -f * c * b + e * a, f * s, s * a, s * b, c};
    memcpy(R, m, sizeof m);
}

static void angles_give_their_matrix_back_also_at_the_poles(void **state)
{
    static const double tilts[] = {0, 1e-9, 1e-5, 0.3, 90, 179.99999, 180};
    double worst = 0;
    (void)state;
    for (size_t t = 0; t < sizeof tilts / sizeof *tilts; t++)
        for (int rot = -180; rot <= 180; rot += 45)
            for (int psi = -170; psi <= 180; psi += 35) {
                double R[9], back[9], angle[3];
                matrix_of(R, rot, tilts[t], psi);
                deco_star_angles(angle, R);
                matrix_of(back, angle[0], angle[1], angle[2]);
                for (int i = 0; i < 9; i++)
                    worst = fmax(worst, fabs(R[i] - back[i]));
            }
    /* a tilt below 1e-6 rad counts as the pole */
    assert_true(worst < 1e-6);
}

static const char *micrographs[] = {"m 1.mrc", "it's.mrc", "data_7", ""};

static deco_status row_of(void *context, int64_t i, deco_star_particle *p)
{
    (void)context;
    if (i == 4)
        return deco_fail(DECO_E_FORMAT, "row 4 is broken");
    *p = (deco_star_particle){.image_path = i == 2 ? "J1/extract/a b.mrcs" : "J1/a.mrcs",
                              .image_index = i,
                              .micrograph = micrographs[i],
                              .optics_group = i % 2,
                              .defocus_u_A = 12345.678901,
                              .defocus_v_A = 1000 + (double)i,
                              .astig_deg = -30,
                              .coordinate_x = 17,
                              .R = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                              .origin_x_A = -1.5,
                              .class_number = 3,
                              .half_set = 1};
    return DECO_OK;
}

static void written_file_reads_back_with_one_based_numbers(void **state)
{
    const deco_star_optics optics[2] = {{300, 2.7, 0.1, 1.25, 64}, {200, 0.01, 0.07, 1.25, 64}};
    const int all = DECO_STAR_MICROGRAPH | DECO_STAR_COORDINATES | DECO_STAR_POSES | DECO_STAR_CLASS | DECO_STAR_HALF;
    int64_t column;
    deco_star *s;
    (void)state;
    assert_int_equal(deco_star_write(scratch("w.star"), optics, 2, 4, all, row_of, NULL), DECO_OK);
    assert_int_equal(deco_star_read(&s, scratch("w.star")), DECO_OK);
    assert_int_equal(s->loops, 2);
    assert_string_equal(s->loop[0].block, "optics");
    assert_string_equal(s->loop[1].block, "particles");
    assert_int_equal(s->loop[1].rows, 4);
    assert_string_equal(cell(s, "rlnVoltage", 1), "200.000000");
    assert_string_equal(cell(s, "rlnImageName", 0), "000001@J1/a.mrcs");
    assert_string_equal(cell(s, "rlnImageName", 2), "000003@J1/extract/a b.mrcs");
    for (int i = 0; i < 4; i++)
        assert_string_equal(cell(s, "rlnMicrographName", i), micrographs[i]);
    assert_ptr_equal(deco_star_find(s, "rlnDefocusU", &column), &s->loop[1]);
    assert_string_equal(s->loop[1].cell[column], "12345.678901");
    assert_string_equal(cell(s, "rlnOriginXAngst", 0), "-1.500000");
    assert_string_equal(cell(s, "rlnClassNumber", 0), "4");
    assert_string_equal(cell(s, "rlnRandomSubset", 0), "2");
    deco_star_free(s);

    assert_int_equal(deco_star_write(scratch("w.star"), optics, 2, 3, 0, row_of, NULL), DECO_OK);
    assert_int_equal(deco_star_read(&s, scratch("w.star")), DECO_OK);
    assert_int_equal(s->loop[1].columns, 6);
    assert_null(deco_star_find(s, "rlnAngleRot", &column));
    deco_star_free(s);
}

static void failing_row_leaves_no_file(void **state)
{
    const deco_star_optics optics = {300, 2.7, 0.1, 1.25, 64};
    (void)state;
    assert_int_equal(deco_star_write(scratch("f.star"), &optics, 1, 5, DECO_STAR_MICROGRAPH, row_of, NULL), DECO_E_FORMAT);
    assert_string_equal(deco_error(), "row 4 is broken");
    assert_int_not_equal(access(scratch("f.star"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_quotes_comments_and_crlf_are_read),
        cmocka_unit_test(mmcif_items_text_and_rows_over_lines_are_read),
        cmocka_unit_test(path_that_looks_like_a_block_stays_a_value),
        cmocka_unit_test(broken_files_are_refused_with_their_line),
        cmocka_unit_test(angles_give_their_matrix_back_also_at_the_poles),
        cmocka_unit_test(written_file_reads_back_with_one_based_numbers),
        cmocka_unit_test(failing_row_leaves_no_file),
    };
    return cmocka_run_group_tests_name("star", tests, NULL, NULL);
}
