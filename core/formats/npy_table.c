/* Record arrays in .npy files, as tables. */
#include "base/file.h"
#include "formats/npy_header.h"
#include "formats/npy_text.h"
#include "formats/table_build.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The column of a field, in rows that stand in `block`. The name moves. */
static deco_status take_field(deco_table *t, npy_field *f, unsigned char *block, size_t row_bytes)
{
    deco_column *c = &t->column[t->columns];

    if (f->dims > DECO_COLUMN_DIMS)
        return deco_fail(DECO_E_FORMAT, "%s: column '%s' has %d dimensions; at most %d are read", t->source, f->name, f->dims,
                         DECO_COLUMN_DIMS);
    *c = (deco_column){.name = f->name,
                       .kind = f->type.kind,
                       .item = f->type.item,
                       .dims = f->dims,
                       .cells = f->cells,
                       .data = block + f->offset,
                       .stride = row_bytes};
    memcpy(c->shape, f->shape, sizeof c->shape);
    f->name = NULL;
    t->columns++;
    if (f->type.swapped)
        for (int64_t i = 0; i < t->rows; i++)
            deco_dtype_swap(c->data + (size_t)i * row_bytes, f->type, f->cells);
    return DECO_OK;
}

/* Clearing new memory takes the kernel longer than filling it from the file: both by several threads. */
typedef struct rows_to_read {
    const char *path;
    int fd;
    unsigned char *block;
    size_t bytes;
    uint64_t at; /* of the rows in the file */
} rows_to_read;

enum { PIECE = 1 << 23 };

static deco_status read_piece(void *context, int64_t index, int worker)
{
    const rows_to_read *r = context;
    size_t first = (size_t)index * PIECE, n = r->bytes - first < PIECE ? r->bytes - first : PIECE;

    (void)worker;
    return deco_read_at(r->fd, r->path, r->block + first, n, r->at + first);
}

deco_status deco_npy_read_table(deco_table **out, const char *path)
{
    deco_status st = DECO_OK;
    npy_header h = {0};
    deco_table *t = NULL;
    unsigned char *block = NULL;
    int fd = -1;
    size_t bytes;

    *out = NULL;
    TRY(npy_open(&h, &fd, path));
    if (!h.record || h.dims != 1) {
        st = deco_fail(DECO_E_FORMAT, "%s: holds %s; a list of rows with named columns is wanted", path,
                       h.record ? "an array of rows of several dimensions" : "a plain array");
        goto out;
    }
    TRY(deco_table_create(&t, h.count, path));
    bytes = (size_t)h.count * h.row_bytes;
    TRY(deco_table_room(&block, bytes, path));
    TRY(deco_table_take_block(t, block));
    TRY(table_run_pieces(read_piece, &(rows_to_read){path, fd, block, bytes, h.data}, (int64_t)((bytes + PIECE - 1) / PIECE)));
    TRY(deco_table_reserve(t, h.fields));
    for (int64_t i = 0; i < h.fields; i++)
        TRY(take_field(t, &h.field[i], block, h.row_bytes));
    TRY(deco_table_check_names(t));
    *out = t;
    t = NULL;
out:
    deco_table_free(t);
    if (fd >= 0)
        close(fd);
    npy_header_free(&h);
    return st;
}

static void describe_columns(npy_text *text, const deco_table *t, int64_t rows)
{
    char type[32];

    npy_text_add(text, "{'descr': [");
    for (int64_t i = 0; i < t->columns; i++) {
        const deco_column *c = &t->column[i];
        deco_dtype_print(type, c->kind, c->item);
        npy_text_add(text, i ? ", (" : "(");
        npy_text_add_quoted(text, c->name);
        npy_text_add(text, ", '%s'", type);
        if (c->dims) {
            npy_text_add(text, ", (");
            for (int d = 0; d < c->dims; d++)
                npy_text_add(text, c->dims == 1 ? "%lld," : d ? ", %lld" : "%lld", (long long)c->shape[d]);
            npy_text_add(text, ")");
        }
        npy_text_add(text, ")");
    }
    npy_text_add(text, "], 'fortran_order': False, 'shape': (%lld,), }", (long long)rows);
}

/* Rows first .. first+n-1 of those wanted, all columns, packed one row after another. A few rows at a time go through all columns: what one
 * column's read has brought into the cache holds the next columns' values. */
static void pack_rows(unsigned char *out, const deco_table *t, const int64_t *row, int64_t first, int64_t n, size_t row_bytes)
{
    enum { FEW = 64 };

    for (int64_t begin = 0; begin < n; begin += FEW) {
        int64_t end = begin + FEW < n ? begin + FEW : n;
        unsigned char *at = out;
        for (int64_t i = 0; i < t->columns; i++) {
            const deco_column *c = &t->column[i];
            size_t bytes = c->item * (size_t)c->cells;
            const unsigned char *from = row ? c->data : c->data + (size_t)(first + begin) * c->stride;
            table_copy_rows(at + (size_t)begin * row_bytes, row_bytes, from, c->stride, row ? row + first + begin : NULL, end - begin,
                            bytes);
            at += bytes;
        }
    }
}

static deco_status check_rows(const char *path, const deco_table *t, const int64_t *row, int64_t n, size_t row_bytes)
{
    if (!row_bytes && n)
        return deco_fail(DECO_E_ARGUMENT, "%s: a table of %lld rows without columns cannot be written", path, (long long)n);
    for (int64_t i = 0; row && i < n; i++)
        if (row[i] < 0 || row[i] >= t->rows)
            return deco_fail(DECO_E_ARGUMENT, "%s: row %lld was asked for; it has %lld rows", t->source, (long long)row[i],
                             (long long)t->rows);
    return DECO_OK;
}

deco_status deco_npy_write_rows(const char *path, const deco_table *t, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    npy_text text = {0};
    deco_file *f = NULL;
    unsigned char *rows = NULL;
    size_t row_bytes = 0;
    int64_t chunk;

    for (int64_t i = 0; i < t->columns; i++)
        row_bytes += t->column[i].item * (size_t)t->column[i].cells;
    TRY(check_rows(path, t, row, n, row_bytes));
    chunk = row_bytes < 1 << 18 ? (1 << 18) / (int64_t)(row_bytes ? row_bytes : 1) : 1;
    chunk = chunk < n ? chunk : n;
    TRY(deco_alloc(&rows, (size_t)chunk * row_bytes + 1, 1, path));
    describe_columns(&text, t, n);
    TRY(deco_file_create(&f, path));
    TRY(npy_text_write(f, &text, path));
    for (int64_t i = 0; i < n; i += chunk) {
        int64_t some = n - i < chunk ? n - i : chunk;
        pack_rows(rows, t, row, i, some, row_bytes);
        TRY(deco_file_write(f, rows, (size_t)some * row_bytes));
    }
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    npy_text_free(&text);
    free(rows);
    return st;
}

deco_status deco_npy_write_table(const char *path, const deco_table *t) { return deco_npy_write_rows(path, t, NULL, t->rows); }
