/* What can be named as input: outputs of a job by name, result groups, several inputs at once; and which rows of them are used. */
#include "toy_job.h"

static deco_particles *opened(const deco_input *in, deco_monitor *m)
{
    deco_particles *p = NULL;
    toy_ok(deco_particles_open_input(&p, in, TOY_ALL, m));
    return p;
}

static void refused(const deco_input *in, deco_status st, const char *a, const char *b)
{
    deco_particles *p = (deco_particles *)1;

    assert_int_equal(deco_particles_open_input(&p, in, TOY_ALL, NULL), st);
    assert_null(p);
    if (!strstr(deco_error(), a) || !strstr(deco_error(), b))
        fail_msg("the message lacks \"%s\" or \"%s\": %s", a, b, deco_error());
}

static char log_text[4000];
static void remember(void *user, deco_level level, const char *line)
{
    (void)user, (void)level;
    strncat(log_text, line, sizeof log_text - 2 - strlen(log_text));
    strcat(log_text, "\n");
}

/* A job whose uids begin at `first`. */
static toy job_of(int64_t rows, uint64_t first, const char *without)
{
    toy j = toy_begin(rows, without);
    for (int64_t i = 0; i < rows; i++)
        deco_cell_set_u64((deco_column *)deco_table_find(j.t, "uid"), i, 0, first + (uint64_t)i);
    return j;
}

/* Two jobs of two projects, in which J7/stacks/s0.mrc are two files. */
static void several_inputs_are_one_set(void **state)
{
    toy a = job_of(5, 100, NULL), b = job_of(4, 200, "alignments3D/psize_A");
    const char *paths[] = {a.job, b.job};
    deco_input in = {.path = paths, .paths = 2};
    deco_monitor *m = NULL;
    char digest[17], other[17];

    (void)state;
    toy_ok(deco_table_add(b.t, NULL, "extra/score", 'f', 4, 0, NULL));
    for (int64_t i = 0; i < 4; i++)
        toy_set(&b, "alignments3D/shift", i, 0, 40 + (double)i);
    toy_ok(deco_table_add(b.t, NULL, "ctf/df1_A", 'f', 8, 0, NULL)); /* wider in one of them */
    for (int64_t i = 0; i < 4; i++)
        toy_set(&b, "ctf/df1_A", i, 0, 20000 + (double)i / 8);
    toy_write(&a);
    toy_write(&b);
    toy_ok(deco_monitor_create(&m, remember, NULL));
    *log_text = 0;
    deco_particles *p = opened(&in, m);
    assert_int_equal(p->N, 9);
    assert_int_equal(p->sources, 2);
    assert_int_equal(p->from[1].first, 5);
    assert_int_equal(p->stacks, 6);
    for (int64_t i = 0; i < 9; i++) {
        const toy *j = i < 5 ? &a : &b;
        int64_t row = i < 5 ? i : i - 5;
        assert_true(deco_particles_uid(p, i) == (i < 5 ? 100 : 200) + (uint64_t)row);
        assert_int_equal(p->image[i].index, row * 2 % TOY_IMAGES);
        assert_string_equal(p->stack[p->image[i].stack], toy_stack_path(j, (int)(row % TOY_STACKS)));
        assert_int_equal(deco_particles_source_number(p, i), i >= 5);
        assert_true(p->ctf[i].defocus_u_A == (float)(i < 5 ? 15000 : 20000 + (double)row / 8));
    }
    /* what not both have is left out, and said; shifts of the first then count in the images' pixels */
    assert_null(deco_table_find(p->rows, "extra/score"));
    assert_non_null(strstr(log_text, "left out: alignments3D/psize_A, extra/score"));
    deco_particles_digest(digest, p);
    deco_particles_free(p);
    paths[0] = b.job, paths[1] = a.job;
    p = opened(&in, NULL);
    deco_particles_digest(other, p);
    assert_string_not_equal(digest, other);
    deco_particles_free(p);
    deco_monitor_free(m);
}

static void messages_name_the_input_and_its_row(void **state)
{
    toy a = job_of(5, 100, NULL), b = job_of(4, 200, NULL);
    const char *paths[] = {a.job, b.job};

    (void)state;
    toy_set(&b, "ctf/cs_mm", 2, 0, 1e6);
    toy_write(&a);
    toy_write(&b);
    refused(&(deco_input){.path = paths, .paths = 2}, DECO_E_FORMAT, b.cs, "row 2: ctf/cs_mm");
    paths[1] = a.cs;
    refused(&(deco_input){.path = paths, .paths = 2}, DECO_E_FORMAT, "are the same set", "name it once");
}

static void one_uid_in_two_inputs(void **state)
{
    toy a = job_of(5, 100, NULL), b = job_of(4, 200, NULL);
    const char *paths[] = {a.job, b.job};
    char row[800], other[800];

    (void)state;
    deco_cell_set_u64((deco_column *)deco_table_find(b.t, "uid"), 3, 0, 101);
    toy_write(&a);
    toy_write(&b);
    snprintf(row, sizeof row, "in row 1 of %s", a.cs);
    snprintf(other, sizeof other, "in row 3 of %s", b.cs);
    refused(&(deco_input){.path = paths, .paths = 2}, DECO_E_FORMAT, row, other);
    assert_non_null(strstr(deco_error(), "uid 101 stands twice"));
}

static const char two_outputs[] =
    "{\"uid\": \"J7\", \"version\": \"v4.6.0\", \"output_result_groups\": [{\"type\": \"particle\", \"name\": \"split_0\", \"num_items\": "
    "5},"
    "{\"type\": \"particle\", \"name\": \"split_1\", \"num_items\": 3}, {\"type\": \"particle\", \"name\": \"gone\", \"num_items\": 1}],"
    "\"output_results\": [{\"group_name\": \"split_0\", \"name\": \"blob\", \"metafiles\": [\"J7/split_0000.cs\"]},"
    "{\"group_name\": \"split_1\", \"name\": \"blob\", \"metafiles\": [\"J7/split_0001.cs\"]},"
    "{\"group_name\": \"gone\", \"name\": \"blob\", \"metafiles\": [\"J7/split_0002.cs\"]}]}";

static void outputs_by_name(void **state)
{
    toy j = job_of(5, 100, NULL);
    char one[700], two[700], other[700];
    const char *paths[] = {one, two};

    (void)state;
    toy_write_as(&j, "split_0000.cs");
    toy_table(&j, 3, NULL);
    toy_write_as(&j, "split_0001.cs");
    toy_put(&j, "job.json", two_outputs);
    toy_refuses(j.job, 0, DECO_E_FORMAT, "2 particle sets", "split_0000.cs (5 particles)");
    snprintf(one, sizeof one, "%s:split_1", j.job);
    snprintf(two, sizeof two, "%s/:split_0", j.job);
    deco_particles *p = opened(&(deco_input){.path = paths, .paths = 1}, NULL);
    assert_int_equal(p->N, 3);
    assert_string_equal(p->version, "v4.6.0");
    deco_particles_free(p);
    p = opened(&(deco_input){.path = paths, .paths = 2}, NULL); /* both, one after the other */
    assert_int_equal(p->N, 8);
    deco_particles_free(p);
    snprintf(other, sizeof other, "%s:split_2", j.job);
    toy_refuses(other, 0, DECO_E_FILE, "no particle output named split_2", "split_0 (5 particles), split_1 (3 particles)");
    snprintf(other, sizeof other, "%s:gone", j.job);
    toy_refuses(other, 0, DECO_E_FILE, "none of the files", "gone");
    toy_refuses("/nowhere/J7:split_0", 0, DECO_E_FILE, "/nowhere/J7:split_0", "No such file");
}

#define CSG(type, results) "created: 2026-01-31\ngroup:\n  name: particles\n  type: " type "\nresults:\n" results "version: v4.7.1\n"

/* The blob of one file, the rest of another in another order; ">" is the group's own directory, other paths count from the project. */
static void result_groups(void **state)
{
    toy j = job_of(6, 100, "ctf/,alignments3D/");
    char csg[700], lost[700];
    const char *path = csg;

    (void)state;
    toy_write_as(&j, "images.cs");
    toy_table(&j, 6, "blob/");
    for (int64_t i = 0; i < 6; i++) {
        deco_cell_set_u64((deco_column *)deco_table_find(j.t, "uid"), i, 0, 105 - (uint64_t)i);
        toy_set(&j, "ctf/df1_A", i, 0, 20000 + (double)(5 - i));
    }
    toy_write_as(&j, "rest.cs");
    toy_put(&j, "a.csg",
            CSG("particle", "  ctf:\n    metafile: J7/rest.cs\n    num_items: 6\n  alignments3D:\n    metafile: '>rest.cs'\n"
                            "  blob:\n    metafile: '>images.cs'\n    num_items: 6\n"));
    snprintf(csg, sizeof csg, "%s/a.csg", j.job);
    deco_particles *p = opened(&(deco_input){.path = &path, .paths = 1}, NULL);
    assert_int_equal(p->N, 6);
    assert_string_equal(deco_path_name(p->cs_path), "images.cs");
    assert_string_equal(p->version, "v4.7.1");
    for (int64_t i = 0; i < 6; i++)
        assert_true(p->ctf[i].defocus_u_A == (float)(20000 + i));
    deco_particles_free(p);

    path = j.job; /* a directory without job.json: its one group of particles */
    toy_put(&j, "maps.csg", CSG("volume", "  map:\n    metafile: '>x.cs'\n"));
    p = opened(&(deco_input){.path = &path, .paths = 1}, NULL);
    assert_int_equal(p->N, 6);
    deco_particles_free(p);

    snprintf(lost, sizeof lost, "%s/lost.csg", j.job);
    toy_put(&j, "lost.csg", CSG("particle", "  blob:\n    metafile: '>gone.cs'\n"));
    toy_refuses(lost, 0, DECO_E_FILE, "names >gone.cs, which is not found; tried", "J7/gone.cs");
    toy_put(&j, "lost.csg", CSG("volume", "  map:\n    metafile: '>images.cs'\n"));
    toy_refuses(lost, 0, DECO_E_FORMAT, "type 'volume'", "lost.csg");
    toy_put(&j, "lost.csg", "group: [\n");
    toy_refuses(lost, 0, DECO_E_FORMAT, "lost.csg:", "not YAML");
    toy_put(&j, "lost.csg", "a: b\n");
    toy_refuses(lost, 0, DECO_E_FORMAT, "no CryoSPARC result group", "lost.csg");
}

static void min_score_keeps_what_reaches_it(void **state)
{
    toy j = job_of(6, 100, NULL);
    const char *path = j.job;
    deco_input in = {.path = &path, .paths = 1, .min_score = "alignments3D/cross_cor:0.5"};

    (void)state;
    toy_ok(deco_table_add(j.t, NULL, "alignments3D/cross_cor", 'f', 4, 0, NULL));
    for (int64_t i = 0; i < 6; i++)
        toy_set(&j, "alignments3D/cross_cor", i, 0, i == 4 ? NAN : (double)i / 4);
    toy_set(&j, "ctf/cs_mm", 1, 0, 1e6); /* a broken row that is left out does no harm */
    toy_write(&j);
    deco_particles *p = opened(&in, NULL);
    const int64_t rows[] = {2, 3, 5};
    assert_int_equal(p->N, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p->input_row[i], rows[i]);
        assert_true(deco_particles_uid(p, i) == 100 + (uint64_t)rows[i]);
    }
    deco_particles_free(p);
    in.ind = scratch_put("some.txt", "5\n0\n2\n", 6); /* of these rows, in their order */
    p = opened(&in, NULL);
    assert_int_equal(p->N, 2);
    assert_int_equal(p->input_row[0], 5);
    assert_int_equal(p->input_row[1], 2);
    deco_particles_free(p);
    in.min_score = "alignments3D/cross_cor:2";
    refused(&in, DECO_E_FORMAT, "no particle has alignments3D/cross_cor of at least 2", "the largest is 1.25");
    in.min_score = "alignments3D/pose:2";
    refused(&in, DECO_E_FORMAT, "alignments3D/pose, which is no column of one number", "ctf/df1_A");
    in.min_score = "blob/path:2";
    refused(&in, DECO_E_FORMAT, "blob/path", "no column");
}

/* alignments3D before ab initio jobs' before 3D Classification's, of each kind the lowest number; expansion is said. */
static void which_poses_are_taken(void **state)
{
    static const char *const names[] = {"alignments_class3D_12", "alignments_class3D_3", "alignments_class_10", "alignments_class_2"};
    static const char *const taken[] = {"alignments_class3D_12", "alignments_class3D_3", "alignments_class_10", "alignments_class_2"};
    deco_monitor *m = NULL;
    char column[64];

    (void)state;
    toy_ok(deco_monitor_create(&m, remember, NULL));
    for (int k = 0; k < 4; k++) {
        toy j = job_of(4, 100, "alignments3D");
        const char *path = j.job;
        for (int i = 0; i <= k; i++) {
            snprintf(column, sizeof column, "%s/pose", names[i]);
            toy_add(j.t, column, 'f', 4, 3, NULL);
            snprintf(column, sizeof column, "%s/shift", names[i]);
            toy_add(j.t, column, 'f', 4, 2, NULL);
        }
        toy_add(j.t, "sym_expand/src_uid", 'u', 8, 1, NULL);
        toy_write(&j);
        *log_text = 0;
        deco_particles *p = opened(&(deco_input){.path = &path, .paths = 1}, m);
        assert_string_equal(p->poses, taken[k]);
        assert_true(!!strstr(log_text, "poses for") == (k > 0));
        assert_non_null(strstr(log_text, "symmetry expanded: 4 rows of 1 images"));
        deco_particles_free(p);
    }
    deco_monitor_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_inputs_are_one_set),
        cmocka_unit_test(messages_name_the_input_and_its_row),
        cmocka_unit_test(one_uid_in_two_inputs),
        cmocka_unit_test(outputs_by_name),
        cmocka_unit_test(result_groups),
        cmocka_unit_test(min_score_keeps_what_reaches_it),
        cmocka_unit_test(which_poses_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
