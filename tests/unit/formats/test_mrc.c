/* MRC: what is written reads back, headers that lie are refused, half precision rounds as IEEE says. */
#include "formats/mrc.h"
#include "support/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static float value_of(int i) { return (float)((i * 37) % 101) - 40.5f; }

static void fill(float *v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = value_of(i);
}

static float header_real(const unsigned char *h, int byte)
{
    float f;
    memcpy(&f, h + byte, 4);
    return f;
}

static int header_int(const unsigned char *h, int byte)
{
    int32_t i;
    memcpy(&i, h + byte, 4);
    return i;
}

static void volume_reads_back_with_cell_and_statistics(void **state)
{
    enum { X = 4, Y = 3, Z = 5, N = X * Y * Z };
    float v[N], back[N];
    deco_mrc *m;
    size_t size;
    double mean = 0, squares = 0;
    (void)state;

    fill(v, N);
    assert_int_equal(deco_mrc_write_volume(scratch("v.mrc"), v, X, Y, Z, 1.5, "a label"), DECO_OK);
    assert_int_equal(deco_mrc_open(&m, scratch("v.mrc")), DECO_OK);
    assert_int_equal(m->nx, X);
    assert_int_equal(m->ny, Y);
    assert_int_equal(m->nz, Z);
    assert_float_equal(m->psize_A, 1.5, 0);
    assert_int_equal(deco_mrc_read(m, back, 0, Z), DECO_OK);
    assert_memory_equal(v, back, sizeof v);
    deco_mrc_close(m);

    unsigned char *h = scratch_get(&size, scratch("v.mrc"));
    assert_int_equal(size, 1024 + sizeof v);
    for (int i = 0; i < N; i++)
        mean += v[i] / (double)N;
    for (int i = 0; i < N; i++)
        squares += (v[i] - mean) * (v[i] - mean) / N;
    /* the header's numbers are f32: half an ulp of values up to 60 is 2e-6 */
    assert_float_equal(header_real(h, 76), -40.5, 0);
    assert_float_equal(header_real(h, 80), 59.5, 0);
    assert_float_equal(header_real(h, 84), mean, 4e-6);
    assert_float_equal(header_real(h, 216), sqrt(squares), 4e-6);
    assert_float_equal(header_real(h, 48), Z * 1.5, 0);
    assert_int_equal(header_int(h, 88), 1);
    assert_int_equal(header_int(h, 108), 20141);
    assert_memory_equal(h + 104, "\0\0\0\0", 4);
    assert_memory_equal(h + 208, "MAP ", 4);
    assert_int_equal(header_int(h, 220), 1);
    assert_memory_equal(h + 224, "a label  ", 9);
    free(h);
}

static void stack_of_each_mode_reads_back_image_by_image(void **state)
{
    enum { D = 40, N = 3 }; /* an image is longer than one chunk of the reader */
    static float v[N * D * D], back[D * D];
    static const int modes[] = {2, 12};
    (void)state;

    fill(v, N * D * D); /* multiples of 1/2 below 2^7: exact in half precision */
    for (int k = 0; k < 2; k++) {
        deco_mrc_writer *w;
        deco_mrc *m;
        assert_int_equal(deco_mrc_stack_create(&w, scratch("s.mrcs"), D, D, N, 1.25, modes[k]), DECO_OK);
        for (int i = 0; i < N; i++)
            assert_int_equal(deco_mrc_stack_append(w, v + i * D * D), DECO_OK);
        assert_int_equal(deco_mrc_stack_append(w, v), DECO_E_ARGUMENT);
        assert_int_equal(deco_mrc_stack_commit(w), DECO_OK);
        assert_int_equal(deco_mrc_open(&m, scratch("s.mrcs")), DECO_OK);
        assert_int_equal(m->mode, modes[k]);
        assert_int_equal(m->nz, N);
        for (int i = N - 1; i >= 0; i--) {
            assert_int_equal(deco_mrc_read(m, back, i, 1), DECO_OK);
            assert_memory_equal(back, v + i * D * D, sizeof back);
        }
        assert_int_equal(deco_mrc_read(m, back, N, 1), DECO_E_ARGUMENT);
        assert_non_null(strstr(deco_error(), "image 3 asked for (from 0); the file has 3"));
        assert_int_equal(deco_mrc_read(m, back, -1, 1), DECO_E_ARGUMENT);
        deco_mrc_close(m);
    }
}

static void stack_with_images_missing_is_not_left_behind(void **state)
{
    float v[4] = {1, 2, 3, 4};
    deco_mrc_writer *w;
    (void)state;
    assert_int_equal(deco_mrc_stack_create(&w, scratch("short.mrcs"), 2, 2, 2, 1, 2), DECO_OK);
    assert_int_equal(deco_mrc_stack_append(w, v), DECO_OK);
    assert_int_equal(deco_mrc_stack_commit(w), DECO_E_ARGUMENT);
    assert_int_not_equal(access(scratch("short.mrcs"), F_OK), 0);
}

/* Opens a good 3-image stack of 4x4 floats after `change` and expects words in the message. */
static void expect_refused(int byte, int32_t value, size_t size, const char *words)
{
    unsigned char bytes[1024 + 3 * 16 * 4];
    float v[48];
    deco_mrc_writer *w;
    deco_mrc *m;
    size_t n;

    fill(v, 48);
    assert_int_equal(deco_mrc_stack_create(&w, scratch("good.mrcs"), 4, 4, 3, 1, 2), DECO_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(deco_mrc_stack_append(w, v + 16 * i), DECO_OK);
    assert_int_equal(deco_mrc_stack_commit(w), DECO_OK);
    unsigned char *good = scratch_get(&n, scratch("good.mrcs"));
    assert_int_equal(n, sizeof bytes);
    memcpy(bytes, good, n);
    free(good);
    if (byte >= 0)
        memcpy(bytes + byte, &value, 4);
    assert_int_equal(deco_mrc_open(&m, scratch_put("bad.mrcs", bytes, size ? size : n)), DECO_E_FORMAT);
    assert_null(m);
    if (!strstr(deco_error(), words) || !strstr(deco_error(), "bad.mrcs"))
        fail_msg("message: %s", deco_error());
}

static void lying_headers_are_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused(0, 0, 0, "nx, ny, nz are 0, 4, 3");
    expect_refused(8, -3, 0, "nx, ny, nz are 4, 4, -3");
    expect_refused(8, INT32_MAX, 0, "only the first 3 are whole");
    expect_refused(12, 4, 0, "complex");
    expect_refused(12, 101, 0, "4-bit");
    expect_refused(12, 99, 0, "mode 99 is not known");
    expect_refused(92, -1, 0, "cannot be negative");
    expect_refused(92, 64, 0, "only the first 2 are whole");
    expect_refused(-1, 0, 1024 + 100, "only the first 1 are whole");
    expect_refused(-1, 0, 1000, "inside the 1024-byte MRC header");
}

static void sizes_that_overflow_are_refused(void **state)
{
    unsigned char h[2048] = {0};
    int32_t huge = INT32_MAX, mode = 2;
    deco_mrc *m;
    (void)state;
    for (int i = 0; i < 3; i++)
        memcpy(h + 4 * i, &huge, 4);
    memcpy(h + 12, &mode, 4);
    h[212] = h[213] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0x44 : 0x11;
    assert_int_equal(deco_mrc_open(&m, scratch_put("huge.mrc", h, sizeof h)), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "more than any file holds"));
}

static void missing_file_and_folder_are_told_apart(void **state)
{
    deco_mrc *m;
    (void)state;
    assert_int_equal(deco_mrc_open(&m, scratch("none.mrc")), DECO_E_FILE);
    assert_int_equal(deco_mrc_open(&m, scratch("")), DECO_E_FILE);
    assert_non_null(strstr(deco_error(), "is a directory"));
}

static void file_cut_after_opening_is_an_error_not_a_crash(void **state)
{
    float v[16] = {0}, back[16];
    deco_mrc *m;
    (void)state;
    assert_int_equal(deco_mrc_write_volume(scratch("cut.mrc"), v, 4, 4, 1, 1, "x"), DECO_OK);
    assert_int_equal(deco_mrc_open(&m, scratch("cut.mrc")), DECO_OK);
    assert_int_equal(truncate(scratch("cut.mrc"), 1030), 0);
    assert_int_equal(deco_mrc_read(m, back, 0, 1), DECO_E_FORMAT);
    deco_mrc_close(m);
}

/* Every half to float by the definition, and back to the same bits. */
static void every_half_converts_both_ways(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
        double want = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
        float got = deco_float_from_half((uint16_t)h);
        if (h & 0x8000)
            want = -want;
        if (isnan(want))
            assert_true(isnan(got) && isnan(deco_float_from_half(deco_half_from_float(got))));
        else if ((double)got != want || !signbit(got) != !signbit(want) || deco_half_from_float(got) != h)
            fail_msg("half %04x is %g, not %g", h, (double)got, want);
    }
}

/* Between two halves the nearer one; half way the even one. */
static void floats_round_to_the_nearest_half(void **state)
{
    (void)state;
    for (uint16_t h = 0; h < 0x7bff; h++) {
        double a = deco_float_from_half(h), b = deco_float_from_half((uint16_t)(h + 1)), middle = (a + b) / 2;
        assert_int_equal(deco_half_from_float((float)middle), h & 1 ? h + 1 : h);
        assert_int_equal(deco_half_from_float(nextafterf((float)middle, 0)), h);
        assert_int_equal(deco_half_from_float(nextafterf((float)middle, HUGE_VALF)), h + 1);
    }
    assert_int_equal(deco_half_from_float(65519.99f), 0x7bff);
    assert_int_equal(deco_half_from_float(65520), 0x7c00);
    assert_int_equal(deco_half_from_float(-1e30f), 0xfc00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volume_reads_back_with_cell_and_statistics),
        cmocka_unit_test(stack_of_each_mode_reads_back_image_by_image),
        cmocka_unit_test(stack_with_images_missing_is_not_left_behind),
        cmocka_unit_test(lying_headers_are_refused_with_the_reason),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(missing_file_and_folder_are_told_apart),
        cmocka_unit_test(file_cut_after_opening_is_an_error_not_a_crash),
        cmocka_unit_test(every_half_converts_both_ways),
        cmocka_unit_test(floats_round_to_the_nearest_half),
    };
    return cmocka_run_group_tests_name("mrc", tests, NULL, NULL);
}
