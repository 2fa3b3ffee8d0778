/* `ind`: the rows it names, in its order, and every way in which it can be wrong. */
#include "toy_job.h"

#include "formats/npy.h"
#include "particles/selection.h"

enum { ROWS = 6 };

static const char *text_file(const char *words) { return scratch_put("ind.txt", words, strlen(words)); }

static const char *array(const char *descr, int64_t n, const void *data)
{
    const char *path = scratch("ind.npy");
    toy_ok(deco_npy_write(path, descr, 1, &n, data));
    return path;
}

static void gives(const char *path, int64_t n, const int64_t *expected)
{
    int64_t *row = NULL, count = -1;

    toy_ok(particles_selection_read(&row, &count, path, ROWS, "a.cs"));
    assert_int_equal(count, n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(row[i], expected[i]);
    free(row);
}

static void refuses(const char *path, const char *a, const char *b)
{
    int64_t *row = (int64_t *)1, n = -1;

    assert_int_equal(particles_selection_read(&row, &n, path, ROWS, "a.cs"), DECO_E_FORMAT);
    assert_null(row);
    if (!strstr(deco_error(), deco_path_name(path)) || !strstr(deco_error(), a) || !strstr(deco_error(), b))
        fail_msg("the message lacks \"%s\", \"%s\" or the file: %s", a, b, deco_error());
}

static void whole_numbers_of_any_width_keep_their_order(void **state)
{
    static const int64_t expected[] = {4, 0, 3};

    (void)state;
    gives(array("<i1", 3, (const int8_t[]){4, 0, 3}), 3, expected);
    gives(array("<u2", 3, (const uint16_t[]){4, 0, 3}), 3, expected);
    gives(array("<i4", 3, (const int32_t[]){4, 0, 3}), 3, expected);
    gives(array("<u8", 3, (const uint64_t[]){4, 0, 3}), 3, expected);
    gives(array("<i8", 3, expected), 3, expected);
}

static void booleans_take_their_rows(void **state)
{
    (void)state;
    gives(array("|b1", ROWS, (const uint8_t[]){0, 1, 0, 0, 1, 1}), 3, (const int64_t[]){1, 4, 5});
    refuses(array("|b1", 3, (const uint8_t[]){0, 1, 0}), "3 booleans", "6 rows");
    refuses(array("|b1", ROWS, (const uint8_t[ROWS]){0}), "names no row", "leave ind out");
}

static void text_has_a_number_a_line_and_comments(void **state)
{
    (void)state;
    gives(text_file("# bad ones left out\n4\n\n  0 # the first\r\n\t3"), 3, (const int64_t[]){4, 0, 3});
    refuses(text_file("1\n2 3\n"), "line 2", "2 3");
    refuses(text_file("1\n2.0\n"), "line 2", "2.0");
    refuses(text_file("one\n"), "line 1", "one");
    refuses(text_file("99999999999999999999\n"), "line 1", "99999999999999999999");
    refuses(text_file("# nothing\n\n"), "names no row", "6 particles");
    refuses(text_file(""), "names no row", "6 particles");
    refuses(scratch_put("ind.bin", "1\0002\n", 5), "neither", "a line");
}

static void rows_that_are_not_there_or_stand_twice(void **state)
{
    (void)state;
    refuses(text_file("1\n6\n"), "line 2 is 6", "0 to 5");
    refuses(text_file("1\n-1\n"), "line 2 is -1", "0 to 5");
    refuses(text_file("1\n#\n1\n"), "lines 1 and 3", "row 1");
    refuses(array("<i4", 2, (const int32_t[]){0, -2}), "entry 1 is -2", "a.cs");
    refuses(array("<u8", 2, (const uint64_t[]){0, UINT64_MAX}), "entry 1", "0 to 5");
    refuses(array("<i2", 3, (const int16_t[]){5, 2, 5}), "entries 0 and 2", "row 5");
    refuses(array("<i8", 0, (const int64_t[]){0}), "names no row", "");
}

static void other_kinds_of_file_are_refused_with_what_to_do(void **state)
{
    const int64_t square[] = {2, 2};
    const int64_t values[] = {0, 1, 2, 3};

    (void)state;
    refuses(array("<f8", 2, (const double[]){0, 1}), "floating-point", "astype");
    toy_ok(deco_npy_write(scratch("square.npy"), "<i8", 2, square, values));
    refuses(scratch("square.npy"), "2 dimensions", "one row");
    refuses(scratch_put("ind.pkl", "\x80\x04K\x01.", 5), "pickle", "numpy.save");
    refuses(scratch_put("renamed.txt", "\x80\x04K\x01.", 5), "pickle", "numpy.save");
    int64_t *row, n;
    assert_int_equal(particles_selection_read(&row, &n, scratch("nowhere.npy"), ROWS, "a.cs"), DECO_E_FILE);
}

static void a_set_of_some_rows_has_them_in_that_order(void **state)
{
    toy j = toy_begin(ROWS, NULL);
    deco_particles *all = NULL, *some = NULL;
    char whole[17], part[17], turned[17];
    const int64_t row[] = {4, 0, 3};

    (void)state;
    toy_write(&j);
    toy_ok(deco_particles_open(&all, j.job, NULL, TOY_ALL, NULL));
    toy_ok(deco_particles_open_input(&some, &(deco_input){.path = (const char *[]){j.job}, .paths = 1, .ind = text_file("4\n0\n3\n")},
                                     TOY_ALL, NULL));
    assert_int_equal(some->N, 3);
    assert_int_equal(some->rows->columns, all->rows->columns);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(deco_particles_uid(some, i), deco_particles_uid(all, row[i]));
        assert_string_equal(some->stack_name[some->image[i].stack], all->stack_name[all->image[row[i]].stack]);
        assert_int_equal(some->image[i].index, all->image[row[i]].index);
        assert_memory_equal(some->R + 9 * i, all->R + 9 * row[i], 9 * sizeof(float));
        assert_memory_equal(some->shift + 2 * i, all->shift + 2 * row[i], 2 * sizeof(float));
    }
    deco_particles_digest(whole, all);
    deco_particles_digest(part, some);
    deco_particles_free(some);
    toy_ok(deco_particles_open_input(&some, &(deco_input){.path = (const char *[]){j.job}, .paths = 1, .ind = text_file("0\n3\n4\n")},
                                     TOY_ALL, NULL));
    deco_particles_digest(turned, some);
    assert_string_not_equal(whole, part);
    assert_string_not_equal(turned, part);
    deco_particles_free(some);
    deco_particles_free(all);
}

static void rows_left_out_may_be_broken_and_messages_count_as_the_file_does(void **state)
{
    toy j = toy_begin(ROWS, NULL);
    deco_particles *p = NULL;

    (void)state;
    toy_set(&j, "blob/psize_A", 2, 0, 0);
    toy_write(&j);
    toy_refuses(j.job, TOY_ALL, DECO_E_FORMAT, "row 2", "blob/psize_A");
    toy_ok(deco_particles_open_input(&p, &(deco_input){.path = (const char *[]){j.job}, .paths = 1, .ind = text_file("5\n1\n")}, TOY_ALL,
                                     NULL));
    deco_particles_free(p);
    assert_int_equal(deco_particles_open_input(&p, &(deco_input){.path = (const char *[]){j.job}, .paths = 1, .ind = text_file("5\n2\n")},
                                               TOY_ALL, NULL),
                     DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "row 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_of_any_width_keep_their_order),
        cmocka_unit_test(booleans_take_their_rows),
        cmocka_unit_test(text_has_a_number_a_line_and_comments),
        cmocka_unit_test(rows_that_are_not_there_or_stand_twice),
        cmocka_unit_test(other_kinds_of_file_are_refused_with_what_to_do),
        cmocka_unit_test(a_set_of_some_rows_has_them_in_that_order),
        cmocka_unit_test(rows_left_out_may_be_broken_and_messages_count_as_the_file_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
