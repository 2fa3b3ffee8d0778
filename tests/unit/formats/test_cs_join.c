/* Joining a file while it is read gives what reading it whole and joining it gives; a view leaves its table alone; an index finds keys however they
 * are spread. */
#include "formats/cs.h"
#include "formats/npy.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 5000 };

#define ok(call) \
    do { \
        if (call) \
            fail_msg("%s", deco_error()); \
    } while (0)

/* Random, in ten values of the leading byte or one: buckets of an index are then full and empty. */
static uint64_t uid_of(int64_t i, int spread)
{
    uint64_t h = ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
    return spread == 0 ? h : spread == 1 ? h >> 20 | (uint64_t)(i % 10) << 56 : (uint64_t)i + (i == 7 ? UINT64_MAX / 2 : 0);
}

/* Rows in the order i * step of ROWS + extra particles, with numbers made of the uid. */
static deco_table *rows_of(int64_t n, int64_t step, int64_t all, const char *prefix, int spread)
{
    deco_table *t = NULL;
    deco_column *c;
    char name[32];

    ok(deco_table_create(&t, n, prefix));
    ok(deco_table_add(t, &c, "uid", 'u', 8, 0, NULL));
    for (int64_t i = 0; i < n; i++)
        deco_cell_set_u64(c, i, 0, uid_of(i * step % all, spread));
    for (int k = 0; k < 7; k++) {
        static const size_t item[7] = {1, 2, 4, 8, 4, 8, 37};
        size_t width =
            k == 6 && !strcmp(prefix, "other") ? 116 : item[k]; /* with the 8 bytes before: rows joined by whole lines of the cache */
        snprintf(name, sizeof name, "%s/%d", k == 4 ? "both" : prefix, k);
        ok(deco_table_add(t, &c, name, k == 6 ? 'S' : k == 5 ? 'f' : 'u', width, k == 3, (const int64_t[]){3}));
        for (size_t b = 0; b < (size_t)n * c->stride; b++)
            c->data[b] =
                (unsigned char)(uid_of((int64_t)(b / c->stride) * step % all, spread) >> (b % c->stride % 8 * 8)) + (unsigned char)k;
    }
    return t;
}

static void same_columns(const deco_table *a, const deco_table *b)
{
    assert_int_equal(a->columns, b->columns);
    for (int64_t i = 0; i < a->columns; i++) {
        const deco_column *x = &a->column[i], *y = &b->column[i];
        assert_string_equal(x->name, y->name);
        assert_true(x->kind == y->kind && x->item == y->item && x->dims == y->dims && x->cells == y->cells);
        for (int64_t r = 0; r < a->rows; r++)
            assert_memory_equal(x->data + (size_t)r * x->stride, y->data + (size_t)r * y->stride, x->item * (size_t)x->cells);
    }
}

static void a_file_is_joined_as_if_read_whole(void **state)
{
    for (int spread = 0; spread < 3; spread++) {
        deco_table *own = rows_of(ROWS, 1, ROWS + 300, "own", spread), *other = rows_of(ROWS + 300, 7, ROWS + 300, "other", spread);
        deco_table *by_file = NULL, *whole = NULL;
        ok(deco_cs_write(scratch("own.cs"), own));
        ok(deco_cs_write(scratch("other.cs"), other));
        ok(deco_cs_read(&by_file, scratch("own.cs")));
        ok(deco_cs_join(by_file, scratch("other.cs"), "uid"));
        ok(deco_cs_read(&whole, scratch("other.cs")));
        ok(deco_table_join(own, whole, "uid"));
        assert_int_equal(by_file->columns, 2 * 8 - 2);
        same_columns(own, by_file);
        deco_table_free(own);
        deco_table_free(other);
        deco_table_free(whole);
        deco_table_free(by_file);
    }
}

static void a_row_that_the_file_lacks_leaves_the_table_as_it_was(void **state)
{
    deco_table *own = rows_of(50, 1, 50, "own", 0), *other = rows_of(49, 1, 50, "other", 0);

    ok(deco_cs_write(scratch("short.cs"), other));
    assert_int_equal(deco_cs_join(own, scratch("short.cs"), "uid"), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "short.cs: 1 of the 50 rows"));
    assert_int_equal(own->columns, 8);
    assert_int_equal(deco_cs_join(own, scratch("short.cs"), "own/2"), DECO_E_FORMAT); /* not there */
    assert_non_null(strstr(deco_error(), "own/2"));
    deco_table_free(own);
    deco_table_free(other);
}

static void chosen_rows_are_written_as_if_they_were_the_table(void **state)
{
    deco_table *t = rows_of(300, 1, 300, "own", 0), *chosen = NULL;
    int64_t row[200];
    size_t a, b;

    for (int64_t i = 0; i < 200; i++)
        row[i] = i * 77 % 300;
    ok(deco_table_select(&chosen, t, row, 200));
    ok(deco_cs_write(scratch("a.cs"), chosen));
    ok(deco_cs_write_rows(scratch("b.cs"), t, row, 200));
    unsigned char *x = scratch_get(&a, scratch("a.cs")), *y = scratch_get(&b, scratch("b.cs"));
    assert_true(a == b);
    assert_memory_equal(x, y, a);
    row[3] = 300;
    assert_int_equal(deco_cs_write_rows(scratch("c.cs"), t, row, 200), DECO_E_ARGUMENT);
    free(x);
    free(y);
    deco_table_free(chosen);
    deco_table_free(t);
}

static void a_view_may_change_and_its_table_does_not(void **state)
{
    deco_table *t = rows_of(40, 1, 40, "own", 0), *same = rows_of(40, 1, 40, "own", 0), *view = NULL;
    deco_column *c;

    ok(deco_table_view(&view, t));
    ok(deco_table_add(view, &c, "own/2", 'f', 8, 0, NULL));
    ok(deco_table_add(view, &c, "own/new", 'f', 8, 0, NULL));
    assert_true(deco_table_find(view, "own/3")->data == deco_table_find(t, "own/3")->data);
    deco_table_free(view);
    same_columns(t, same);
    deco_table_free(t);
    deco_table_free(same);
}

static void an_index_finds_what_is_there_however_keys_are_spread(void **state)
{
    for (int spread = 0; spread < 3; spread++)
        for (int64_t n = 0; n < ROWS; n = 3 * n + 1) {
            deco_table *t = rows_of(n, 1, n + 1, "own", spread);
            deco_index *x = NULL;
            int64_t *row = calloc((size_t)n + 1, sizeof *row);
            ok(deco_index_create(&x, t, "uid"));
            deco_index_rows(row, x, deco_table_find(t, "uid"), n);
            for (int64_t i = 0; i < n; i++)
                assert_true(row[i] == i && deco_index_row(x, uid_of(i, spread)) == i);
            assert_int_equal(deco_index_row(x, uid_of(n, spread) ^ 1u << 19), -1);
            free(row);
            deco_index_free(x);
            deco_table_free(t);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_joined_as_if_read_whole),
        cmocka_unit_test(a_row_that_the_file_lacks_leaves_the_table_as_it_was),
        cmocka_unit_test(chosen_rows_are_written_as_if_they_were_the_table),
        cmocka_unit_test(a_view_may_change_and_its_table_does_not),
        cmocka_unit_test(an_index_finds_what_is_there_however_keys_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
