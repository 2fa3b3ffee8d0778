/* STAR files of RELION's layout by other writers, and the angles of the reference's converter. */
#include "formats/star.h"
#include "base/file.h"
#include "support/golden.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static deco_star *star_of(const char *name)
{
    deco_star *s;
    if (deco_star_read(&s, golden_path(name)))
        fail_msg("%s", deco_error());
    return s;
}

static const char *cell(const deco_star_loop *l, const char *name, int64_t row)
{
    for (int64_t c = 0; c < l->columns; c++)
        if (!strcmp(l->name[c], name))
            return l->cell[row * l->columns + c];
    fail_msg("no column %s", name);
    return NULL;
}

/* Numbers of one loop against the file's table, columns in the order given. */
static void expect_numbers(const char *star, const char *first, const char *numbers, const char *const *names, int count)
{
    deco_star *s = star_of(star);
    golden_array want = golden_read(numbers);
    int64_t column;
    const deco_star_loop *l = deco_star_find(s, first, &column);
    assert_non_null(l);
    assert_int_equal(l->rows, want.shape[0]);
    assert_int_equal(count, want.shape[1]);
    double *mine = calloc((size_t)want.count, sizeof *mine);
    assert_non_null(mine);
    for (int64_t row = 0; row < l->rows; row++)
        for (int c = 0; c < count; c++)
            mine[row * count + c] = strtod(cell(l, names[c], row), NULL);
    golden_expect(numbers, mine, want.count);
    free(mine);
    golden_free(&want);
    deco_star_free(s);
}

static void optics_and_particles_of_relion_31_are_read(void **state)
{
    static const char *const names[] = {"rlnOpticsGroup",  "rlnDefocusU",     "rlnDefocusV",    "rlnDefocusAngle",
                                        "rlnPhaseShift",   "rlnAngleRot",     "rlnAngleTilt",   "rlnAnglePsi",
                                        "rlnOriginXAngst", "rlnOriginYAngst", "rlnClassNumber", "rlnRandomSubset"};
    (void)state;
    expect_numbers("n_files/star/relion31.star", "rlnImageName", "n_files/star/relion31_numbers.npy", names, 12);
}

static void strings_of_relion_31_lose_their_quotes(void **state)
{
    deco_star *s = star_of("n_files/star/relion31.star");
    char *text;
    size_t size;
    int64_t column;
    const deco_star_loop *l = deco_star_find(s, "rlnImageName", &column);
    (void)state;
    assert_int_equal(deco_file_get(&text, &size, golden_path("n_files/star/relion31_strings.json"), 0), DECO_OK);
    cJSON *want = cJSON_ParseWithLength(text, size), *list;
    assert_non_null(want);
    cJSON_ArrayForEach(list, want)
    {
        const cJSON *item;
        int64_t row = 0;
        cJSON_ArrayForEach(item, list) assert_string_equal(cell(l, list->string, row++), item->valuestring);
        assert_int_equal(row, l->rows);
    }
    cJSON_Delete(want);
    free(text);
    deco_star_free(s);
}

static void old_single_table_is_read(void **state)
{
    static const char *const names[] = {"rlnDefocusU", "rlnDefocusV", "rlnVoltage"};
    (void)state;
    expect_numbers("n_files/star/old_single.star", "rlnImageName", "n_files/star/old_single_numbers.npy", names, 3);
}

/* pose_matrix.npy holds exp(v) of each row of from_cs.cs, from_cs_numbers.npy the converter's angles in the rows' other order. */
static void angles_are_those_of_the_references_converter(void **state)
{
    enum { ROT = 2 }; /* its columns: coordinates, then rot, tilt, psi */
    golden_array numbers = golden_read("n_files/star/from_cs_numbers.npy"), rows = golden_read("n_files/star/from_cs_rows.npy");
    golden_array matrix = golden_read("n_files/star/pose_matrix.npy");
    (void)state;
    assert_int_equal(rows.count, numbers.shape[0]);
    for (int64_t i = 0; i < rows.count; i++) {
        double R[9], angle[3];
        for (int k = 0; k < 9; k++)
            R[k] = matrix.v[9 * (int64_t)rows.v[i] + k % 3 * 3 + k / 3];
        deco_star_angles(angle, R);
        for (int k = 0; k < 3; k++) {
            double apart = remainder(angle[k] - numbers.v[i * numbers.shape[1] + ROT + k], 360);
            /* 1e-4 is the manifest's. The converter works in f32: near a pole its rot and psi are off by that over sin(tilt). */
            if (fabs(apart) > 1e-4 / fmax(1e-3, sin(angle[1] * acos(-1) / 180)))
                fail_msg("row %d angle %d: %g, not %g", (int)i, k, angle[k], numbers.v[i * numbers.shape[1] + ROT + k]);
        }
    }
    golden_free(&numbers);
    golden_free(&rows);
    golden_free(&matrix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optics_and_particles_of_relion_31_are_read),
        cmocka_unit_test(strings_of_relion_31_lose_their_quotes),
        cmocka_unit_test(old_single_table_is_read),
        cmocka_unit_test(angles_are_those_of_the_references_converter),
    };
    return cmocka_run_group_tests_name("golden_star", tests, NULL, NULL);
}
