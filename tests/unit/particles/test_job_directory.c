/* Which files make a particle set: job.json before names, the newest iteration, a file named by the user, strange job.json. */
#include "toy_job.h"

/* A job.json with one particle output "particles": its own metafiles and one passthrough file. */
static void put_json(const toy *j, const char *uid, const char *own, const char *passed)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{\"uid\": \"%s\", \"version\": \"v4.6.2\", \"output_result_groups\": [{\"type\": \"particle\", \"name\": \"particles\", "
             "\"num_items\": 6},"
             "{\"type\": \"micrograph\", \"name\": \"micrographs\"}], \"output_results\": ["
             "{\"group_name\": \"particles\", \"name\": \"blob\", \"passthrough\": false, \"metafiles\": [%s]},"
             "{\"group_name\": \"particles\", \"name\": \"ctf\", \"passthrough\": true, \"metafiles\": [%s]},"
             "{\"group_name\": \"micrographs\", \"name\": \"blob\", \"passthrough\": false, \"metafiles\": [\"J7/other_particles.cs\"]}]}",
             uid, own, passed);
    toy_put(j, "job.json", text);
}

static deco_particles *opened(const char *path)
{
    deco_particles *p = NULL;
    toy_ok(deco_particles_open(&p, path, NULL, TOY_ALL, NULL));
    return p;
}

static void expect_cs(const char *path, const char *name)
{
    deco_particles *p = opened(path);
    assert_string_equal(deco_path_name(p->cs_path), name);
    deco_particles_free(p);
}

static const char *in(const toy *j, const char *name)
{
    static char path[800];
    snprintf(path, sizeof path, "%s/%s", j->job, name);
    return path;
}

/* Own columns in one file, CTF and poses in another in reverse order. */
static toy split_toy(const char *rows, const char *passed)
{
    toy j = toy_begin(6, "ctf/,alignments3D/");
    deco_table *whole, *turned = NULL;
    int64_t order[6] = {5, 4, 3, 2, 1, 0};

    toy_write_as(&j, rows);
    whole = toy_table(&j, 6, "blob/");
    for (int i = 0; i < 6; i++)
        toy_set(&j, "ctf/df1_A", i, 0, 10000 + i);
    toy_ok(deco_table_select(&turned, whole, order, 6));
    deco_table_free(whole);
    j.t = turned;
    toy_write_as(&j, passed);
    return j;
}

static void expect_joined(const char *path)
{
    deco_particles *p = opened(path);
    assert_int_equal(p->N, 6);
    for (int i = 0; i < 6; i++)
        assert_true(p->ctf[i].defocus_u_A == 10000 + (float)i);
    deco_particles_free(p);
}

static void passthrough_by_name(void **state)
{
    static const char *const pairs[][2] = {
        {"extracted_particles.cs", "J7_passthrough_particles.cs"},
        {"J7_extracted_particles.cs", "J7_passthrough_particles.cs"},
        {"downsampled_particles.cs", "passthrough_particles.cs"},
        {"split_0003.cs", "J7_passthrough_split_3.cs"},
        {"J7_00042_particles_class_1.cs", "J7_passthrough_particles_class_1.cs"},
        {"particles_selected.cs", "J7_passthrough_particles_selected.cs"},
        {"some_particles.cs", "J7_passthrough_particles_of_another_name.cs"}, /* the only one there */
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        toy j = split_toy(pairs[i][0], pairs[i][1]);
        toy_put(&j, "J7_passthrough_micrographs.cs", "not particles");
        expect_joined(j.job);
        expect_joined(in(&j, pairs[i][0]));
    }
}

static void passthrough_by_job_json(void **state)
{
    toy j = split_toy("rows.cs", "elsewhere.cs");

    (void)state;
    put_json(&j, "J7", "\"J7/rows.cs\"", "\"J7/elsewhere.cs\"");
    expect_joined(j.job);
    expect_joined(in(&j, "rows.cs"));
    expect_joined(in(&j, "elsewhere.cs")); /* naming the passthrough file means its group */
    deco_particles *p = opened(j.job);
    assert_string_equal(p->version, "v4.6.2");
    assert_string_equal(deco_path_name(p->cs_path), "rows.cs");
    assert_string_equal(p->project, j.project);
    deco_particles_free(p);
}

/* A copied job directory keeps its job.json, which still says J7/...; the files beside it are meant. */
static void renamed_job_directory(void **state)
{
    toy j = split_toy("rows.cs", "elsewhere.cs");
    char other[700];

    (void)state;
    put_json(&j, "J3", "\"J3/rows.cs\"", "\"J3/elsewhere.cs\"");
    snprintf(other, sizeof other, "%s/J3", j.project); /* the original, with other content */
    toy_ok(deco_directory_make(other));
    snprintf(other, sizeof other, "%s/J3/rows.cs", j.project);
    toy_ok(deco_file_put(other, "not it", 6));
    expect_joined(j.job);
}

/* A job that only adds poses: its own file gives the rows and their order, the images come from the passthrough file. */
static void images_from_the_passthrough_file(void **state)
{
    toy j = toy_begin(6, "blob/");
    int64_t order[6] = {3, 0, 5, 1, 4, 2};
    deco_table *whole, *turned = NULL;

    (void)state;
    toy_write_as(&j, "own.cs");
    whole = toy_table(&j, 6, "ctf/,alignments3D/");
    toy_ok(deco_table_select(&turned, whole, order, 6));
    deco_table_free(whole);
    j.t = turned;
    toy_write_as(&j, "passed.cs");
    toy_put(&j, "job.json",
            "{\"uid\": \"J7\", \"output_result_groups\": [{\"type\": \"particle\", \"name\": \"p\"}], \"output_results\": ["
            "{\"group_name\": \"p\", \"name\": \"blob\", \"passthrough\": true, \"metafiles\": [\"J7/passed.cs\"]},"
            "{\"group_name\": \"p\", \"name\": \"alignments3D\", \"passthrough\": false, \"metafiles\": [\"J7/own.cs\"]}]}");
    deco_particles *p = opened(j.job);
    assert_string_equal(deco_path_name(p->cs_path), "own.cs");
    for (int i = 0; i < 6; i++) {
        assert_int_equal(deco_particles_uid(p, i), 0x8000000000000000u + (uint64_t)i * 7919u);
        assert_int_equal(p->image[i].index, i * 2 % TOY_IMAGES);
    }
    deco_particles_free(p);
}

static void job_json_comes_before_names(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write_as(&j, "chosen.cs");
    toy_table(&j, 6, NULL);
    toy_write_as(&j, "extracted_particles.cs");
    put_json(&j, "J7", "\"J7/chosen.cs\"", "");
    expect_cs(j.job, "chosen.cs");
    expect_cs(j.cs, "extracted_particles.cs"); /* named by the user, though job.json does not know it */
}

static void newest_iteration_by_job_json(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write_as(&j, "J7_003_particles.cs");
    toy_table(&j, 6, NULL);
    toy_write_as(&j, "J7_004_particles.cs");
    put_json(&j, "J7", "\"J7/J7_002_particles.cs\", \"J7/J7_003_particles.cs\", \"J7/J7_004_particles.cs\", \"J7/J7_005_particles.cs\"",
             "");
    expect_cs(j.job, "J7_004_particles.cs");                         /* the last that exists */
    expect_cs(in(&j, "J7_003_particles.cs"), "J7_003_particles.cs"); /* unless another is named */
}

static void newest_iteration_by_name(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write_as(&j, "J7_000_particles.cs");
    toy_table(&j, 6, NULL);
    toy_write_as(&j, "J7_010_particles.cs");
    toy_table(&j, 6, NULL);
    toy_write_as(&j, "J7_009_particles.cs");
    expect_cs(j.job, "J7_010_particles.cs");
}

static void several_candidates_and_naming_one(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write_as(&j, "split_0000.cs");
    toy_table(&j, 3, NULL);
    toy_write_as(&j, "split_0001.cs");
    toy_refuses(j.job, 0, DECO_E_FORMAT, "2 particle sets; name one", "split_0001.cs");
    assert_non_null(strstr(deco_error(), "split_0000.cs"));
    expect_cs(in(&j, "split_0001.cs"), "split_0001.cs");
}

static void stale_new_particles_is_never_picked(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write_as(&j, "new_particles.cs");
    toy_refuses(j.job, 0, DECO_E_FILE, "new_particles.cs was left by another program", NULL);
    toy_table(&j, 6, NULL);
    toy_write_as(&j, "imported_particles.cs");
    expect_cs(j.job, "imported_particles.cs");
    expect_cs(in(&j, "new_particles.cs"), "new_particles.cs");
}

static void exported_files_of_any_name(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write_as(&j, "cluster_0.cs");
    toy_put(&j, "cluster_0.csg", "group: {}\n");
    expect_cs(j.job, "cluster_0.cs");
}

static char said[4096];
static void remember(void *user, deco_level level, const char *line)
{
    (void)user;
    if (level == DECO_LOG_WARNING)
        snprintf(said, sizeof said, "%s", line);
}

static void useless_job_json_is_said(void **state)
{
    static const char *const cases[][2] = {
        {"{", "is not the JSON of a job; the files' names are used"},
        {"{\"output_result_groups\": [{\"type\": \"particle\", \"name\": \"p\"}], \"output_results\": []}",
         "names 1 particle outputs, but none of"}};
    deco_monitor *m = NULL;
    deco_particles *p = NULL;

    (void)state;
    toy_ok(deco_monitor_create(&m, remember, NULL));
    for (int i = 0; i < 2; i++) {
        toy j = toy_begin(6, NULL);
        toy_write(&j);
        toy_put(&j, "job.json", cases[i][0]);
        toy_ok(deco_particles_open(&p, j.job, NULL, TOY_ALL, m));
        if (!strstr(said, cases[i][1]))
            fail_msg("%s", said);
        deco_particles_free(p);
    }
    deco_monitor_free(m);
}

/* Whatever job.json holds, the names still work. */
static void strange_job_json(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "3",
        "\"J7\"",
        "{}",
        "{\"version\": 4, \"uid\": {}}",
        "{\"output_result_groups\": {}, \"output_results\": 1}",
        "{\"output_result_groups\": [1, null, {\"type\": 3}, {\"type\": \"particle\"}], \"output_results\": []}",
        "{\"output_result_groups\": [{\"type\": \"particle\", \"name\": 7, \"num_items\": \"x\"}], \"output_results\": [{\"group_name\": "
        "7}]}",
        "{\"output_result_groups\": [{\"type\": \"particle\", \"name\": \"particles\"}], \"output_results\": [7, {\"group_name\": "
        "\"particles\"},"
        "{\"group_name\": \"particles\", \"name\": \"blob\", \"metafiles\": \"J7/x.cs\"},"
        "{\"group_name\": \"particles\", \"name\": \"blob\", \"metafiles\": [1, null, \"\", \">\", \"/\", \"J7/\", \"J7\", \"../../..\", "
        "\"J7/gone.cs\"]}]}",
        "\xff\xfe\x00",
    };
    char *deep = malloc(100001);

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        toy j = toy_begin(6, NULL);
        toy_write(&j);
        toy_put(&j, "job.json", texts[i]);
        expect_cs(j.job, "extracted_particles.cs");
        expect_cs(j.cs, "extracted_particles.cs");
    }
    toy j = toy_begin(6, NULL);
    toy_write(&j);
    memset(deep, '[', 100000);
    deep[100000] = 0;
    toy_put(&j, "job.json", deep);
    expect_cs(j.job, "extracted_particles.cs");
    free(deep);
}

static void two_groups_of_tiny(void **state)
{
    char path[600];

    (void)state;
    toy_refuses(data_path("tiny/project/J14"), 0, DECO_E_FORMAT, "split_0000.cs (500 particles)", "split_0001.cs (500 particles)");
    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "%s/split_%04d.cs", data_path("tiny/project/J14"), k);
        deco_particles *p = opened(path);
        assert_int_equal(p->N, 500);
        assert_string_equal(p->version, "v4.7.1");
        assert_string_equal(p->poses, "alignments3D");
        deco_particles_free(p);
    }
}

/* The project is the parent as the user sees it, however the directory is written. */
static void ways_to_write_a_directory(void **state)
{
    toy j = toy_begin(6, NULL);
    char path[800], here[1000];

    (void)state;
    toy_write(&j);
    assert_non_null(getcwd(here, sizeof here));
    snprintf(path, sizeof path, "%s///", j.job);
    expect_cs(path, "extracted_particles.cs");
    snprintf(path, sizeof path, "%s/stacks/..", j.job);
    expect_cs(path, "extracted_particles.cs");
    assert_int_equal(chdir(j.job), 0);
    expect_cs(".", "extracted_particles.cs");
    expect_cs("extracted_particles.cs", "extracted_particles.cs");
    assert_int_equal(chdir(j.project), 0);
    expect_cs("J7", "extracted_particles.cs");
    expect_cs("J7/extracted_particles.cs", "extracted_particles.cs");
    assert_int_equal(chdir(here), 0);
}

/* A link to a job directory: the stacks are found where the link leads. */
static void linked_job_directory(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_write(&j);
    const char *link = scratch("link_to_a_job");
    assert_int_equal(symlink(j.job, link), 0);
    expect_cs(link, "extracted_particles.cs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passthrough_by_name),
        cmocka_unit_test(passthrough_by_job_json),
        cmocka_unit_test(renamed_job_directory),
        cmocka_unit_test(images_from_the_passthrough_file),
        cmocka_unit_test(job_json_comes_before_names),
        cmocka_unit_test(newest_iteration_by_job_json),
        cmocka_unit_test(newest_iteration_by_name),
        cmocka_unit_test(several_candidates_and_naming_one),
        cmocka_unit_test(stale_new_particles_is_never_picked),
        cmocka_unit_test(exported_files_of_any_name),
        cmocka_unit_test(useless_job_json_is_said),
        cmocka_unit_test(strange_job_json),
        cmocka_unit_test(two_groups_of_tiny),
        cmocka_unit_test(ways_to_write_a_directory),
        cmocka_unit_test(linked_job_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
