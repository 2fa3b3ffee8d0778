/* Reading the CSDAT form. Columns are read one after another; only one is in memory twice, packed and unpacked. */
#include "formats/csdat.h"
#include "base/file.h"
#include "formats/csdat_header.h"
#include "formats/table_build.h"

#include <inttypes.h>
#include <limits.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A text column takes rows times its longest value: one long value must not fill the memory. Paths end at 4096 bytes. Offsets pack well, so a
 * small file can name a long text very often: all text columns together get at most so many bytes for each of the file's, and some for small
 * ones. (A uid's 8 bytes are never packed: a real file with ten paths of 200 bytes a row stays below that.) */
enum { LONGEST_TEXT = 4096, TEXT_A_BYTE = 256, TEXT_IN_ANY_FILE = 1 << 26 };

typedef struct source {
    int fd;
    const char *path;
    uint64_t at, size;
    uint64_t text; /* bytes of text columns so far */
} source;

static deco_status take_u32(source *s, uint32_t *out, const char *what)
{
    deco_status st = DECO_OK;
    unsigned char b[4];

    if (s->size - s->at < sizeof b)
        return deco_fail(DECO_E_FORMAT, "%s: ends before %s; copy it again", s->path, what);
    TRY(deco_read_at(s->fd, s->path, b, sizeof b, s->at));
    *out = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    s->at += sizeof b;
    if (*out > s->size - s->at)
        st = deco_fail(DECO_E_FORMAT, "%s: ends in %s: %u bytes are due and %" PRIu64 " are left; copy it again", s->path, what, *out,
                       s->size - s->at);
out:
    return st;
}

static deco_status read_header(csdat_header *h, source *s)
{
    deco_status st = DECO_OK;
    uint32_t n = 0;
    char *json = NULL;

    TRY(take_u32(s, &n, "its header"));
    TRY(deco_alloc(&json, (size_t)n + 1, 1, s->path));
    TRY(deco_read_at(s->fd, s->path, json, n, s->at));
    s->at += n;
    TRY(csdat_header_parse(h, json, n, s->path));
out:
    free(json);
    return st;
}

static deco_status unpack(unsigned char *out, const csdat_field *f, source *s, uint32_t size)
{
    deco_status st = DECO_OK;
    char *packed = NULL;

    TRY(deco_alloc(&packed, (size_t)size + 1, 1, s->path));
    TRY(deco_read_at(s->fd, s->path, packed, size, s->at));
    if (LZ4_decompress_safe(packed, (char *)out, (int)size, (int)f->bytes) != (int)f->bytes)
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' does not unpack to its %zu bytes (LZ4, byte %" PRIu64 "); copy the file again",
                       s->path, f->name, f->bytes, s->at);
out:
    free(packed);
    return st;
}

/* The section of one column. Nothing is allocated that the bytes in the file cannot fill. */
static deco_status read_section(unsigned char **out, const csdat_field *f, source *s)
{
    deco_status st = DECO_OK;
    unsigned char *data = NULL;
    char *what = deco_format("column '%s'", f->name);
    uint32_t size = 0;

    *out = NULL;
    if (!what)
        return deco_fail_memory(0, s->path);
    TRY(take_u32(s, &size, what));
    /* LZ4 packs 255 bytes into one at best, and takes sizes as int */
    if (f->packed ? f->bytes / 255 > size || f->bytes > INT_MAX || size > INT_MAX : f->bytes != size) {
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' needs %zu bytes and the file gives it %u (byte %" PRIu64 ")", s->path, f->name,
                       f->bytes, size, s->at);
        goto out;
    }
    TRY(deco_table_block(&data, f->bytes + 1, f->name));
    if (f->packed)
        TRY(unpack(data, f, s, size));
    else
        TRY(deco_read_at(s->fd, s->path, data, f->bytes, s->at));
    s->at += size;
    *out = data;
    data = NULL;
out:
    free(data);
    free(what);
    return st;
}

static uint64_t offset_at(const unsigned char *offsets, int64_t row)
{
    uint64_t v;
    memcpy(&v, offsets + 8 * (size_t)row, sizeof v);
    return v;
}

/* A column of `t` over `block`, which `t` takes. */
static deco_status add_column(deco_table *t, const csdat_field *f, char kind, size_t item, unsigned char *block)
{
    deco_status st = DECO_OK;
    deco_column *c = &t->column[t->columns];

    TRY(deco_table_take_block(t, block));
    *c = (deco_column){.kind = kind, .item = item, .dims = f->dims, .cells = 1, .data = block};
    for (int d = 0; d < f->dims; d++)
        c->cells *= c->shape[d] = f->shape[d];
    c->stride = c->item * (size_t)c->cells;
    TRY(deco_table_text(&c->name, f->name));
    t->columns++;
out:
    return st;
}

/* The longest text of a column, whose offsets are checked on the way. */
static deco_status text_width(size_t *width, const deco_table *t, const char *name, const unsigned char *offsets, const char *heap,
                              uint64_t heap_size)
{
    *width = 1;
    for (int64_t i = 0; i < t->rows; i++) {
        uint64_t at = offset_at(offsets, i), room = at < heap_size ? heap_size - at : 0;
        size_t n = room ? strnlen(heap + at, room < LONGEST_TEXT + 1 ? room : LONGEST_TEXT + 1) : 0;
        if (n > LONGEST_TEXT)
            return deco_fail(DECO_E_FORMAT, "%s: row %lld: the text of '%s' is longer than %d bytes", t->source, (long long)i, name,
                             LONGEST_TEXT);
        if (n == room)
            return deco_fail(DECO_E_FORMAT,
                             "%s: row %lld: the text of '%s' does not end within the file (byte %" PRIu64 " of %" PRIu64 " bytes of text)",
                             t->source, (long long)i, name, at, heap_size);
        *width = n > *width ? n : *width;
    }
    return DECO_OK;
}

/* Offsets into the heap, [rows] u64, become text. */
static deco_status add_text(deco_table *t, const csdat_field *f, const unsigned char *offsets, const char *heap, uint64_t heap_size,
                            source *s)
{
    deco_status st = DECO_OK;
    unsigned char *block = NULL;
    size_t width = 0, rows = (size_t)t->rows;

    TRY(text_width(&width, t, f->name, offsets, heap, heap_size));
    s->text += (uint64_t)rows * width; /* both are bounded: no overflow */
    if (s->text > TEXT_IN_ANY_FILE && s->text / TEXT_A_BYTE > s->size)
        TRY(deco_fail(DECO_E_FORMAT, "%s: its texts would take %" PRIu64 " bytes of memory, and the file has %" PRIu64 "; it is damaged",
                      s->path, s->text, s->size));
    TRY(deco_table_block(&block, rows * width, f->name));
    for (int64_t i = 0; i < t->rows; i++) {
        const char *text = heap + offset_at(offsets, i);
        memcpy(block + (size_t)i * width, text, strnlen(text, width));
    }
    st = add_column(t, f, 'S', width, block);
out:
    return st;
}

static deco_status add_numbers(deco_table *t, const csdat_field *f, unsigned char *block)
{
    if (f->type.swapped)
        deco_dtype_swap(block, f->type, (int64_t)(f->bytes / f->type.item));
    return add_column(t, f, f->type.kind, f->type.item, block);
}

/* The heap comes last, so the offsets of all string columns wait for it in `section`. */
static deco_status read_columns(deco_table *t, const csdat_header *h, source *s, unsigned char **section)
{
    deco_status st = DECO_OK;
    char *heap = NULL;
    uint64_t heap_size;

    for (int64_t i = 0; i < h->fields && h->rows; i++)
        TRY(read_section(&section[i], &h->field[i], s));
    heap_size = s->size - s->at;
    TRY(deco_alloc(&heap, heap_size + 1, 1, s->path));
    TRY(deco_read_at(s->fd, s->path, heap, heap_size, s->at));
    TRY(deco_table_reserve(t, h->fields));
    for (int64_t i = 0; i < h->fields; i++) {
        const csdat_field *f = &h->field[i];
        if (!section[i]) /* without rows there are no sections */
            TRY(deco_alloc(&section[i], 1, 1, s->path));
        if (f->type.kind == 'O') {
            TRY(add_text(t, f, section[i], heap, heap_size, s));
        } else {
            unsigned char *block = section[i];
            section[i] = NULL;
            TRY(add_numbers(t, f, block));
        }
    }
out:
    free(heap);
    return st;
}

deco_status csdat_read(deco_table **out, const char *path)
{
    deco_status st = DECO_OK;
    source s = {.fd = -1, .path = path, .at = 6};
    csdat_header h = {0};
    deco_table *t = NULL;
    unsigned char **section = NULL;

    *out = NULL;
    TRY(deco_file_open(&s.fd, &s.size, path));
    if (s.size < s.at) {
        st = deco_fail(DECO_E_FORMAT, "%s: is no CSDAT file", path);
        goto out;
    }
    TRY(read_header(&h, &s));
    TRY(deco_table_create(&t, h.rows, path));
    TRY(deco_alloc(&section, (size_t)h.fields + 1, sizeof *section, path));
    TRY(read_columns(t, &h, &s, section));
    *out = t;
    t = NULL;
out:
    for (int64_t i = 0; section && i < h.fields; i++)
        free(section[i]);
    free(section);
    deco_table_free(t);
    csdat_header_free(&h);
    if (s.fd >= 0)
        close(s.fd);
    return st;
}
