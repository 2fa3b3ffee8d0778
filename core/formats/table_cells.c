/* Single cells of a table, converted. Cells stand unaligned in the bytes of a file, so all go through memcpy. */
#include "formats/mrc_half.h"
#include "formats/table.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "columns are kept little-endian and read as they are");

static const unsigned char *cell_at(const deco_column *c, int64_t row, int64_t cell)
{
    return c->data + (size_t)row * c->stride + (size_t)cell * c->item;
}

static uint64_t unsigned_at(const unsigned char *p, size_t item)
{
    uint64_t u8 = 0;
    uint32_t u4;
    uint16_t u2;

    switch (item) {
    case 8: memcpy(&u8, p, 8); return u8;
    case 4: memcpy(&u4, p, 4); return u4;
    case 2: memcpy(&u2, p, 2); return u2;
    default: return *p;
    }
}

static int64_t signed_at(const unsigned char *p, size_t item)
{
    uint64_t u = unsigned_at(p, item);

    switch (item) {
    case 8: return (int64_t)u;
    case 4: return (int32_t)u;
    case 2: return (int16_t)u;
    default: return (int8_t)u;
    }
}

static double float_at(const unsigned char *p, size_t item)
{
    double d;
    float f;

    switch (item) {
    case 8: memcpy(&d, p, 8); return d;
    case 4: memcpy(&f, p, 4); return (double)f;
    default: return (double)deco_float_from_half((uint16_t)unsigned_at(p, 2));
    }
}

double deco_cell_real(const deco_column *c, int64_t row, int64_t cell)
{
    const unsigned char *p = cell_at(c, row, cell);

    switch (c->kind) {
    case 'u': return (double)unsigned_at(p, c->item);
    case 'i': return (double)signed_at(p, c->item);
    case 'f': return float_at(p, c->item);
    case 'b': return *p != 0;
    case 'c': return float_at(p, c->item / 2);
    default: return NAN;
    }
}

/* Out of range goes to the nearest end; not a number to 0. */
static uint64_t u64_of(double v)
{
    return v >= 0x1p64 ? UINT64_MAX : v >= 0 ? (uint64_t)v : v > -0x1p63 ? (uint64_t)(int64_t)v : v < 0 ? (uint64_t)INT64_MIN : 0;
}

static int64_t i64_of(double v) { return v >= 0x1p63 ? INT64_MAX : v >= -0x1p63 ? (int64_t)v : v < 0 ? INT64_MIN : 0; }

uint64_t deco_cell_u64(const deco_column *c, int64_t row, int64_t cell)
{
    const unsigned char *p = cell_at(c, row, cell);

    switch (c->kind) {
    case 'u': return unsigned_at(p, c->item);
    case 'i': return (uint64_t)signed_at(p, c->item); /* a negative index becomes huge, and so out of every range */
    case 'b': return *p != 0;
    default: return u64_of(deco_cell_real(c, row, cell));
    }
}

size_t deco_cell_text(char *out, size_t size, const deco_column *c, int64_t row)
{
    const char *p = (const char *)cell_at(c, row, 0);
    size_t n = strnlen(p, c->kind == 'S' ? c->item : 0), kept = n < size ? n : size ? size - 1 : 0;

    if (size) {
        memcpy(out, p, kept);
        out[kept] = 0;
    }
    return n;
}

static void put_float(unsigned char *p, size_t item, double value)
{
    float f = (float)value;
    uint16_t h = deco_half_from_float(f);

    switch (item) {
    case 8: memcpy(p, &value, 8); break;
    case 4: memcpy(p, &f, 4); break;
    default: memcpy(p, &h, 2); break;
    }
}

/* Saturates to the column's width. */
static void put_unsigned(unsigned char *p, size_t item, uint64_t v)
{
    uint64_t most = UINT64_MAX >> (64 - 8 * item);

    v = v < most ? v : most;
    memcpy(p, &v, item);
}

static void put_signed(unsigned char *p, size_t item, int64_t v)
{
    int64_t most = INT64_MAX >> (64 - 8 * item), least = -most - 1;

    v = v < most ? v : most;
    v = v > least ? v : least;
    memcpy(p, &v, item);
}

void deco_cell_set_real(deco_column *c, int64_t row, int64_t cell, double value)
{
    unsigned char *p = (unsigned char *)cell_at(c, row, cell);

    switch (c->kind) {
    case 'u': put_unsigned(p, c->item, value > 0 ? u64_of(nearbyint(value)) : 0); break;
    case 'i': put_signed(p, c->item, i64_of(nearbyint(value))); break;
    case 'b': *p = value != 0; break;
    case 'f': put_float(p, c->item, value); break;
    case 'c':
        put_float(p, c->item / 2, value);
        put_float(p + c->item / 2, c->item / 2, 0);
        break;
    default: break;
    }
}

void deco_cell_set_u64(deco_column *c, int64_t row, int64_t cell, uint64_t value)
{
    unsigned char *p = (unsigned char *)cell_at(c, row, cell);

    switch (c->kind) {
    case 'u': put_unsigned(p, c->item, value); break;
    case 'i': put_signed(p, c->item, value < INT64_MAX ? (int64_t)value : INT64_MAX); break;
    default: deco_cell_set_real(c, row, cell, (double)value); break;
    }
}

void deco_cell_set_text(deco_column *c, int64_t row, const char *text)
{
    unsigned char *p = (unsigned char *)cell_at(c, row, 0);
    size_t n = strnlen(text, c->item + 1);

    if (c->kind != 'S')
        return;
    if (n > c->item)
        for (n = c->item; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--) /* 10xxxxxx goes on with a character begun before */
            continue;
    memcpy(p, text, n);
    memset(p + n, 0, c->item - n);
}
