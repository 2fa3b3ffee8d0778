/* safetensors: what is written reads back, and no header is believed that the file does not bear out. */
#include "formats/safetensors.h"
#include "support/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void tensors_and_metadata_read_back(void **state)
{
    const float w[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
    const int64_t step = 12345678901234;
    const double d[2] = {0.1, -1e300};
    const deco_tensor_out out[] = {{"weight", "F32", 2, {2, 3}, w},
                                   {"a \"step\"", "I64", 0, {0}, &step},
                                   {"none", "F32", 2, {0, 4}, NULL},
                                   {"wide", "F64", 1, {2}, d}};
    const char *key[] = {"made by", "größe"}, *value[] = {"a test", "line\nbreak"};
    deco_tensors *t;
    float f[6];
    size_t size;
    int64_t back;
    (void)state;

    assert_int_equal(deco_safetensors_write(scratch("t.safetensors"), out, 4, key, value, 2), DECO_OK);
    unsigned char *bytes = scratch_get(&size, scratch("t.safetensors"));
    assert_int_equal((bytes[0] + 256 * bytes[1] + 8) % 64, 0); /* the data begin on a cache line */
    free(bytes);
    assert_int_equal(deco_safetensors_read(&t, scratch("t.safetensors")), DECO_OK);
    assert_int_equal(t->count, 4);
    const deco_tensor *x = deco_safetensors_find(t, "weight");
    assert_non_null(x);
    assert_int_equal(x->dims, 2);
    assert_int_equal(x->shape[1], 3);
    assert_int_equal(deco_tensor_floats(f, x, t->path), DECO_OK);
    assert_memory_equal(f, w, sizeof w);
    x = deco_safetensors_find(t, "a \"step\"");
    assert_non_null(x);
    assert_int_equal(x->count, 1);
    memcpy(&back, x->data, sizeof back);
    assert_true(back == step);
    assert_int_equal(deco_tensor_floats(f, x, t->path), DECO_E_FORMAT);
    assert_int_equal(deco_tensor_floats(f, deco_safetensors_find(t, "wide"), t->path), DECO_OK);
    assert_true(f[0] == 0.1f && isinf(f[1]));
    assert_int_equal(deco_safetensors_find(t, "none")->count, 0);
    assert_null(deco_safetensors_find(t, "missing"));
    assert_string_equal(deco_safetensors_metadata(t, "größe"), "line\nbreak");
    assert_null(deco_safetensors_metadata(t, "other"));
    deco_safetensors_free(t);
}

static void folder_means_its_model_file(void **state)
{
    deco_tensors *t;
    (void)state;
    assert_int_equal(deco_safetensors_write(scratch("model.safetensors"), NULL, 0, NULL, NULL, 0), DECO_OK);
    assert_int_equal(deco_safetensors_read(&t, scratch("")), DECO_OK);
    assert_int_equal(t->count, 0);
    deco_safetensors_free(t);
}

/* A file of this header and `data` zero bytes; its length can be given wrong. */
static void expect_refused(const char *header, size_t data, uint64_t length, const char *words)
{
    size_t n = strlen(header);
    unsigned char *file = calloc(1, 8 + n + data);
    deco_tensors *t;
    assert_non_null(file);
    if (!length)
        length = n;
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(length >> (8 * i));
    memcpy(file + 8, header, n);
    assert_int_equal(deco_safetensors_read(&t, scratch_put("bad.safetensors", file, 8 + n + data)), DECO_E_FORMAT);
    assert_null(t);
    if (!strstr(deco_error(), words) || !strstr(deco_error(), "bad.safetensors"))
        fail_msg("for %s: %s", header, deco_error());
    free(file);
}

#define ONE(shape, offsets) "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void hostile_headers_are_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused("{}", 0, 1000, "header's length is given as 1000");
    expect_refused("{}", 0, UINT64_MAX, "header's length");
    expect_refused("[]", 0, 0, "not a JSON object");
    expect_refused("{\"a\":", 0, 0, "not a JSON object");
    expect_refused("{\"a\":3}", 8, 0, "dtype (none)");
    expect_refused("{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, 0, "dtype F33 is not known");
    expect_refused(ONE("[2]", "[0,8]"), 7, 0, "truncated");
    expect_refused(ONE("[2]", "[8,0]"), 8, 0, "begin first");
    expect_refused(ONE("[2]", "[-8,0]"), 8, 0, "begin first");
    expect_refused(ONE("[2]", "[0.5,8.5]"), 9, 0, "begin first");
    expect_refused(ONE("[2]", "[0,8,16]"), 16, 0, "begin first");
    expect_refused(ONE("[2]", "[0,1e300]"), 8, 0, "begin first");
    expect_refused(ONE("[3]", "[0,8]"), 8, 0, "3 values of 4 bytes, its data_offsets span 8");
    expect_refused(ONE("[-2]", "[0,8]"), 8, 0, "size 0 of its shape");
    expect_refused(ONE("[1.5]", "[0,8]"), 8, 0, "size 0 of its shape");
    expect_refused(ONE("\"2\"", "[0,8]"), 8, 0, "must be a list");
    expect_refused(ONE("[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, 0, "at most 8");
    expect_refused(ONE("[4294967296,4294967296]", "[0,0]"), 8, 0, "overflows");
    expect_refused(ONE("[4611686018427387904]", "[0,0]"), 8, 0, "size 0"); /* above 2^53: not told apart from its neighbours */
    expect_refused("{\"__metadata__\":{\"k\":1}}", 0, 0, "'k' is not a string");
    expect_refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, 0, "twice");
    expect_refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}", 8,
        0, "'a' and 'b' overlap");
    expect_refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 8,
        0, "'a' stands twice");
}

static void deep_nesting_is_an_error_not_a_stack_overflow(void **state)
{
    enum { DEPTH = 200000 };
    char *header = malloc(DEPTH + 16);
    (void)state;
    assert_non_null(header);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    header[5 + DEPTH] = 0;
    expect_refused(header, 0, 0, "not a JSON object");
    free(header);
}

static void empty_and_cut_files_are_refused(void **state)
{
    deco_tensors *t;
    (void)state;
    assert_int_equal(deco_safetensors_read(&t, scratch_put("empty.safetensors", "", 0)), DECO_E_FORMAT);
    assert_int_equal(deco_safetensors_read(&t, scratch_put("seven.safetensors", "1234567", 7)), DECO_E_FORMAT);
    assert_int_equal(deco_safetensors_read(&t, scratch("missing.safetensors")), DECO_E_FILE);
}

static void tensor_of_unknown_dtype_is_not_written(void **state)
{
    const deco_tensor_out out = {"x", "F31", 1, {1}, "\0\0\0\0"};
    (void)state;
    assert_int_equal(deco_safetensors_write(scratch("no.safetensors"), &out, 1, NULL, NULL, 0), DECO_E_ARGUMENT);
    assert_int_not_equal(access(scratch("no.safetensors"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_and_metadata_read_back),
        cmocka_unit_test(folder_means_its_model_file),
        cmocka_unit_test(hostile_headers_are_refused_with_the_reason),
        cmocka_unit_test(deep_nesting_is_an_error_not_a_stack_overflow),
        cmocka_unit_test(empty_and_cut_files_are_refused),
        cmocka_unit_test(tensor_of_unknown_dtype_is_not_written),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
