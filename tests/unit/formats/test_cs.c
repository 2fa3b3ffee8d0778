/* .cs files: what is written keeps every column bit for bit; CSDAT files that lie or are cut are refused. */
#include "formats/cs.h"
#include "support/scratch.h"

#include <lz4.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* A CSDAT file being put together. */
typedef struct csdat {
    unsigned char bytes[1 << 16];
    size_t n;
} csdat;

static void put(csdat *f, const void *bytes, size_t n)
{
    assert_true(f->n + n <= sizeof f->bytes);
    memcpy(f->bytes + f->n, bytes, n);
    f->n += n;
}

static void put_section(csdat *f, const void *bytes, size_t n)
{
    unsigned char size[4] = {n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 & 255};
    put(f, size, 4);
    put(f, bytes, n);
}

static void put_packed(csdat *f, const void *bytes, size_t n)
{
    char packed[1 << 12];
    int k = LZ4_compress_default(bytes, packed, (int)n, sizeof packed);

    assert_true(k > 0);
    put_section(f, packed, (size_t)k);
}

static csdat begin(const char *header)
{
    csdat f = {.n = 0};

    put(&f,
        "\x95"
        "CSDAT",
        6);
    put_section(&f, header, strlen(header));
    return f;
}

static const char two_rows[] = "{\"length\": 2, \"dtype\": [[\"uid\", \"<u8\"], [\"blob/path\", \"|O\"], [\"ctf/shift_A\", \">f4\", [2]]], "
                               "\"compression\": \"lz4\", \"compressed_fields\": [\"blob/path\", \"ctf/shift_A\"]}";

static csdat good(void)
{
    const uint64_t uid[2] = {7, UINT64_MAX}, path[2] = {5, 0};
    const unsigned char shift[16] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0, 0x40, 0x40, 0, 0, 0xbf, 0x80, 0, 0};
    csdat f = begin(two_rows);

    put_section(&f, uid, sizeof uid);
    put_packed(&f, path, sizeof path);
    put_packed(&f, shift, sizeof shift);
    put(&f, "a/粒", sizeof "a/粒"); /* 6 bytes: offset 5 is its end, "" */
    return f;
}

static deco_status read_bytes(deco_table **t, const csdat *f) { return deco_cs_read(t, scratch_put("made.cs", f->bytes, f->n)); }

static void refused(const csdat *f, const char *words)
{
    deco_table *t = NULL;
    deco_status st = read_bytes(&t, f);

    assert_null(t);
    if (st != DECO_E_FORMAT || !strstr(deco_error(), words) || !strstr(deco_error(), "made.cs"))
        fail_msg("gave %d, '%s'; expected '%s'", st, deco_error(), words);
}

static void csdat_gives_numbers_and_texts(void **state)
{
    csdat f = good();
    deco_table *t = NULL;
    const deco_column *c;
    char text[16];

    if (read_bytes(&t, &f))
        fail_msg("%s", deco_error());
    assert_int_equal(t->rows, 2);
    assert_true(deco_cell_u64(deco_table_find(t, "uid"), 1, 0) == UINT64_MAX);
    c = deco_table_find(t, "ctf/shift_A"); /* big-endian in the file */
    assert_true(deco_cell_real(c, 0, 0) == 1 && deco_cell_real(c, 0, 1) == 2 && deco_cell_real(c, 1, 0) == 3 &&
                deco_cell_real(c, 1, 1) == -1);
    assert_int_equal(deco_table_need(&c, t, "blob/path", 'S', 1), DECO_OK);
    assert_int_equal(c->item, 5);
    deco_cell_text(text, sizeof text, c, 0);
    assert_string_equal(text, "");
    deco_cell_text(text, sizeof text, c, 1);
    assert_string_equal(text, "a/粒");
    deco_table_free(t);
}

static void csdat_headers_that_lie_are_refused(void **state)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"no JSON", "no JSON object"},
        {"{\"length\": 2}", "no JSON object with a list \"dtype\""},
        {"{\"length\": -2, \"dtype\": []}", "no usable number of rows"},
        {"{\"length\": 2.5, \"dtype\": []}", "no usable number of rows"},
        {"{\"length\": 1e300, \"dtype\": []}", "no usable number of rows"},
        {"{\"length\": 2, \"dtype\": [[\"uid\", \"<q8\"]]}", "column 'uid' is of a type that is not read"},
        {"{\"length\": 2, \"dtype\": [[\"uid\"]]}", "without a name or a type"},
        {"{\"length\": 2, \"dtype\": [\"uid\"]}", "without a name or a type"},
        {"{\"length\": 2, \"dtype\": [[\"\", \"<u8\"]]}", "without a name or a type"},
        {"{\"length\": 2, \"dtype\": [[\"uid\", \"<u8\"], [\"uid\", \"|O\"]]}", "'uid' stands twice"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\", [-1]]]}", "impossible shape"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\", 3]]}", "a shape that is no list"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\", [1, 1, 1, 1, 1]]]}", "more than 4 dimensions"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\", [9007199254740992, 9007199254740992]]]}", "impossible shape"},
        {"{\"length\": 9007199254740992, \"dtype\": [[\"x\", \"<u8\", [9007199254740992]]]}", "larger than any file"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"|O\", [2]]]}", "several strings a row"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\"]], \"compression\": \"zstd\"}", "compressed by 'zstd'; only lz4"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\"]], \"compression\": null, \"compressed_fields\": [\"x\"]}", "names no compression"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\"]], \"compression\": \"lz4\", \"compressed_fields\": [\"y\"]}",
         "calls 'y' compressed, which is no column"},
        {"{\"length\": 2, \"dtype\": [[\"x\", \"<u8\"]]}", "ends before column 'x'"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        csdat f = begin(cases[i].header);
        refused(&f, cases[i].words);
    }
}

static void csdat_sections_that_lie_are_refused(void **state)
{
    const uint64_t uid[2] = {1, 2}, far[2] = {0, 1000};
    const unsigned char shift[16] = {0};
    csdat f = begin(two_rows);

    put_section(&f, uid, 15);
    refused(&f, "column 'uid' needs 16 bytes and the file gives it 15");

    f = begin("{\"length\": 100000000, \"dtype\": [[\"x\", \"<u8\"]], \"compression\": \"lz4\", \"compressed_fields\": [\"x\"]}");
    put_section(&f, uid, 16); /* LZ4 could not make 800 MB of 16 bytes, so none are asked for */
    refused(&f, "column 'x' needs 800000000 bytes and the file gives it 16");

    f = begin(two_rows);
    put_section(&f, uid, sizeof uid);
    put_packed(&f, uid, 8);
    refused(&f, "column 'blob/path' does not unpack");

    f = begin(two_rows);
    put_section(&f, uid, sizeof uid);
    put_packed(&f, far, sizeof far);
    put_packed(&f, shift, sizeof shift);
    put(&f, "text", 5);
    refused(&f, "row 1: the text of 'blob/path' does not end within the file");

    f.n -= 1; /* the heap's last zero */
    refused(&f, "row 0: the text of 'blob/path' does not end within the file");
}

static void a_text_too_long_for_a_column_is_refused(void **state)
{
    const uint64_t path[2] = {0, 4999};
    char text[5000];
    csdat f = begin("{\"length\": 2, \"dtype\": [[\"x\", \"|O\"]]}");

    memset(text, 'x', sizeof text);
    text[4999] = 0;
    put_section(&f, path, sizeof path);
    put(&f, text, sizeof text);
    refused(&f, "longer than 4096 bytes");
}

static void no_cut_and_no_changed_byte_is_read_past_its_end(void **state)
{
    csdat f = good();
    deco_table *t = NULL;

    for (size_t cut = 0; cut + 7 < f.n; cut++) { /* without its heap, offset 5 has nothing to point at */
        csdat g = f;
        g.n = cut;
        assert_int_equal(read_bytes(&t, &g), DECO_E_FORMAT);
        assert_null(t);
    }
    for (size_t at = 0; at < f.n; at++)
        for (int k = 0; k < 4; k++) {
            csdat g = f;
            g.bytes[at] = (unsigned char)("\0\x7f\xff["[k]);
            if (!read_bytes(&t, &g))
                for (int64_t c = 0; c < t->columns; c++)
                    for (int64_t r = 0; r < t->rows; r++)
                        for (int64_t i = 0; i < t->column[c].cells; i++)
                            deco_cell_u64(&t->column[c], r, i);
            deco_table_free(t);
        }
}

static void what_is_no_dataset_is_named(void **state)
{
    deco_table *t = NULL;

    assert_int_equal(deco_cs_read(&t, scratch("absent.cs")), DECO_E_FILE);
    assert_int_equal(deco_cs_read(&t, scratch(".")), DECO_E_FILE);
    assert_int_equal(deco_cs_read(&t, scratch_put("made.cs", "", 0)), DECO_E_FORMAT);
    assert_int_equal(deco_cs_read(&t, scratch_put("made.cs", "hello, this is no dataset", 25)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "is no CryoSPARC dataset"));
}

/* Rows of a subset go out as they came in, byte for byte: the columns are not ours to understand. */
static void a_subset_keeps_every_column_bit_for_bit(void **state)
{
    const int64_t row[2] = {1, 0};
    csdat f = good();
    deco_table *t = NULL, *subset = NULL, *back = NULL;

    assert_int_equal(read_bytes(&t, &f), DECO_OK);
    assert_int_equal(deco_table_select(&subset, t, row, 2), DECO_OK);
    assert_int_equal(deco_cs_write(scratch("subset.cs"), subset), DECO_OK);
    assert_int_equal(deco_cs_read(&back, scratch("subset.cs")), DECO_OK);
    assert_int_equal(back->columns, t->columns);
    for (int64_t i = 0; i < t->columns; i++) {
        const deco_column *a = &t->column[i], *b = &back->column[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->item, b->item);
        for (int k = 0; k < 2; k++)
            assert_memory_equal(a->data + (size_t)row[k] * a->stride, b->data + (size_t)k * b->stride, a->item * (size_t)a->cells);
    }
    deco_table_free(back);
    deco_table_free(subset);
    deco_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csdat_gives_numbers_and_texts),
        cmocka_unit_test(csdat_headers_that_lie_are_refused),
        cmocka_unit_test(csdat_sections_that_lie_are_refused),
        cmocka_unit_test(a_text_too_long_for_a_column_is_refused),
        cmocka_unit_test(no_cut_and_no_changed_byte_is_read_past_its_end),
        cmocka_unit_test(what_is_no_dataset_is_named),
        cmocka_unit_test(a_subset_keeps_every_column_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
