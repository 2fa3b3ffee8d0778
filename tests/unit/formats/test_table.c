/* Tables: cells convert and saturate, rows are chosen and joined by key and by nothing else. */
#include "formats/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static deco_table *table_of(int64_t rows)
{
    deco_table *t = NULL;

    assert_int_equal(deco_table_create(&t, rows, "some.cs"), DECO_OK);
    return t;
}

static deco_column *add(deco_table *t, const char *name, char kind, size_t item, int64_t cells)
{
    deco_column *c = NULL;

    assert_int_equal(deco_table_add(t, &c, name, kind, item, cells > 1, &cells), DECO_OK);
    return c;
}

static void add_uids(deco_table *t, const uint64_t *uid)
{
    deco_column *c = add(t, "uid", 'u', 8, 1);

    for (int64_t i = 0; i < t->rows; i++)
        deco_cell_set_u64(c, i, 0, uid[i]);
}

static void cells_of_every_type_convert(void **state)
{
    static const struct {
        char kind;
        size_t item;
        double put, real;
        uint64_t u64;
    } cases[] = {
        {'u', 1, 200, 200, 200},
        {'u', 1, 300, 255, 255},
        {'u', 4, -5, 0, 0},
        {'u', 8, 1e30, 0x1p64, UINT64_MAX},
        {'i', 1, -300, -128, -128},
        {'i', 2, 40000, 32767, 32767},
        {'i', 4, -7, -7, -7},
        {'i', 8, -1e30, -0x1p63, (uint64_t)INT64_MIN},
        {'f', 2, 0.333, 0x1.55p-2, 0},
        {'f', 4, 1e-3, (double)1e-3f, 0},
        {'f', 8, 1e300, 1e300, UINT64_MAX},
        {'f', 8, -2.5, -2.5, -2},
        {'b', 1, 3, 1, 1},
        {'c', 8, 2.5, 2.5, 2},
        {'c', 16, -1, -1, -1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        deco_table *t = table_of(2);
        deco_column *c = add(t, "x", cases[i].kind, cases[i].item, 3);
        deco_cell_set_real(c, 1, 2, cases[i].put);
        if (deco_cell_real(c, 1, 2) != cases[i].real || deco_cell_u64(c, 1, 2) != cases[i].u64)
            fail_msg("%c%zu: %g became %g and %llu", cases[i].kind, cases[i].item, cases[i].put, deco_cell_real(c, 1, 2),
                     (unsigned long long)deco_cell_u64(c, 1, 2));
        assert_true(deco_cell_real(c, 1, 1) == 0);
        deco_table_free(t);
    }
}

static void sixty_four_bits_survive(void **state)
{
    deco_table *t = table_of(1);
    deco_column *u = add(t, "u", 'u', 8, 1), *i;

    deco_cell_set_u64(u, 0, 0, 0xfedcba9876543210u);
    assert_true(deco_cell_u64(u, 0, 0) == 0xfedcba9876543210u);
    i = add(t, "i", 'i', 4, 1);
    deco_cell_set_u64(i, 0, 0, UINT64_MAX);
    assert_int_equal(deco_cell_u64(i, 0, 0), INT32_MAX);
    deco_table_free(t);
}

static void not_a_number_becomes_zero_in_integers(void **state)
{
    deco_table *t = table_of(1);
    deco_column *u = add(t, "u", 'u', 4, 1), *f;

    deco_cell_set_real(u, 0, 0, (double)NAN);
    assert_int_equal(deco_cell_u64(u, 0, 0), 0);
    f = add(t, "f", 'f', 4, 1);
    deco_cell_set_real(f, 0, 0, (double)NAN);
    assert_true(isnan(deco_cell_real(f, 0, 0)));
    assert_int_equal(deco_cell_u64(f, 0, 0), 0);
    deco_table_free(t);
}

static void text_is_cut_at_a_whole_character(void **state)
{
    deco_table *t = table_of(2);
    deco_column *c = add(t, "path", 'S', 5, 1);
    char out[16];

    deco_cell_set_text(c, 0, "abc粒"); /* 6 bytes: the character does not fit */
    assert_int_equal(deco_cell_text(out, sizeof out, c, 0), 3);
    assert_string_equal(out, "abc");
    deco_cell_set_text(c, 0, "ab粒");
    assert_int_equal(deco_cell_text(out, sizeof out, c, 0), 5);
    assert_string_equal(out, "ab粒");
    assert_int_equal(deco_cell_text(out, 3, c, 0), 5); /* as snprintf: what it would have taken */
    assert_string_equal(out, "ab");
    assert_int_equal(deco_cell_text(out, sizeof out, c, 1), 0);
    assert_string_equal(out, "");
    deco_cell_set_text(c, 0, "x");
    assert_memory_equal(c->data, "x\0\0\0\0", 5);
    deco_table_free(t);
}

static void a_needed_column_is_checked_and_named(void **state)
{
    deco_table *t = table_of(1);
    const deco_column *c;

    add(t, "pose", 'f', 4, 3);
    add(t, "path", 'S', 4, 1);
    assert_int_equal(deco_table_need(&c, t, "pose", 'n', 3), DECO_OK);
    assert_int_equal(deco_table_need(&c, t, "pose", 'n', 2), DECO_E_FORMAT);
    assert_string_equal(deco_error(), "some.cs: column 'pose' must hold 2 values a row; its shape is [3]");
    assert_null(c);
    assert_int_equal(deco_table_need(&c, t, "path", 'n', 1), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "'path' must hold numbers; it holds text"));
    assert_int_equal(deco_table_need(&c, t, "pose", 'S', 1), DECO_E_FORMAT);
    assert_int_equal(deco_table_need(&c, t, "shift", 'n', 2), DECO_E_FORMAT);
    assert_string_equal(deco_error(), "some.cs: has no column 'shift'");
    deco_table_free(t);
}

static void a_column_added_again_is_replaced(void **state)
{
    deco_table *t = table_of(3);

    deco_cell_set_real(add(t, "x", 'f', 4, 1), 0, 0, 7);
    add(t, "y", 'u', 1, 1);
    add(t, "x", 'u', 2, 2);
    assert_int_equal(t->columns, 2);
    assert_int_equal(t->column[0].kind, 'u');
    assert_int_equal(t->column[0].cells, 2);
    assert_int_equal(deco_cell_u64(&t->column[0], 0, 0), 0);
    assert_true(deco_table_has_prefix(t, "x") == false);
    add(t, "ctf/df1_A", 'f', 4, 1);
    assert_true(deco_table_has_prefix(t, "ctf"));
    assert_false(deco_table_has_prefix(t, "ct"));
    deco_table_free(t);
}

static void impossible_columns_are_refused(void **state)
{
    const int64_t huge[2] = {INT64_MAX, INT64_MAX}, negative[1] = {-1}, much[1] = {INT64_MAX / 16};
    deco_table *t = table_of(1000);

    assert_int_equal(deco_table_add(t, NULL, "x", 'f', 4, 2, huge), DECO_E_ARGUMENT);
    assert_int_equal(deco_table_add(t, NULL, "x", 'f', 4, 1, negative), DECO_E_ARGUMENT);
    assert_int_equal(deco_table_add(t, NULL, "x", 'f', 4, 5, huge), DECO_E_ARGUMENT);
    assert_int_equal(deco_table_add(t, NULL, "x", 'f', 4, 1, much), DECO_E_MEMORY);
    assert_int_equal(t->columns, 0);
    deco_table_free(t);
}

static void chosen_rows_stand_in_the_order_asked_for(void **state)
{
    const uint64_t uid[4] = {40, 10, 30, 20};
    const int64_t row[5] = {3, 0, 0, 2, 1}, bad[2] = {0, 4};
    deco_table *t = table_of(4), *chosen = NULL;
    const deco_column *c;

    add_uids(t, uid);
    deco_cell_set_text(add(t, "path", 'S', 8, 1), 2, "third");
    assert_int_equal(deco_table_select(&chosen, t, row, 5), DECO_OK);
    assert_int_equal(chosen->rows, 5);
    assert_int_equal(deco_table_need(&c, chosen, "uid", 'n', 1), DECO_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(deco_cell_u64(c, i, 0), uid[row[i]]);
    assert_memory_equal(deco_table_find(chosen, "path")->data + 3 * 8, "third\0\0\0", 8);
    deco_table_free(chosen);
    assert_int_equal(deco_table_select(&chosen, t, bad, 2), DECO_E_ARGUMENT);
    assert_null(chosen);
    deco_table_free(t);
}

static void an_index_finds_every_key_and_no_other(void **state)
{
    enum { N = 1000 };
    uint64_t uid[N];
    deco_table *t = table_of(N);
    deco_index *x = NULL;

    for (uint64_t i = 0; i < N; i++)
        uid[i] = (i + 1) * 0x9e3779b97f4a7c15u;
    uid[17] = 0;
    uid[18] = UINT64_MAX;
    add_uids(t, uid);
    assert_int_equal(deco_index_create(&x, t, "uid"), DECO_OK);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(deco_index_row(x, uid[i]), i);
    assert_int_equal(deco_index_row(x, 1), -1);
    assert_int_equal(deco_index_row(x, UINT64_MAX - 1), -1);
    deco_index_free(x);
    deco_table_free(t);
}

static void a_key_that_stands_twice_names_both_rows(void **state)
{
    const uint64_t uid[5] = {5, 18446744073709551615u, 6, 7, 18446744073709551615u};
    deco_table *t = table_of(5);
    deco_index *x = NULL;

    add_uids(t, uid);
    assert_int_equal(deco_index_create(&x, t, "uid"), DECO_E_FORMAT);
    assert_null(x);
    assert_non_null(strstr(deco_error(), "some.cs: uid 18446744073709551615 stands twice, in rows 1 and 4"));
    deco_table_free(t);
}

static void a_key_of_another_type_is_refused(void **state)
{
    deco_table *t = table_of(1);
    deco_index *x = NULL;

    add(t, "uid", 'f', 8, 1);
    assert_int_equal(deco_index_create(&x, t, "uid"), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "unsigned integers"));
    deco_table_free(t);
}

static void join_adds_what_is_lacking_by_key(void **state)
{
    const uint64_t here[3] = {3, 1, 2}, there[5] = {9, 1, 2, 8, 3};
    deco_table *t = table_of(3), *other = table_of(5);
    deco_column *c;

    add_uids(t, here);
    deco_cell_set_real(add(t, "blob/psize_A", 'f', 4, 1), 0, 0, 1.5);
    add_uids(other, there);
    add(other, "blob/psize_A", 'f', 4, 1); /* there already: t's own stays */
    c = add(other, "ctf/df1_A", 'f', 4, 1);
    for (int i = 0; i < 5; i++)
        deco_cell_set_real(c, i, 0, 100.0 * (double)there[i]);
    assert_int_equal(deco_table_join(t, other, "uid"), DECO_OK);
    assert_int_equal(t->columns, 3);
    for (int i = 0; i < 3; i++)
        assert_true(deco_cell_real(deco_table_find(t, "ctf/df1_A"), i, 0) == 100.0 * (double)here[i]);
    assert_true(deco_cell_real(deco_table_find(t, "blob/psize_A"), 0, 0) == 1.5);
    deco_table_free(other);
    deco_table_free(t);
}

static void a_row_without_its_passthrough_is_named_and_nothing_added(void **state)
{
    const uint64_t here[3] = {3, 1, 2}, there[2] = {3, 9};
    deco_table *t = table_of(3), *other = table_of(2);

    add_uids(t, here);
    add_uids(other, there);
    add(other, "ctf/df1_A", 'f', 4, 1);
    assert_int_equal(deco_table_join(t, other, "uid"), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "2 of the 3 rows"));
    assert_non_null(strstr(deco_error(), "row 1, uid 1"));
    assert_int_equal(t->columns, 1);
    deco_table_free(other);
    deco_table_free(t);
}

static void join_refuses_a_key_twice_on_either_side(void **state)
{
    const uint64_t once[2] = {1, 2}, twice[2] = {1, 1};

    for (int side = 0; side < 2; side++) {
        deco_table *t = table_of(2), *other = table_of(2);
        add_uids(t, side ? once : twice);
        add_uids(other, side ? twice : once);
        assert_int_equal(deco_table_join(t, other, "uid"), DECO_E_FORMAT);
        assert_non_null(strstr(deco_error(), "uid 1 stands twice"));
        deco_table_free(other);
        deco_table_free(t);
    }
}

/* Rows of the other's that nobody asks for may be there, but not two with one key; and a join that adds nothing has looked all the same. */
static void strangers_are_passed_over_but_not_twice(void **state)
{
    const uint64_t here[2] = {1, 2}, there[2][4] = {{9, 2, 1, 8}, {9, 2, 1, 9}};

    for (int twice = 0; twice < 2; twice++)
        for (int lacking = 0; lacking < 2; lacking++) {
            deco_table *t = table_of(2), *other = table_of(4);
            add_uids(t, here);
            add_uids(other, there[twice]);
            if (lacking)
                add(other, "ctf/df1_A", 'f', 4, 1);
            assert_int_equal(deco_table_join(t, other, "uid"), twice ? DECO_E_FORMAT : DECO_OK);
            if (twice)
                assert_non_null(strstr(deco_error(), "uid 9 stands twice, in rows 0 and 3"));
            assert_int_equal(t->columns, 1 + (lacking && !twice));
            deco_table_free(other);
            deco_table_free(t);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_of_every_type_convert),
        cmocka_unit_test(sixty_four_bits_survive),
        cmocka_unit_test(not_a_number_becomes_zero_in_integers),
        cmocka_unit_test(text_is_cut_at_a_whole_character),
        cmocka_unit_test(a_needed_column_is_checked_and_named),
        cmocka_unit_test(a_column_added_again_is_replaced),
        cmocka_unit_test(impossible_columns_are_refused),
        cmocka_unit_test(chosen_rows_stand_in_the_order_asked_for),
        cmocka_unit_test(an_index_finds_every_key_and_no_other),
        cmocka_unit_test(a_key_that_stands_twice_names_both_rows),
        cmocka_unit_test(a_key_of_another_type_is_refused),
        cmocka_unit_test(join_adds_what_is_lacking_by_key),
        cmocka_unit_test(a_row_without_its_passthrough_is_named_and_nothing_added),
        cmocka_unit_test(join_refuses_a_key_twice_on_either_side),
        cmocka_unit_test(strangers_are_passed_over_but_not_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
