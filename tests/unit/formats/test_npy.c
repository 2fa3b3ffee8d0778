/* .npy: every header that NumPy writes is read, no other; arrays and tables come back as they were written. */
#include "formats/npy.h"
#include "formats/npy_map.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* A file of this header, of `data` behind it, in version `v`. */
static const char *npy_file(int v, const char *header, const void *data, size_t bytes)
{
    unsigned char text[4096] = "\x93NUMPY";
    size_t n = strlen(header), at = v == 1 ? 10 : 12;

    text[6] = (unsigned char)v;
    text[8] = n & 255;
    text[9] = (unsigned char)(n >> 8);
    memcpy(text + at, header, n);
    if (bytes)
        memcpy(text + at + n, data, bytes);
    return scratch_put("a.npy", text, at + n + bytes);
}

static void plain_array_reads_back(void **state)
{
    const float values[6] = {1, -2.5f, 3, 4, 5, 1e-40f};
    const int64_t shape[2] = {2, 3};
    deco_npy a;

    assert_int_equal(deco_npy_write(scratch("w.npy"), "<f4", 2, shape, values), DECO_OK);
    assert_int_equal(deco_npy_read(&a, scratch("w.npy")), DECO_OK);
    assert_int_equal(a.kind, 'f');
    assert_int_equal(a.item, 4);
    assert_int_equal(a.dims, 2);
    assert_int_equal(a.shape[0], 2);
    assert_int_equal(a.shape[1], 3);
    assert_int_equal(a.count, 6);
    assert_memory_equal(a.data, values, sizeof values);
    deco_npy_free(&a);
}

static void plain_array_is_seen_in_place_and_outlives_its_name(void **state)
{
    const float values[6] = {1, -2.5f, 3, 4, 5, 1e-40f};
    const int64_t shape[2] = {2, 3}, none[2] = {3, 0};
    deco_npy_map a = {0};

    assert_int_equal(deco_npy_write(scratch("w.npy"), "<f4", 2, shape, values), DECO_OK);
    assert_int_equal(deco_npy_map_open(&a, scratch("w.npy"), false), DECO_OK);
    unlink(scratch("w.npy"));
    assert_string_equal(a.descr, "<f4");
    assert_int_equal(a.dims, 2);
    assert_int_equal(a.shape[1], 3);
    assert_memory_equal(a.data, values, sizeof values);
    deco_npy_map_close(&a);
    deco_npy_map_close(&a); /* takes one that is not open */
    assert_int_equal(deco_npy_write(scratch("w.npy"), "<f4", 2, none, values), DECO_OK);
    assert_int_equal(deco_npy_map_open(&a, scratch("w.npy"), false), DECO_OK);
    assert_non_null(a.data);
    deco_npy_map_close(&a);
}

static void a_copied_or_small_array_does_not_need_its_file_any_more(void **state)
{
    const float value = 7;
    const int64_t small[1] = {5000}, large[1] = {(int64_t)(DECO_NPY_SMALL / sizeof(float)) + 1};
    const struct {
        const int64_t *shape;
        bool copy;
    } cases[] = {{small, false}, {small, true}, {large, true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        deco_npy_map a;
        float *data = calloc((size_t)*cases[i].shape, sizeof *data);
        data[*cases[i].shape - 1] = value;
        assert_int_equal(deco_npy_write(scratch("w.npy"), "<f4", 1, cases[i].shape, data), DECO_OK);
        assert_int_equal(deco_npy_map_open(&a, scratch("w.npy"), cases[i].copy), DECO_OK);
        assert_int_equal(truncate(scratch("w.npy"), 100), 0);
        assert_true(((const float *)a.data)[*cases[i].shape - 1] == value); /* of a mapping: SIGBUS */
        deco_npy_map_close(&a);
        assert_int_equal(deco_npy_map_open(&a, scratch("w.npy"), cases[i].copy), DECO_E_FORMAT);
        assert_null(a.base);
        free(data);
    }
}

static void what_would_need_a_copy_is_not_seen_in_place(void **state)
{
    static const char *const headers[] = {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}",
                                          "{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}",
                                          "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", /* begins at byte 64 + 2 */
                                          "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}"};
    const float two[2] = {1, 2};
    deco_npy_map a;

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        assert_int_equal(deco_npy_map_open(&a, npy_file(1, headers[i], two, sizeof two), false), DECO_E_FORMAT);
        assert_null(a.base);
    }
}

static void scalars_and_empty_arrays_read_back(void **state)
{
    const int64_t shape[3] = {4, 0, 2};
    const double pi = 3.25;
    deco_npy a;

    assert_int_equal(deco_npy_write(scratch("w.npy"), "<f8", 0, NULL, &pi), DECO_OK);
    assert_int_equal(deco_npy_read(&a, scratch("w.npy")), DECO_OK);
    assert_int_equal(a.dims, 0);
    assert_int_equal(a.count, 1);
    assert_memory_equal(a.data, &pi, sizeof pi);
    deco_npy_free(&a);
    assert_int_equal(deco_npy_write(scratch("w.npy"), "|u1", 3, shape, &pi), DECO_OK);
    assert_int_equal(deco_npy_read(&a, scratch("w.npy")), DECO_OK);
    assert_int_equal(a.dims, 3);
    assert_int_equal(a.count, 0);
    deco_npy_free(&a);
}

/* NumPy aligns the data to 64 bytes, so that a mapped array can be used as it is. */
static void written_data_begin_at_a_multiple_of_64(void **state)
{
    const int64_t shape[1] = {3};
    const uint16_t values[3] = {1, 2, 3};
    size_t n;

    assert_int_equal(deco_npy_write(scratch("w.npy"), "<u2", 1, shape, values), DECO_OK);
    unsigned char *bytes = scratch_get(&n, scratch("w.npy"));
    assert_int_equal((n - sizeof values) % 64, 0);
    assert_int_equal(bytes[n - sizeof values - 1], '\n');
    assert_non_null(strstr((char *)bytes + 10, "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }"));
    free(bytes);
}

static void fortran_order_becomes_c_order(void **state)
{
    const uint8_t columns[24] = {0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23};
    deco_npy a;

    assert_int_equal(deco_npy_read(&a, npy_file(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4)}", columns, 24)), DECO_OK);
    for (int i = 0; i < 24; i++)
        assert_int_equal(((uint8_t *)a.data)[i], i);
    deco_npy_free(&a);
}

static void big_endian_becomes_native(void **state)
{
    const unsigned char u4[8] = {0, 0, 1, 2, 255, 0, 0, 1}, c8[8] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}; /* 1 - 2i */
    const unsigned char rows[12] = {9, 0, 1, 0, 2, 7, 8, 0, 3, 0, 4, 6};
    deco_npy a;
    deco_table *t;

    assert_int_equal(deco_npy_read(&a, npy_file(1, "{'descr': '>u4', 'fortran_order': False, 'shape': (2,), }", u4, 8)), DECO_OK);
    assert_int_equal(((uint32_t *)a.data)[0], 0x102);
    assert_int_equal(((uint32_t *)a.data)[1], 0xff000001);
    deco_npy_free(&a);
    assert_int_equal(deco_npy_read(&a, npy_file(1, "{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", c8, 8)), DECO_OK);
    assert_true(((float *)a.data)[0] == 1 && ((float *)a.data)[1] == -2);
    deco_npy_free(&a);
    assert_int_equal(
        deco_npy_read_table(
            &t,
            npy_file(1, "{'descr': [('a', '|u1'), ('b', '>i2', (2,)), ('c', '|S1')], 'fortran_order': False, 'shape': (2,), }", rows, 12)),
        DECO_OK);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            assert_true(deco_cell_real(deco_table_find(t, "b"), i, k) == 2 * i + k + 1);
    deco_table_free(t);
}

static void unusual_but_right_headers_are_read(void **state)
{
    static const char *const headers[] = {
        "{\"shape\": (2,), \"fortran_order\": False, \"descr\": [(\"uid\", \"<u8\")]}",         /* other order, other quotes */
        "{ 'descr' :[ ('uid','<u8',), ] ,'fortran_order':False,\n'shape':(2L,),}   \n",         /* Python 2; trailing commas */
        "{'descr': [('uid', '<u8'), ('', '|V4')], 'fortran_order': False, 'shape': (2,), }",    /* padding */
        "{'descr': [('uid', '=u8', ()), ('x', '<f4', 1)], 'fortran_order': False, 'shape': 2}", /* bare sizes */
        "{'descr': [('\\x75i\\u0064', '<u8')], 'fortran_order': True, 'shape': (2,), }",        /* escapes; order of one axis */
        "{'descr': [('it\\'s \\\\\\n', '|u1'), ('uid', '<u8')], 'fortran_order': False, 'shape': (2,), }",
    };
    const size_t row[] = {8, 8, 12, 12, 8, 9}, at[] = {0, 0, 0, 0, 0, 1};
    unsigned char data[32] = {0};

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        for (int v = 1; v <= 3; v++) {
            deco_table *t = NULL;
            const deco_column *uid;
            memset(data, 0, sizeof data);
            data[at[i]] = 5;
            data[row[i] + at[i]] = 6;
            if (deco_npy_read_table(&t, npy_file(v, headers[i], data, 2 * row[i])))
                fail_msg("%s: %s", headers[i], deco_error());
            uid = deco_table_find(t, "uid");
            assert_non_null(uid);
            assert_int_equal(deco_cell_u64(uid, 0, 0), 5);
            assert_int_equal(deco_cell_u64(uid, 1, 0), 6);
            deco_table_free(t);
        }
}

static void latin1_names_become_utf8(void **state)
{
    deco_table *t = NULL;
    const char *header = "{'descr': [('gr\xf6\xdf"
                         "e', '|u1')], 'fortran_order': False, 'shape': (1,), }";

    assert_int_equal(deco_npy_read_table(&t, npy_file(1, header, "\7", 1)), DECO_OK);
    assert_non_null(deco_table_find(t, "größe"));
    deco_table_free(t);
    assert_int_equal(deco_npy_read_table(&t, npy_file(3, header, "\7", 1)), DECO_E_FORMAT); /* in version 3 this is no text */
    assert_non_null(strstr(deco_error(), "not UTF-8"));
}

static void wrong_headers_are_refused_with_their_fault(void **state)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }", "column 'a' holds Python objects (pickles)"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "holds Python objects (pickles)"},
        {"{'descr': [('a', '<U3')], 'fortran_order': False, 'shape': (1,), }", "column 'a' holds text in UTF-32"},
        {"{'descr': [('a', '<M8[ns]')], 'fortran_order': False, 'shape': (1,), }", "holds dates"},
        {"{'descr': [('a', '<f3')], 'fortran_order': False, 'shape': (1,), }", "its type is '<f3'"},
        {"{'descr': [('a', '<f')], 'fortran_order': False, 'shape': (1,), }", "type without a size"},
        {"{'descr': [('a', '|V4')], 'fortran_order': False, 'shape': (1,), }", "type without meaning"},
        {"{'descr': '|V4', 'fortran_order': False, 'shape': (1,), }", "type without meaning"},
        {"{'descr': [('a', '|S99999999999999999999')], 'fortran_order': False, 'shape': (1,), }", "is of a type that is not read"},
        {"{'descr': [('a', [('b', '<f4')])], 'fortran_order': False, 'shape': (1,), }", "is a record of its own"},
        {"{'descr': [(('title', 'a'), '<f4')], 'fortran_order': False, 'shape': (1,), }", "has a title"},
        {"{'descr': [('', '<f4')], 'fortran_order': False, 'shape': (1,), }", "column 1 of its header has no name"},
        {"{'descr': [('a', '<f2'), ('a', '<f2')], 'fortran_order': False, 'shape': (1,), }", "'a' stands twice"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (-1,), }", "negative size"},
        {"{'descr': [('a', '<f4', (-3,))], 'fortran_order': False, 'shape': (1,), }", "negative size"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (99999999999999999999,), }", "above 2^63"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (9000000000000000000,), }", "more than any file holds"},
        {"{'descr': [('a', '<f4', (4000000000, 4000000000))], 'fortran_order': False, 'shape': (1,), }", "more than 2^63 values"},
        {"{'descr': [('a', '<f8', (4000000000000000000,))], 'fortran_order': False, 'shape': (1,), }", "longer than 2^64 bytes"},
        {"{'descr': [('a', '<f4', (1, 1, 1, 1, 1))], 'fortran_order': False, 'shape': (1,), }", "5 dimensions"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }", "more than 8 dimensions"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1), }", "rows of several dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "holds a plain array"},
        {"{'descr': [], 'fortran_order': False, 'shape': (3,), }", "3 rows of nothing"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), 'x': 1}", "an unknown key 'x'"},
        {"{'descr': [('a', '<f4')], 'descr': [('a', '<f4')], 'shape': (1,), }", "twice the key 'descr'"},
        {"{'descr': [('a', '<f4')], 'shape': (1,), }", "lacks one of"},
        {"{'descr': [('a', '<f4')], 'fortran_order': 0, 'shape': (1,), }", "'0' where True or False"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), } x", "'x' where the end"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1 2), }", "'2' where a comma"},
        {"{'descr': [('a', '<f4", "ends where a closing quote"},
        {"{'descr': [('a\\q', '<f4')], 'fortran_order': False, 'shape': (1,), }", "where an escape"},
        {"{'descr': [('a\\0', '<f4')], 'fortran_order': False, 'shape': (1,), }", "where an escape"},
        {"{'descr': [('a\\x00', '<f4')], 'fortran_order': False, 'shape': (1,), }", "a zero byte"},
        {"__import__('os').system('true')", "'_' where {"},
        {"", "ends where {"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        deco_table *t = NULL;
        deco_status st = deco_npy_read_table(&t, npy_file(1, cases[i].header, "\0\0\0\0", 4));
        assert_null(t);
        if (st != DECO_E_FORMAT || !strstr(deco_error(), cases[i].words) || !strstr(deco_error(), "a.npy"))
            fail_msg("%s\n gave %d, '%s'; expected '%s'", cases[i].header, st, deco_error(), cases[i].words);
    }
}

static void a_cut_or_grown_file_says_how_much_it_holds(void **state)
{
    const char *table = "{'descr': [('a', '<f4'), ('b', '<u2')], 'fortran_order': False, 'shape': (12,), }", data[80] = "";
    const char *array = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }";
    deco_table *t = NULL;
    deco_npy a;

    assert_int_equal(deco_npy_read_table(&t, npy_file(1, table, data, 7 * 6 + 3)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "a.npy: ends in row 7 of 12"));
    assert_int_equal(deco_npy_read_table(&t, npy_file(1, table, data, 12 * 6 + 1)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "1 bytes more than the 12 rows"));
    assert_int_equal(deco_npy_read(&a, npy_file(1, array, data, 5 * 8)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "ends after 5 of 6 values"));
    assert_null(a.data);
}

static void a_header_longer_than_the_file_is_refused(void **state)
{
    const unsigned char lie[] = "\x93NUMPY\2\0\xff\xff\xff\xff{'descr': '<f4'";
    deco_npy a;

    assert_int_equal(deco_npy_read(&a, scratch_put("lie.npy", lie, sizeof lie - 1)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "claims 4294967295 bytes"));
}

static void what_is_no_npy_file_is_named(void **state)
{
    deco_npy a;

    assert_int_equal(deco_npy_read(&a, scratch("absent.npy")), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "absent.npy"));
    assert_int_equal(deco_npy_read(&a, scratch(".")), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "directory"));
    assert_int_equal(deco_npy_read(&a, scratch_put("b.npy", "", 0)), DECO_E_FORMAT);
    assert_int_equal(deco_npy_read(&a, scratch_put("b.npy", "hello, world", 12)), DECO_E_FORMAT);
    assert_int_equal(deco_npy_read(&a, scratch_put("b.npy", "\x93NUMPY\4\0\0\0\0\0", 12)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "version 4.0"));
}

static void tables_of_every_type_read_back(void **state)
{
    static const struct {
        const char *name;
        char kind;
        size_t item;
        int dims;
        int64_t shape[4];
    } columns[] = {{"uid", 'u', 8, 0, {0}},  {"a/u1", 'u', 1, 0, {0}},   {"a/i1", 'i', 1, 1, {3}},         {"a/u2", 'u', 2, 0, {0}},
                   {"a/i8", 'i', 8, 0, {0}}, {"a/f2", 'f', 2, 0, {0}},   {"a/f4", 'f', 4, 2, {2, 2}},      {"a/f8", 'f', 8, 0, {0}},
                   {"a/c8", 'c', 8, 0, {0}}, {"a/c16", 'c', 16, 1, {2}}, {"it's \\ \"\n", 'S', 7, 0, {0}}, {"größe/粒子", 'S', 0, 0, {0}},
                   {"a/b", 'b', 1, 0, {0}},  {"a/e", 'f', 4, 1, {0}}};
    enum { COLUMNS = sizeof columns / sizeof *columns, ROWS = 5 };
    deco_table *t = NULL, *back = NULL;

    assert_int_equal(deco_table_create(&t, ROWS, "made"), DECO_OK);
    for (int i = 0; i < COLUMNS; i++) {
        deco_column *c;
        assert_int_equal(deco_table_add(t, &c, columns[i].name, columns[i].kind, columns[i].item, columns[i].dims, columns[i].shape),
                         DECO_OK);
        for (size_t b = 0; b < ROWS * c->stride; b++)
            c->data[b] = (unsigned char)(b * 37 + (size_t)i + 1);
    }
    assert_int_equal(deco_npy_write_table(scratch("t.npy"), t), DECO_OK);
    if (deco_npy_read_table(&back, scratch("t.npy")))
        fail_msg("%s", deco_error());
    assert_int_equal(back->rows, ROWS);
    assert_int_equal(back->columns, COLUMNS);
    for (int i = 0; i < COLUMNS; i++) {
        const deco_column *a = &t->column[i], *b = &back->column[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->item, b->item);
        assert_int_equal(a->dims, b->dims);
        assert_int_equal(a->cells, b->cells);
        for (int r = 0; r < ROWS; r++)
            assert_memory_equal(a->data + (size_t)r * a->stride, b->data + (size_t)r * b->stride, a->stride);
    }
    deco_table_free(back);
    deco_table_free(t);
}

/* Version 1 gives its header 16 bits of length. */
static void a_header_over_64_kib_is_written_in_version_2(void **state)
{
    enum { COLUMNS = 3000 };
    deco_table *t = NULL, *back = NULL;
    size_t n;

    assert_int_equal(deco_table_create(&t, 2, "made"), DECO_OK);
    for (int i = 0; i < COLUMNS; i++) {
        char name[64];
        deco_column *c;
        snprintf(name, sizeof name, "alignments_class3D_%d/error", i);
        assert_int_equal(deco_table_add(t, &c, name, 'f', 4, 0, NULL), DECO_OK);
        deco_cell_set_real(c, 1, 0, i);
    }
    assert_int_equal(deco_npy_write_table(scratch("long.npy"), t), DECO_OK);
    unsigned char *bytes = scratch_get(&n, scratch("long.npy"));
    assert_int_equal(bytes[6], 2);
    assert_int_equal((n - COLUMNS * 8) % 64, 0);
    free(bytes);
    assert_int_equal(deco_npy_read_table(&back, scratch("long.npy")), DECO_OK);
    assert_true(deco_cell_real(deco_table_find(back, "alignments_class3D_2999/error"), 1, 0) == 2999);
    deco_table_free(back);
    deco_table_free(t);
}

/* Whatever a byte becomes: a table whose every cell can be read, or an error; the sanitizer watches. */
static void no_cut_and_no_changed_byte_is_read_past_its_end(void **state)
{
    const char *header =
        "{'descr': [('uid', '<u8'), ('p/e', '|S3'), ('', '|V2'), ('q', '>f4', (2,))], 'fortran_order': False, 'shape': (2,), }";
    unsigned char data[2 * 21] = {1}, *bytes;
    size_t n;

    bytes = scratch_get(&n, npy_file(1, header, data, sizeof data));
    for (size_t cut = 0; cut < n; cut++) {
        deco_table *t = NULL;
        assert_int_equal(deco_npy_read_table(&t, scratch_put("cut.npy", bytes, cut)), DECO_E_FORMAT);
    }
    for (size_t at = 0; at < n - sizeof data; at++)
        for (int k = 0; k < 6; k++) {
            static const char other[] = "\0'9(>\xff";
            unsigned char was = bytes[at];
            deco_table *t = NULL;
            deco_npy a;
            bytes[at] = (unsigned char)other[k];
            const char *path = scratch_put("flip.npy", bytes, n);
            if (!deco_npy_read_table(&t, path))
                for (int64_t c = 0; c < t->columns; c++)
                    for (int64_t r = 0; r < t->rows; r++)
                        for (int64_t i = 0; i < t->column[c].cells; i++)
                            deco_cell_u64(&t->column[c], r, i);
            deco_table_free(t);
            if (!deco_npy_read(&a, path))
                deco_npy_free(&a);
            bytes[at] = was;
        }
    free(bytes);
}

static void a_folder_that_is_not_there_leaves_no_file(void **state)
{
    const int64_t shape[1] = {1};

    assert_int_equal(deco_npy_write(scratch("no/such/a.npy"), "|u1", 1, shape, "x"), DECO_E_FILE);
    assert_int_equal(deco_npy_write(scratch("x.npy"), "|O", 1, shape, "x"), DECO_E_ARGUMENT);
    assert_int_not_equal(access(scratch("x.npy"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_array_reads_back),
        cmocka_unit_test(plain_array_is_seen_in_place_and_outlives_its_name),
        cmocka_unit_test(a_copied_or_small_array_does_not_need_its_file_any_more),
        cmocka_unit_test(what_would_need_a_copy_is_not_seen_in_place),
        cmocka_unit_test(scalars_and_empty_arrays_read_back),
        cmocka_unit_test(written_data_begin_at_a_multiple_of_64),
        cmocka_unit_test(fortran_order_becomes_c_order),
        cmocka_unit_test(big_endian_becomes_native),
        cmocka_unit_test(unusual_but_right_headers_are_read),
        cmocka_unit_test(latin1_names_become_utf8),
        cmocka_unit_test(wrong_headers_are_refused_with_their_fault),
        cmocka_unit_test(a_cut_or_grown_file_says_how_much_it_holds),
        cmocka_unit_test(a_header_longer_than_the_file_is_refused),
        cmocka_unit_test(what_is_no_npy_file_is_named),
        cmocka_unit_test(tables_of_every_type_read_back),
        cmocka_unit_test(a_header_over_64_kib_is_written_in_version_2),
        cmocka_unit_test(no_cut_and_no_changed_byte_is_read_past_its_end),
        cmocka_unit_test(a_folder_that_is_not_there_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
