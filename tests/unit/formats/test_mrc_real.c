/* What headers of real programs look like: mz and nz as they come, stamps blank or wrong, bytes of IMOD, extended headers, very long stacks. */
#include "formats/mrc.h"
#include "support/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void put_int(unsigned char *h, int byte, int32_t v, bool swapped)
{
    uint32_t u = swapped ? __builtin_bswap32((uint32_t)v) : (uint32_t)v;
    memcpy(h + byte, &u, 4);
}

static void put_real(unsigned char *h, int byte, float v, bool swapped)
{
    uint32_t u = deco_bits_from_float(v);
    put_int(h, byte, (int32_t)u, swapped);
}

/* A header of nz images of 6×6 with pixels of 1.5 Å. */
static void header(unsigned char h[1024], int nz, int mode, bool swapped)
{
    const int words[] = {6, 6, nz, mode, 0, 0, 0, 6, 6, nz};

    memset(h, 0, 1024);
    for (int i = 0; i < 10; i++)
        put_int(h, 4 * i, words[i], swapped);
    put_real(h, 40, 9, swapped);
    put_real(h, 44, 9, swapped);
    h[212] = swapped ? 0x11 : 0x44, h[213] = swapped ? 0x11 : 0x44; /* this machine is little-endian */
}

/* Header, `extended` bytes, and nz images of shorts: image k is filled with 10 k + 1. */
static const char *stack(const unsigned char h[1024], int nz, int extended, bool swapped)
{
    static unsigned char bytes[1024 + 256 + 4 * 72];
    memset(bytes, 0xee, sizeof bytes);
    memcpy(bytes, h, 1024);
    for (int i = 0; i < nz * 36; i++) {
        uint16_t v = (uint16_t)(10 * (i / 36) + 1);
        v = swapped ? __builtin_bswap16(v) : v;
        memcpy(bytes + 1024 + extended + 2 * i, &v, 2);
    }
    return scratch_put("real.mrc", bytes, 1024 + (size_t)extended + (size_t)nz * 72);
}

static void expect(const char *path, int nz)
{
    deco_mrc *m = NULL;
    float v[36];

    if (deco_mrc_open(&m, path))
        fail_msg("%s", deco_error());
    assert_int_equal(m->nz, nz);
    assert_true(m->psize_A == 1.5);
    for (int k = 0; k < nz; k++) {
        assert_int_equal(deco_mrc_read(m, v, k, 1), DECO_OK);
        assert_true(v[0] == (float)(10 * k + 1) && v[35] == v[0]);
    }
    deco_mrc_close(m);
}

/* Images are counted by nz alone: RELION writes mz = nz, others 1; stacks of volumes say ispg 401; a cell may have no depth. */
static void mz_and_ispg_do_not_matter(void **state)
{
    static const int mz[] = {1, 3, 0, -5}, ispg[] = {0, 1, 401};
    unsigned char h[1024];

    (void)state;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            header(h, 3, 1, false);
            put_int(h, 36, mz[i], false);
            put_int(h, 88, ispg[k], false);
            expect(stack(h, 3, 0, false), 3);
        }
}

static void byte_order_is_found_where_the_stamp_is_blank_or_wrong(void **state)
{
    static const unsigned char stamps[] = {0, 0x11, 0x44, 0x7f};
    unsigned char h[1024];

    (void)state;
    for (int swapped = 0; swapped < 2; swapped++)
        for (int i = 0; i < 4; i++) {
            header(h, 2, 1, swapped);
            h[212] = h[213] = stamps[i];
            expect(stack(h, 2, 0, swapped), 2);
        }
}

static void extended_headers_are_passed_over(void **state)
{
    unsigned char h[1024];

    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        header(h, 2, 1, swapped);
        put_int(h, 92, 256, swapped);
        expect(stack(h, 2, 256, swapped), 2);
    }
}

/* Bytes from before the standard: IMOD's stamp without the flag that says they are signed. */
static void bytes_of_imod_may_be_unsigned(void **state)
{
    unsigned char bytes[1024 + 36];
    float v[36];

    (void)state;
    for (int sign = 0; sign < 3; sign++) {
        deco_mrc *m = NULL;
        header(bytes, 1, 0, false);
        memset(bytes + 1024, 200, 36);
        put_int(bytes, 152, sign < 2 ? 1146047817 : 0, false);
        put_int(bytes, 156, sign, false);
        assert_int_equal(deco_mrc_open(&m, scratch_put("bytes.mrc", bytes, sizeof bytes)), DECO_OK);
        assert_int_equal(deco_mrc_read(m, v, 0, 1), DECO_OK);
        assert_true(v[0] == (sign == 0 ? 200 : -56));
        deco_mrc_close(m);
    }
}

/* 100,000 images of 256 px in float16, 13 GB of which the disk holds nothing: the last is where it should be. */
static void a_hundred_thousand_images(void **state)
{
    enum { N = 100000, D = 256 };
    unsigned char h[1024];
    uint16_t one = 0x3c00;
    static float v[D * D];
    const char *path = scratch("long.mrc");
    off_t last = 1024 + (off_t)(N - 1) * D * D * 2;
    deco_mrc *m = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    (void)state;
    header(h, N, 12, false);
    put_int(h, 0, D, false);
    put_int(h, 4, D, false);
    put_int(h, 28, D, false);
    assert_int_equal(write(fd, h, 1024), 1024);
    if (ftruncate(fd, last + D * D * 2) || pwrite(fd, &one, 2, last + 2 * D) != 2) { /* a file system without holes of that size */
        close(fd);
        skip();
    }
    close(fd);
    assert_int_equal(deco_mrc_open(&m, path), DECO_OK);
    assert_int_equal(m->nz, N);
    assert_int_equal(deco_mrc_read(m, v, N - 1, 1), DECO_OK);
    assert_true(v[D] == 1 && v[0] == 0);
    deco_mrc_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mz_and_ispg_do_not_matter),        cmocka_unit_test(byte_order_is_found_where_the_stamp_is_blank_or_wrong),
        cmocka_unit_test(extended_headers_are_passed_over), cmocka_unit_test(bytes_of_imod_may_be_unsigned),
        cmocka_unit_test(a_hundred_thousand_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
