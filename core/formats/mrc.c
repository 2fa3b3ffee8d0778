/* Reading MRC stacks and maps: the header checked against the file, images by pread. */
#include "formats/mrc.h"
#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

#define HEADER         1024
#define HOST_IS_LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

static uint32_t word_at(const unsigned char *header, int byte, bool swapped)
{
    uint32_t u;
    memcpy(&u, header + byte, sizeof u);
    return swapped ? __builtin_bswap32(u) : u;
}

static int64_t int_at(const unsigned char *header, int byte, bool swapped) { return (int32_t)word_at(header, byte, swapped); }
static float float_at(const unsigned char *header, int byte, bool swapped) { return deco_float_from_bits(word_at(header, byte, swapped)); }

/* The order in which mode and width are small numbers; where both orders give such, or neither, the machine stamp says. Old programs left the
 * stamp blank, and some that swapped the bytes left the old one. */
static bool other_byte_order(const unsigned char *header)
{
    unsigned char stamp = header[212];
    bool here = word_at(header, 12, false) <= 0xffff && word_at(header, 0, false) <= 0xffffff;
    bool swapped = word_at(header, 12, true) <= 0xffff && word_at(header, 0, true) <= 0xffffff;

    if (here != swapped)
        return swapped;
    return (stamp == 0x44 || stamp == 0x11) && (stamp == 0x44) != HOST_IS_LITTLE;
}

/* IMOD's own bytes, from before the standard called mode 0 signed: its stamp, and the flag that says they are signed not set. */
static bool unsigned_bytes(const unsigned char *header, bool swapped)
{
    return word_at(header, 152, swapped) == 1146047817 && !(word_at(header, 156, swapped) & 1);
}

/* Bytes a value; 0 with a message when the mode cannot be used. */
static size_t mode_item(const char *path, int64_t mode)
{
    switch (mode) {
    case 0: return 1;
    case 1:
    case 6:
    case 12: return 2;
    case 2: return 4;
    case 3:
    case 4:
        deco_fail(DECO_E_FORMAT,
                  "%s: MRC mode %d holds complex numbers (a transform); images in real space are needed (modes 0, 1, 2, 6, 12)", path,
                  (int)mode);
        return 0;
    case 101:
        deco_fail(DECO_E_FORMAT,
                  "%s: MRC mode 101 packs two 4-bit values in a byte; convert it to mode 2 or 12 first (it is meant for movies)", path);
        return 0;
    default:
        deco_fail(DECO_E_FORMAT, "%s: MRC mode %lld is not known; modes 0, 1, 2, 6 and 12 can be read (is it an MRC file?)", path,
                  (long long)mode);
        return 0;
    }
}

/* The data a header claims must be in the file. */
static deco_status check_size(const deco_mrc *m, uint64_t file_size)
{
    uint64_t pixels, image, all, whole, there = file_size > m->data ? file_size - m->data : 0;
    if (__builtin_mul_overflow((uint64_t)m->nx, (uint64_t)m->ny, &pixels) || __builtin_mul_overflow(pixels, (uint64_t)m->item, &image) ||
        __builtin_mul_overflow(image, (uint64_t)m->nz, &all) || all > INT64_MAX)
        return deco_fail(DECO_E_FORMAT, "%s: the header claims %lld images of %lld×%lld pixels, more than any file holds", m->path,
                         (long long)m->nz, (long long)m->nx, (long long)m->ny);
    if (there >= all)
        return DECO_OK;
    whole = there / image;
    return deco_fail(DECO_E_FORMAT,
                     "%s: truncated: the header says %lld images of %lld×%lld (mode %d, %llu bytes from byte %llu), the file has %llu "
                     "bytes: only the first %llu are whole; copy it again",
                     m->path, (long long)m->nz, (long long)m->nx, (long long)m->ny, m->mode, (unsigned long long)all,
                     (unsigned long long)m->data, (unsigned long long)file_size, (unsigned long long)whole);
}

static deco_status parse_header(deco_mrc *m, const unsigned char *h, uint64_t file_size)
{
    bool s = m->swapped = other_byte_order(h);
    int64_t mode = int_at(h, 12, s), extended = int_at(h, 92, s), mx = int_at(h, 28, s);
    float xlen = float_at(h, 40, s);

    m->nx = int_at(h, 0, s), m->ny = int_at(h, 4, s), m->nz = int_at(h, 8, s);
    if (m->nx <= 0 || m->ny <= 0 || m->nz <= 0)
        return deco_fail(DECO_E_FORMAT, "%s: the header's sizes nx, ny, nz are %lld, %lld, %lld; each must be above 0", m->path,
                         (long long)m->nx, (long long)m->ny, (long long)m->nz);
    m->item = mode_item(m->path, mode);
    if (!m->item)
        return DECO_E_FORMAT;
    m->mode = (int)mode;
    m->unsigned_bytes = mode == 0 && unsigned_bytes(h, s);
    if (extended < 0)
        return deco_fail(DECO_E_FORMAT, "%s: the header's extended part has %lld bytes (byte 92); it cannot be negative", m->path,
                         (long long)extended);
    m->data = HEADER + (uint64_t)extended;
    m->psize_A = mx > 0 && xlen > 0 && xlen < 1e30f ? (double)xlen / (double)mx : 0;
    return check_size(m, file_size);
}

deco_status deco_mrc_open(deco_mrc **out, const char *path)
{
    deco_status st = DECO_OK;
    unsigned char header[HEADER];
    uint64_t size = 0;
    deco_mrc *m = NULL;

    *out = NULL;
    TRY(deco_alloc(&m, 1, sizeof *m, "MRC file"));
    m->fd = -1;
    m->path = strdup(path);
    if (!m->path)
        TRY(deco_fail_memory(strlen(path) + 1, "path"));
    TRY(deco_file_open(&m->fd, &size, path));
    if (size < HEADER)
        TRY(deco_fail(DECO_E_FORMAT, "%s: ends at byte %llu, inside the 1024-byte MRC header", path, (unsigned long long)size));
    TRY(deco_read_at(m->fd, path, header, HEADER, 0));
    TRY(parse_header(m, header, size));
    *out = m;
    m = NULL;
out:
    deco_mrc_close(m);
    return st;
}

void deco_mrc_close(deco_mrc *m)
{
    if (!m)
        return;
    if (m->fd >= 0)
        close(m->fd);
    free(m->path);
    free(m);
}

#define CHUNK 1024

/* `n` values of the file's type at `raw` to floats. */
static void convert_chunk(float *out, const unsigned char *raw, int n, const deco_mrc *m)
{
    int mode = m->mode;
    bool swapped = m->swapped;
    union {
        int8_t i8[CHUNK];
        int16_t i16[CHUNK];
        uint16_t u16[CHUNK];
        uint32_t u32[CHUNK];
    } v;
    memcpy(&v, raw, (size_t)n * (mode == 0 ? 1 : mode == 2 ? 4 : 2));
    if (swapped && mode == 2)
        for (int i = 0; i < n; i++)
            v.u32[i] = __builtin_bswap32(v.u32[i]);
    else if (swapped && mode != 0)
        for (int i = 0; i < n; i++)
            v.u16[i] = __builtin_bswap16(v.u16[i]);
    if (mode == 0 && m->unsigned_bytes)
        for (int i = 0; i < n; i++)
            out[i] = (float)(uint8_t)v.i8[i];
    else if (mode == 0)
        for (int i = 0; i < n; i++)
            out[i] = v.i8[i];
    else if (mode == 1)
        for (int i = 0; i < n; i++)
            out[i] = v.i16[i];
    else if (mode == 2)
        memcpy(out, v.u32, (size_t)n * 4);
    else if (mode == 6)
        for (int i = 0; i < n; i++)
            out[i] = v.u16[i];
    else
        for (int i = 0; i < n; i++)
            out[i] = deco_float_from_half(v.u16[i]);
}

deco_status deco_mrc_read(const deco_mrc *m, float *out, int64_t first, int64_t n)
{
    if (first < 0 || n < 0 || first > m->nz || n > m->nz - first)
        return deco_fail(DECO_E_ARGUMENT, "%s: image %lld asked for (from 0); the file has %lld", m->path,
                         (long long)(first < 0 || first >= m->nz ? first : m->nz), (long long)m->nz);
    int64_t count = n * m->nx * m->ny;
    size_t bytes = (size_t)count * m->item;
    /* Narrow values are read into the end of `out` and widened from the front: chunk by chunk the writing never reaches what is
     * still to be read. */
    unsigned char *raw = (unsigned char *)out + (size_t)count * (sizeof(float) - m->item);
    deco_status st = deco_read_at(m->fd, m->path, raw, bytes, m->data + (uint64_t)first * (uint64_t)(m->nx * m->ny) * m->item);
    if (st || (m->mode == 2 && !m->swapped))
        return st;
    for (int64_t i = 0; i < count; i += CHUNK)
        convert_chunk(out + i, raw + (size_t)i * m->item, (int)(count - i < CHUNK ? count - i : CHUNK), m);
    return DECO_OK;
}
