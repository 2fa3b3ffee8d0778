/* Every way in which a particle set can be broken gives one message that names file and row, and leaves nothing behind. */
#include "toy_job.h"

/* Writes the set with one cell changed and expects the message to name the file, the row and the value. */
static void refuses_cell(const char *column, int64_t cell, double value, const char *words)
{
    char row[32];
    toy j = toy_begin(6, NULL);

    toy_set(&j, column, 4, cell, value);
    toy_write(&j);
    snprintf(row, sizeof row, "row %d", 4);
    toy_refuses(j.job, TOY_ALL, DECO_E_FORMAT, row, words);
    assert_non_null(strstr(deco_error(), "extracted_particles.cs"));
}

static void missing_directory(void **state)
{
    (void)state;
    toy_refuses(scratch("nowhere"), 0, DECO_E_FILE, "nowhere", "No such file");
}

static void unreadable_directory(void **state)
{
    toy j = toy_begin(2, NULL);

    (void)state;
    toy_write(&j);
    chmod(j.job, 0);
    if (geteuid() == 0) /* root reads everything */
        chmod(j.job, 0755);
    else
        toy_refuses(j.job, 0, DECO_E_FILE, j.job, "ermission");
    chmod(j.job, 0755);
}

static void directory_without_particles(void **state)
{
    toy j = toy_begin(2, NULL);

    (void)state;
    deco_table_free(j.t);
    toy_refuses(j.job, 0, DECO_E_FILE, "no particle .cs file", NULL);
    toy_refuses(j.project, 0, DECO_E_FILE, "looks like a project", "/J7");
    toy_refuses("/dev/null", 0, DECO_E_FILE, "/dev/null", NULL);
}

static void file_of_another_kind(void **state)
{
    toy j = toy_begin(2, NULL);
    char path[800];

    (void)state;
    deco_table_free(j.t);
    toy_put(&j, "particles.star", "data_\n");
    snprintf(path, sizeof path, "%s/particles.star", j.job);
    toy_refuses(path, 0, DECO_E_FORMAT, "particles.star", "no _rlnImageName");
    toy_put(&j, "particles.pkl", "no");
    snprintf(path, sizeof path, "%s/particles.pkl", j.job);
    toy_refuses(path, 0, DECO_E_FORMAT, "particles.pkl", "not from .pkl files");
}

static void truncated_cs(void **state)
{
    toy j = toy_begin(6, NULL);
    struct stat s;

    (void)state;
    toy_write(&j);
    stat(j.cs, &s);
    assert_int_equal(truncate(j.cs, s.st_size - 10), 0);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "extracted_particles.cs", NULL);
    assert_int_equal(truncate(j.cs, 20), 0);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "extracted_particles.cs", NULL);
    assert_int_equal(truncate(j.cs, 0), 0);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "extracted_particles.cs", NULL);
}

/* An NPY file, version 1, with that header and a few bytes of data. */
static void put_npy(const toy *j, const char *header)
{
    char bytes[1200] = "\x93NUMPY\x01";
    size_t n = strlen(header);

    bytes[8] = (char)(n & 255);
    bytes[9] = (char)(n >> 8);
    memcpy(bytes + 10, header, n);
    toy_ok(deco_file_put(j->cs, bytes, n + 10 + 64));
}

static void lying_headers(void **state)
{
    static const char *const headers[] = {
        "{'descr': [('uid', '<u8'), ('blob/path', '|O')], 'fortran_order': False, 'shape': (4,), }\n",
        "{'descr': [('uid', '<u8')], 'fortran_order': False, 'shape': (-4,), }\n",
        "{'descr': [('uid', '<u8')], 'fortran_order': False, 'shape': (4611686018427387904,), }\n",
        "{'descr': [('uid', '<u8', (4294967296, 4294967296))], 'fortran_order': False, 'shape': (4,), }\n",
        "{'descr': [('uid', '<u8')], 'fortran_order': False, 'shape': (9,), }\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n",
        "nothing of the kind\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        toy j = toy_begin(1, NULL);
        deco_table_free(j.t);
        put_npy(&j, headers[i]);
        toy_refuses(j.job, 0, DECO_E_FORMAT, "extracted_particles.cs", NULL);
    }
}

static void duplicate_uid(void **state)
{
    toy j = toy_begin(6, NULL);
    deco_column *uid = (deco_column *)deco_table_find(j.t, "uid");

    (void)state;
    deco_cell_set_u64(uid, 5, 0, deco_cell_u64(uid, 2, 0));
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "stands twice, in row 2 and in row 5", "9223372036854791646");
}

static void zero_rows(void **state)
{
    toy j = toy_begin(0, NULL);

    (void)state;
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "0 rows", "extracted_particles.cs");
}

static void missing_columns(void **state)
{
    static const char *const columns[] = {"uid",          "blob/path",    "blob/idx",         "blob/shape",
                                          "blob/psize_A", "ctf/accel_kv", "ctf/cs_mm",        "ctf/amp_contrast",
                                          "ctf/df1_A",    "ctf/df2_A",    "ctf/df_angle_rad", "ctf/phase_shift_rad"};

    (void)state;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        toy j = toy_begin(3, columns[i]);
        toy_write(&j);
        toy_refuses(j.job, 0, DECO_E_FORMAT, columns[i], "extracted_particles.cs");
    }
}

static void missing_ctf_says_what_to_do(void **state)
{
    toy j = toy_begin(3, "ctf/");

    (void)state;
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "ctf/accel_kv, ctf/cs_mm", "Patch CTF");
}

static void column_of_another_type(void **state)
{
    toy j = toy_begin(3, "ctf/df1_A");

    (void)state;
    toy_ok(deco_table_add(j.t, NULL, "ctf/df1_A", 'S', 8, 0, NULL));
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "ctf/df1_A", "text");
}

static void passthrough_lacking_rows(void **state)
{
    toy j = toy_begin(6, "ctf/,alignments3D/");

    (void)state;
    toy_write(&j);
    toy_table(&j, 4, "blob/");
    toy_write_as(&j, "J7_passthrough_particles.cs");
    toy_refuses(j.job, 0, DECO_E_FORMAT, "J7_passthrough_particles.cs", "2 of the 6 rows");
}

static void missing_stack_names_all_places(void **state)
{
    toy j = toy_begin(7, NULL);
    deco_particles *p = NULL;
    char place[1600];

    (void)state;
    toy_write(&j);
    unlink(toy_stack_path(&j, 1));
    assert_int_equal(deco_particles_open(&p, j.job, "/else/where", TOY_ALL, NULL), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "row 1: stack J7/stacks/s1.mrc is not found; tried /else/where/J7/stacks/s1.mrc, "));
    snprintf(place, sizeof place, "%s/J7/stacks/s1.mrc", j.project);
    assert_non_null(strstr(deco_error(), place));
    snprintf(place, sizeof place, "%s/J7/stacks/s1.mrc", j.job); /* beside the .cs file */
    assert_non_null(strstr(deco_error(), place));
    assert_non_null(strstr(deco_error(), "1 of 3 stacks, with 2 of 7 images, are missing"));
    toy_ok(deco_particles_open(&p, j.job, NULL, 0, NULL)); /* who needs no stacks does not look for them */
    deco_particles_free(p);
}

static void truncated_stack(void **state)
{
    toy j = toy_begin(6, NULL);
    struct stat s;

    (void)state;
    toy_write(&j);
    stat(toy_stack_path(&j, 2), &s);
    assert_int_equal(truncate(toy_stack_path(&j, 2), s.st_size - 1), 0);
    toy_refuses(j.job, TOY_ALL, DECO_E_FORMAT, "s2.mrc", "truncated");
    assert_int_equal(truncate(toy_stack_path(&j, 2), 100), 0);
    toy_refuses(j.job, TOY_ALL, DECO_E_FORMAT, "s2.mrc", "1024");
}

static void stack_of_another_box(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write(&j);
    toy_write_stack(&j, 2, 10, TOY_IMAGES, NULL);
    toy_refuses(j.job, TOY_ALL, DECO_E_FORMAT, "s2.mrc: its images have 10×10", "8×8");
}

static void index_out_of_range(void **state)
{
    (void)state;
    refuses_cell("blob/idx", 0, TOY_IMAGES, "holds 5 images");
    refuses_cell("blob/idx", 0, 4294967295.0, "blob/idx is 4294967295");
}

static void negative_index(void **state)
{
    toy j = toy_begin(6, "blob/idx");

    (void)state;
    toy_ok(deco_table_add(j.t, NULL, "blob/idx", 'i', 4, 0, NULL));
    toy_set(&j, "blob/idx", 3, 0, -1);
    toy_write(&j);
    toy_refuses(j.job, TOY_ALL, DECO_E_FORMAT, "row 3: blob/idx is -1", NULL);
}

static void boxes(void **state)
{
    toy j = toy_begin(2, NULL);

    (void)state;
    for (int k = 0; k < 4; k++)
        toy_set(&j, "blob/shape", k / 2, k % 2, 9);
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "odd box", "Downsample");
    refuses_cell("blob/shape", 0, 10, "10×8");
    refuses_cell("blob/shape", 1, 0, "8×0");
    refuses_cell("blob/shape", 1, 4294967295.0, "4294967295");
}

static void one_box_for_all(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_set(&j, "blob/shape", 4, 0, 16);
    toy_set(&j, "blob/shape", 4, 1, 16);
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "row 4: the box is 16", "row 0 is 8");
}

static void pixel_sizes(void **state)
{
    (void)state;
    refuses_cell("blob/psize_A", 0, 0, "blob/psize_A is 0");
    refuses_cell("blob/psize_A", 0, -3, "blob/psize_A is -3");
    refuses_cell("blob/psize_A", 0, NAN, "nan");
    refuses_cell("blob/psize_A", 0, INFINITY, "inf");
    refuses_cell("blob/psize_A", 0, 3 * 1.002, "3.006");
}

static void pixel_sizes_that_differ_in_the_last_digits(void **state)
{
    toy j = toy_begin(6, NULL);
    deco_particles *p = NULL;

    (void)state;
    toy_set(&j, "blob/psize_A", 4, 0, 3 * 1.0005);
    toy_write(&j);
    toy_ok(deco_particles_open(&p, j.job, NULL, TOY_ALL, NULL));
    assert_true(p->psize_A == 3);
    assert_true(p->ctf[4].psize_A == (float)(3 * 1.0005)); /* each row's own */
    assert_true(p->ctf[3].psize_A == 3);
    deco_particles_free(p);
}

static void ctf_values_out_of_range(void **state)
{
    (void)state;
    refuses_cell("ctf/accel_kv", 0, 0, "ctf/accel_kv is 0");
    refuses_cell("ctf/accel_kv", 0, 300000, "kV");
    refuses_cell("ctf/cs_mm", 0, 2.7e7, "ctf/cs_mm");
    refuses_cell("ctf/amp_contrast", 0, 1.5, "ctf/amp_contrast is 1.5");
    refuses_cell("ctf/amp_contrast", 0, -0.1, "ctf/amp_contrast is -0.1");
    refuses_cell("ctf/df1_A", 0, NAN, "ctf/df1_A is nan");
    refuses_cell("ctf/df2_A", 0, INFINITY, "ctf/df2_A is inf");
    refuses_cell("ctf/df_angle_rad", 0, NAN, "ctf/df_angle_rad");
    refuses_cell("ctf/phase_shift_rad", 0, NAN, "ctf/phase_shift_rad");
}

static void signs(void **state)
{
    (void)state;
    refuses_cell("blob/sign", 0, 0, "blob/sign is 0");
    refuses_cell("blob/sign", 0, NAN, "blob/sign is nan");
}

static void empty_path(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_set_text(&j, "blob/path", 3, ">");
    toy_write(&j);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "row 3: blob/path is empty", NULL);
}

static void poses_asked_for_and_absent(void **state)
{
    toy j = toy_begin(3, "alignments3D/pose");
    deco_particles *p = NULL;

    (void)state;
    toy_write(&j);
    toy_refuses(j.job, DECO_NEED_POSES, DECO_E_FORMAT, "no alignments3D/pose", "alignments3D/shift");
    toy_ok(deco_particles_open(&p, j.job, NULL, 0, NULL));
    assert_null(p->R);
    assert_null(p->poses);
    deco_particles_free(p);

    j = toy_begin(3, "alignments3D/shift");
    toy_write(&j);
    toy_refuses(j.job, DECO_NEED_SHIFTS, DECO_E_FORMAT, "no alignments3D/shift", "alignments3D/pose");
    toy_ok(deco_particles_open(&p, j.job, NULL, DECO_NEED_POSES, NULL));
    assert_non_null(p->R);
    assert_null(p->shift);
    deco_particles_free(p);
}

static void poses_that_are_no_numbers(void **state)
{
    toy j = toy_begin(6, NULL);
    deco_particles *p = NULL;

    (void)state;
    refuses_cell("alignments3D/pose", 1, NAN, "alignments3D/pose");
    refuses_cell("alignments3D/shift", 0, INFINITY, "alignments3D/shift");
    refuses_cell("alignments3D/psize_A", 0, 0, "alignments3D/psize_A is 0");
    toy_set(&j, "alignments3D/pose", 2, 0, NAN);
    toy_write(&j);
    toy_ok(deco_particles_open(&p, j.job, NULL, 0, NULL)); /* poses that nobody asked for do not stop anything */
    assert_null(p->R);
    assert_null(p->shift);
    assert_null(p->poses);
    deco_particles_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_directory),
        cmocka_unit_test(unreadable_directory),
        cmocka_unit_test(directory_without_particles),
        cmocka_unit_test(file_of_another_kind),
        cmocka_unit_test(truncated_cs),
        cmocka_unit_test(lying_headers),
        cmocka_unit_test(duplicate_uid),
        cmocka_unit_test(zero_rows),
        cmocka_unit_test(missing_columns),
        cmocka_unit_test(missing_ctf_says_what_to_do),
        cmocka_unit_test(column_of_another_type),
        cmocka_unit_test(passthrough_lacking_rows),
        cmocka_unit_test(missing_stack_names_all_places),
        cmocka_unit_test(truncated_stack),
        cmocka_unit_test(stack_of_another_box),
        cmocka_unit_test(index_out_of_range),
        cmocka_unit_test(negative_index),
        cmocka_unit_test(boxes),
        cmocka_unit_test(one_box_for_all),
        cmocka_unit_test(pixel_sizes),
        cmocka_unit_test(pixel_sizes_that_differ_in_the_last_digits),
        cmocka_unit_test(ctf_values_out_of_range),
        cmocka_unit_test(signs),
        cmocka_unit_test(empty_path),
        cmocka_unit_test(poses_asked_for_and_absent),
        cmocka_unit_test(poses_that_are_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
