/* Paths in subsets name what is there, wherever the subset is written. */
#include "analysis/subset_paths.h"
#include "unit/particles/toy_job.h"

#include <stdlib.h>

static void expect_path(const deco_table *t, int64_t row, const char *wanted)
{
    char text[1024];

    deco_cell_text(text, sizeof text, deco_table_find(t, "blob/path"), row);
    assert_string_equal(text, wanted);
}

/* ">stacks/s0.mrc" counts from the folder of the file, ">J7/stacks/s1.mrc" from the project; plain ones stay as they are. */
static void exported_paths_become_absolute(void **state)
{
    toy j = toy_begin(6, NULL);
    deco_particles *p = NULL;
    deco_table *t = NULL;
    char wanted[1024], *job, *project;

    (void)state;
    for (int in_project = 0; in_project < 2; in_project++) {
        if (!j.t)
            toy_table(&j, 6, NULL);
        for (int i = 0; i < 6; i++) {
            char path[64];
            snprintf(path, sizeof path, in_project ? ">J7/stacks/s%d.mrc" : ">stacks/s%d.mrc", i % TOY_STACKS);
            toy_set_text(&j, "blob/path", i, path);
        }
        toy_set_text(&j, "blob/path", 5, "J7/stacks/s2.mrc");
        toy_write(&j);
        toy_ok(deco_particles_open(&p, j.cs, NULL, DECO_NEED_STACKS, NULL));
        toy_ok(deco_table_view(&t, p->rows));
        toy_ok(deco_subset_paths(t, p));
        job = realpath(j.job, NULL), project = realpath(j.project, NULL);
        for (int i = 0; i < 5; i++) {
            snprintf(wanted, sizeof wanted, in_project ? "%s/J7/stacks/s%d.mrc" : "%s/stacks/s%d.mrc", in_project ? project : job,
                     i % TOY_STACKS);
            expect_path(t, i, wanted);
            assert_true(deco_path_exists(wanted));
        }
        expect_path(t, 5, "J7/stacks/s2.mrc");
        free(job);
        free(project);
        deco_table_free(t);
        deco_particles_free(p);
    }
}

static void paths_of_one_project_stay(void **state)
{
    toy j = toy_begin(3, NULL);
    deco_particles *p = NULL;
    deco_table *t = NULL;

    (void)state;
    toy_write(&j);
    toy_ok(deco_particles_open(&p, j.cs, NULL, DECO_NEED_STACKS, NULL));
    toy_ok(deco_table_view(&t, p->rows));
    toy_ok(deco_subset_paths(t, p));
    expect_path(t, 1, "J7/stacks/s1.mrc");
    deco_table_free(t);
    deco_particles_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exported_paths_become_absolute),
        cmocka_unit_test(paths_of_one_project_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
