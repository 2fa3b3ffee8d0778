/* Joining a record array to a table while it is read: of the file's rows only some are in memory at a time, by a few threads. What is kept of a row
 * stands together. */
#include "formats/npy_join.h"
#include "base/file.h"
#include "formats/npy_header.h"
#include "formats/table_build.h"
#include "formats/table_join.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOME_BYTES = 1 << 20 };

/* Neighbouring fields that are kept. */
typedef struct span {
    table_run field;
    size_t from; /* offset in the file's row */
    table_span to;
} span;

typedef struct join {
    const char *path;
    npy_header h;
    int fd;
    table_join rows;
    deco_table *file; /* the file's columns without their data, but for the key's */
    deco_column *key;
    const npy_field *key_field;
    span *span; /* [spans] */
    int64_t spans;
    unsigned char *some[TABLE_THREADS]; /* some rows */
    int64_t some_rows;
} join;

/* Column i is field i. */
static deco_status describe(join *j, const char *key)
{
    deco_status st = DECO_OK;

    TRY(deco_table_create(&j->file, j->h.count, j->path));
    TRY(deco_table_reserve(j->file, j->h.fields));
    for (; j->file->columns < j->h.fields; j->file->columns++) {
        npy_field *f = &j->h.field[j->file->columns];
        deco_column *c = &j->file->column[j->file->columns];
        if (f->dims > DECO_COLUMN_DIMS)
            TRY(deco_fail(DECO_E_FORMAT, "%s: column '%s' has %d dimensions; at most %d are read", j->path, f->name, f->dims,
                          DECO_COLUMN_DIMS));
        *c = (deco_column){.name = f->name, .kind = f->type.kind, .item = f->type.item, .dims = f->dims, .cells = f->cells};
        memcpy(c->shape, f->shape, sizeof c->shape);
        if (!strcmp(f->name, key)) {
            j->key_field = f;
            j->key = c;
        }
        f->name = NULL; /* the table's from here */
    }
    TRY(deco_table_check_names(j->file));
    if (j->key) {
        j->key->stride = j->key->item * (size_t)j->key->cells;
        TRY(deco_table_block(&j->key->data, j->key->stride * (size_t)j->h.count, j->path));
        TRY(deco_table_take_block(j->file, j->key->data));
    }
    TRY(table_need_key(&(const deco_column *){NULL}, j->file, key));
out:
    return st;
}

static deco_status plan(join *j, deco_table *t)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&j->span, (size_t)j->h.fields + 1, sizeof *j->span, j->path));
    for (int64_t i = 0; i < j->h.fields; i++) {
        const npy_field *f = &j->h.field[i];
        size_t bytes = f->type.item * (size_t)f->cells;
        span *next = &j->span[j->spans], *last = next - (j->spans > 0);
        if (deco_table_find(t, j->file->column[i].name))
            continue;
        if (j->spans && last->from + last->to.bytes == f->offset && last->field.first + last->field.columns == i) {
            last->field.columns++;
            last->to.bytes += bytes;
        } else {
            *next = (span){{i, 1, 0}, f->offset, {.bytes = bytes}};
            j->spans++;
        }
    }
    for (int64_t s = 0; s < j->spans; s++)
        TRY(table_span_room(&j->span[s].to, t));
out:
    return st;
}

static deco_status take_rows(void *context, int64_t index, int worker)
{
    deco_status st = DECO_OK;
    join *j = context;
    int64_t first = index * j->some_rows, n = j->h.count - first < j->some_rows ? j->h.count - first : j->some_rows;
    size_t bytes = (size_t)n * j->h.row_bytes;
    deco_column key = *j->key;

    if (!j->some[worker])
        TRY(deco_alloc(&j->some[worker], (size_t)j->some_rows * j->h.row_bytes + 1, 1, j->path));
    TRY(deco_read_at(j->fd, j->path, j->some[worker], bytes, j->h.data + (uint64_t)first * j->h.row_bytes));
    key.data += (size_t)first * key.stride;
    table_copy_rows(key.data, key.stride, j->some[worker] + j->key_field->offset, j->h.row_bytes, NULL, n, key.stride);
    if (j->key_field->type.swapped)
        deco_dtype_swap(key.data, j->key_field->type, n * key.cells);
    table_join_find(&j->rows, &key, first, n);
    for (const span *s = j->span; s < j->span + j->spans; s++)
        table_span_place(&s->to, &j->rows, first, n, j->some[worker] + s->from, j->h.row_bytes, bytes - s->from);
out:
    return st;
}

static deco_status add_columns(join *j, deco_table *t)
{
    deco_status st = DECO_OK;

    for (span *s = j->span; s < j->span + j->spans; s++) {
        int64_t first = t->columns;
        unsigned char *block = s->to.block;
        s->to.block = NULL; /* the table's from here */
        TRY(table_add_run(t, j->file, s->field, block, s->to.rows, s->to.stride));
        for (int64_t i = 0; i < s->field.columns; i++) {
            const npy_field *f = &j->h.field[s->field.first + i];
            for (int64_t row = 0; f->type.swapped && row < t->rows; row++)
                deco_dtype_swap(t->column[first + i].data + (size_t)row * s->to.stride, f->type, f->cells);
        }
    }
out:
    return st;
}

deco_status npy_join(deco_table *t, const char *path, const char *key)
{
    deco_status st = DECO_OK;
    join j = {.path = path, .fd = -1};
    int64_t columns = t->columns;

    TRY(npy_open(&j.h, &j.fd, path));
    if (!j.h.record || j.h.dims != 1)
        TRY(deco_fail(DECO_E_FORMAT, "%s: holds %s; a list of rows with named columns is wanted", path,
                      j.h.record ? "an array of rows of several dimensions" : "a plain array"));
    TRY(describe(&j, key));
    TRY(table_join_open(&j.rows, t, j.h.count, key));
    TRY(plan(&j, t));
    j.some_rows = j.h.row_bytes < SOME_BYTES ? SOME_BYTES / (int64_t)(j.h.row_bytes ? j.h.row_bytes : 1) : 1;
    j.some_rows = j.some_rows < j.h.count ? j.some_rows : j.h.count ? j.h.count : 1;
    TRY(table_run_pieces(take_rows, &j, (j.h.count + j.some_rows - 1) / j.some_rows));
    TRY(table_join_check(&j.rows, j.file));
    TRY(add_columns(&j, t));
out:
    if (st) /* as it was: the columns' memory goes with the table */
        while (t->columns > columns)
            free(t->column[--t->columns].name);
    if (j.fd >= 0)
        close(j.fd);
    for (int64_t s = 0; s < j.spans; s++)
        free(j.span[s].to.block);
    for (int i = 0; i < TABLE_THREADS; i++)
        free(j.some[i]);
    table_join_close(&j.rows);
    deco_table_free(j.file);
    npy_header_free(&j.h);
    free(j.span);
    return st;
}
