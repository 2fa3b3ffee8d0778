/* A set that opens holds what its files say: poses and shifts as the truth beside them, images by path and index, places of stacks. */
#include "toy_job.h"

static deco_particles *opened(const char *path, const char *datadir)
{
    deco_particles *p = NULL;
    toy_ok(deco_particles_open(&p, path, datadir, TOY_ALL, NULL));
    return p;
}

static void tiny_is_as_its_readme_says(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"), NULL);

    (void)state;
    assert_int_equal(p->N, 1000);
    assert_int_equal(p->D, 32);
    assert_int_equal(p->stacks, 6);
    assert_true(p->psize_A == 4.5);
    assert_string_equal(p->version, "v4.7.1");
    assert_string_equal(p->poses, "alignments3D");
    assert_string_equal(p->project, data_path("tiny/project"));
    for (int64_t i = 0; i < p->N; i++) {
        assert_true(p->sign[i] == 1); /* -blob/sign */
        assert_true(p->ctf[i].psize_A == 4.5f);
        assert_true(fabs(p->ctf[i].lambda_A - 0.019687) < 1e-7); /* 300 kV, by METHOD's formula */
        assert_true(p->ctf[i].cs_A == 2.7e7f);
        assert_true(p->ctf[i].bfactor_A2 == 0);
        assert_non_null(p->stack[p->image[i].stack]);
    }
    deco_particles_free(p);
}

/* The truth was computed in double and stored as float32, as the poses were: R differs by their rounding, about 2 radians times
 * 2^-24 an element, and shifts of up to 4 px by that of two quotients. */
static void poses_are_the_truth(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"), NULL);
    deco_table *truth = NULL;
    deco_index *index = NULL;
    double worst_R = 0, worst_shift = 0;

    (void)state;
    toy_ok(deco_cs_read(&truth, data_path("tiny/truth/particles.npy")));
    toy_ok(deco_index_create(&index, truth, "uid"));
    const deco_column *R = deco_table_find(truth, "R"), *shift = deco_table_find(truth, "shift_px");
    for (int64_t i = 0; i < p->N; i++) {
        int64_t row = deco_index_row(index, deco_particles_uid(p, i));
        assert_true(row >= 0);
        for (int k = 0; k < 9; k++)
            worst_R = fmax(worst_R, fabs((double)p->R[9 * i + k] - deco_cell_real(R, row, k)));
        for (int k = 0; k < 2; k++)
            worst_shift = fmax(worst_shift, fabs((double)p->shift[2 * i + k] - deco_cell_real(shift, row, k)));
    }
    if (worst_R > 5e-7 || worst_shift > 1e-6)
        fail_msg("R is off by up to %g, shifts by up to %g px", worst_R, worst_shift);
    deco_index_free(index);
    deco_table_free(truth);
    deco_particles_free(p);
}

static void every_column_is_kept(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"), NULL);
    deco_table *own = NULL, *passed = NULL;

    (void)state;
    toy_ok(deco_cs_read(&own, data_path("tiny/project/J12/downsampled_particles.cs")));
    toy_ok(deco_cs_read(&passed, data_path("tiny/project/J12/J12_passthrough_particles.cs")));
    assert_int_equal(p->rows->columns, own->columns + passed->columns - 1); /* uid stands in both */
    for (int64_t i = 0; i < p->N; i++)
        assert_true(deco_particles_uid(p, i) == deco_cell_u64(deco_table_find(own, "uid"), i, 0));
    deco_table_free(own);
    deco_table_free(passed);
    deco_particles_free(p);
}

/* Each row's stack and image, in whatever order rows come, and each stack once. */
static void rows_point_into_their_stacks(void **state)
{
    toy j = toy_begin(9, NULL);
    char name[64];

    (void)state;
    for (int i = 0; i < 9; i++)
        if (i % 2) { /* the same files, written the other way */
            snprintf(name, sizeof name, ">J7/stacks/s%d.mrc", i % TOY_STACKS);
            toy_set_text(&j, "blob/path", i, name);
        }
    toy_write(&j);
    deco_particles *p = opened(j.job, NULL);
    assert_int_equal(p->stacks, TOY_STACKS);
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "s%d.mrc", i % TOY_STACKS);
        assert_string_equal(deco_path_name(p->stack[p->image[i].stack]), name);
        assert_int_equal(p->image[i].index, i * 2 % TOY_IMAGES);
    }
    deco_particles_free(p);
}

/* datadir, then the project, then beside the .cs file; an absolute path as it is, then under datadir. */
static void order_of_places(void **state)
{
    toy j = toy_begin(3, NULL);
    char data[700], place[3][900], path[1000];
    deco_particles *p;

    (void)state;
    snprintf(data, sizeof data, "%s/data", j.project);
    for (int i = 0; i < 3; i++) {
        toy_set_text(&j, "blob/path", i, "some/x.mrc");
        toy_set(&j, "blob/idx", i, 0, 0);
    }
    toy_write(&j);
    const char *roots[] = {j.job, j.project, data}; /* last to first */
    for (int k = 0; k < 3; k++) {
        snprintf(path, sizeof path, "%s/some", roots[k]);
        toy_ok(deco_directory_make(path));
        snprintf(place[k], sizeof place[k], "%s/some/x.mrc", roots[k]);
        assert_int_equal(link(toy_stack_path(&j, 0), place[k]), 0);
        p = opened(j.job, data);
        assert_string_equal(p->stack[0], place[k]);
        deco_particles_free(p);
    }
}

static void absolute_paths(void **state)
{
    toy j = toy_begin(1, NULL);
    char data[700], inside[1700], folder[1700], first[800];
    deco_particles *p;

    (void)state;
    snprintf(data, sizeof data, "%s/data", j.project);
    snprintf(first, sizeof first, "%s", toy_stack_path(&j, 0));
    toy_ok(deco_table_add(j.t, NULL, "blob/path", 'S', 800, 0, NULL));
    toy_set_text(&j, "blob/path", 0, first);
    toy_write(&j);
    snprintf(inside, sizeof inside, "%s%s", data, first);
    snprintf(folder, sizeof folder, "%.*s", (int)(deco_path_name(inside) - inside), inside);
    toy_ok(deco_directory_make(folder));
    assert_int_equal(link(first, inside), 0);
    p = opened(j.job, data);
    assert_string_equal(p->stack[0], first);
    deco_particles_free(p);
    unlink(first);
    p = opened(j.job, data);
    assert_string_equal(p->stack[0], inside);
    deco_particles_free(p);
    toy_refuses(j.job, TOY_ALL, DECO_E_FILE, first, "not found");
}

/* A path is only a path: dots lead where they lead, and a text ends at its first zero byte. */
static void odd_paths(void **state)
{
    toy j = toy_begin(2, NULL);

    (void)state;
    toy_set_text(&j, "blob/path", 0, "J7/../J7/./stacks//s0.mrc");
    unsigned char *cell = deco_table_find(j.t, "blob/path")->data + deco_table_find(j.t, "blob/path")->stride;
    memcpy(cell + strlen((char *)cell) + 1, "rest", 4);
    toy_write(&j);
    deco_particles *p = opened(j.job, NULL);
    assert_string_equal(p->stack_name[0], "J7/../J7/./stacks//s0.mrc");
    assert_string_equal(p->stack_name[1], "J7/stacks/s1.mrc");
    deco_particles_free(p);
}

static void contrast_of_each_row(void **state)
{
    toy j = toy_begin(4, NULL);
    deco_particles *p;

    (void)state;
    toy_set(&j, "blob/sign", 2, 0, 1);
    toy_write(&j);
    p = opened(j.job, NULL);
    for (int i = 0; i < 4; i++)
        assert_true(p->sign[i] == (i == 2 ? -1 : 1));
    deco_particles_free(p);

    j = toy_begin(4, "blob/sign");
    toy_write(&j);
    p = opened(j.job, NULL);
    for (int i = 0; i < 4; i++)
        assert_true(p->sign[i] == 1); /* taken as dark on light */
    deco_particles_free(p);
}

static void shifts_in_the_pixels_in_use(void **state)
{
    toy j = toy_begin(4, NULL);
    deco_particles *p;

    (void)state;
    toy_write(&j);
    p = opened(j.job, NULL);
    for (int i = 0; i < 4; i++)
        assert_true(p->shift[2 * i] == (float)i / 2 && p->shift[2 * i + 1] == (float)(i + 1) / 2); /* from 1.5 Å to 3 Å */
    deco_particles_free(p);

    j = toy_begin(4, "alignments3D/psize_A");
    toy_write(&j);
    p = opened(j.job, NULL);
    for (int i = 0; i < 4; i++)
        assert_true(p->shift[2 * i] == (float)i);
    deco_particles_free(p);
}

static void zero_rotation_is_the_identity(void **state)
{
    toy j = toy_begin(1, NULL);
    deco_particles *p;

    (void)state;
    for (int k = 0; k < 3; k++)
        toy_set(&j, "alignments3D/pose", 0, k, 0);
    toy_write(&j);
    p = opened(j.job, NULL);
    for (int k = 0; k < 9; k++)
        assert_true(p->R[k] == (k % 4 == 0 ? 1 : 0));
    deco_particles_free(p);
}

/* An ab initio job has no alignments3D. */
static void poses_of_an_ab_initio_job(void **state)
{
    toy j = toy_begin(3, "alignments3D/");
    int64_t three = 3, two = 2;
    deco_particles *p;

    (void)state;
    toy_ok(deco_table_add(j.t, NULL, "alignments_class_0/pose", 'f', 4, 1, &three));
    toy_ok(deco_table_add(j.t, NULL, "alignments_class_0/shift", 'f', 4, 1, &two));
    toy_set(&j, "alignments_class_0/shift", 1, 0, 2.5);
    toy_write(&j);
    p = opened(j.job, NULL);
    assert_string_equal(p->poses, "alignments_class_0");
    assert_true(p->shift[2] == 2.5f);
    deco_particles_free(p);
}

static char said[4096];
static void remember(void *user, deco_level level, const char *line)
{
    size_t n = strlen(said);
    (void)user, (void)level;
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

/* What the input leaves open, and what is not used of it, stands in the log. */
static void assumptions_are_logged(void **state)
{
    static const char *const words[] = {"has no blob/sign", "no alignments3D/psize_A",
                                        "ctf/bfactor is not 0 in 2 of 5 rows; it is not applied"};
    toy j = toy_begin(5, "blob/sign,alignments3D/psize_A");
    deco_monitor *m = NULL;
    deco_particles *p = NULL;

    (void)state;
    toy_ok(deco_table_add(j.t, NULL, "ctf/bfactor", 'f', 4, 0, NULL));
    toy_set(&j, "ctf/bfactor", 1, 0, 30);
    toy_set(&j, "ctf/bfactor", 4, 0, -30);
    toy_write(&j);
    toy_ok(deco_monitor_create(&m, remember, NULL));
    toy_ok(deco_particles_open(&p, j.job, NULL, TOY_ALL, m));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strstr(said, words[i]))
            fail_msg("\"%s\" is not in: %s", words[i], said);
    assert_true(p->ctf[1].bfactor_A2 == 0);
    deco_particles_free(p);
    deco_monitor_free(m);
}

static void digest_tells_inputs_apart(void **state)
{
    char first[17], again[17];

    (void)state;
    for (int change = 0; change < 5; change++) {
        toy j = toy_begin(5, NULL);
        if (change == 1)
            toy_set(&j, "blob/idx", 3, 0, 4);
        else if (change == 2)
            toy_set_text(&j, "blob/path", 3, "J7/stacks/s2.mrc");
        else if (change == 3)
            deco_cell_set_u64((deco_column *)deco_table_find(j.t, "uid"), 3, 0, 12345);
        else if (change == 4)
            for (int i = 0; i < 5; i++)
                toy_set(&j, "blob/psize_A", i, 0, 3.25);
        toy_write(&j);
        deco_particles *p = opened(j.job, NULL);
        deco_particles_digest(change ? again : first, p);
        if (change)
            assert_string_not_equal(first, again);
        assert_int_equal(strlen(first), 16);
        deco_particles_free(p);
    }
    toy j = toy_begin(5, NULL); /* another place, and poses: the same input */
    toy_set(&j, "alignments3D/pose", 0, 0, 1);
    toy_write(&j);
    deco_particles *p = opened(j.job, NULL);
    deco_particles_digest(again, p);
    assert_string_equal(first, again);
    deco_particles_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_is_as_its_readme_says),
        cmocka_unit_test(poses_are_the_truth),
        cmocka_unit_test(every_column_is_kept),
        cmocka_unit_test(rows_point_into_their_stacks),
        cmocka_unit_test(order_of_places),
        cmocka_unit_test(absolute_paths),
        cmocka_unit_test(odd_paths),
        cmocka_unit_test(contrast_of_each_row),
        cmocka_unit_test(shifts_in_the_pixels_in_use),
        cmocka_unit_test(zero_rotation_is_the_identity),
        cmocka_unit_test(poses_of_an_ab_initio_job),
        cmocka_unit_test(assumptions_are_logged),
        cmocka_unit_test(digest_tells_inputs_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
