/* Joining a record array to a table while it is read: the file is gone through twice, for the keys and for the rest, and of its rows only some are in
 * memory at a time. What is kept of a row stands together, so that rows in any order are written with few misses of the cache. */
#include "formats/npy_join.h"
#include "base/file.h"
#include "formats/npy_header.h"
#include "formats/table_build.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOME_BYTES = 1 << 20 };

/* Bytes of a file's row that are kept: neighbouring fields together. */
typedef struct span {
    size_t from, to, bytes; /* offset in the file's row, offset in the row kept */
} span;

typedef struct join {
    deco_table *t;
    const char *path;
    npy_header h;
    int fd;
    int64_t *row_of; /* [h.count] the row of t that a row of the file belongs to, or -1 */
    span *span;      /* [spans] */
    int64_t spans;
    size_t kept; /* bytes of a row */
    unsigned char *block, *some;
    int64_t some_rows;
} join;

static deco_status check_names(const join *j)
{
    deco_status st = DECO_OK;
    deco_table names = {.source = (char *)j->path, .columns = j->h.fields};

    TRY(deco_alloc(&names.column, (size_t)j->h.fields + 1, sizeof *names.column, j->path));
    for (int64_t i = 0; i < j->h.fields; i++)
        names.column[i].name = j->h.field[i].name;
    TRY(deco_table_check_names(&names));
out:
    free(names.column);
    return st;
}

/* Calls `use` for some rows after some. */
static deco_status each(join *j, void (*use)(join *j, int64_t first, int64_t n, void *context), void *context)
{
    deco_status st = DECO_OK;

    for (int64_t first = 0; first < j->h.count; first += j->some_rows) {
        int64_t n = j->h.count - first < j->some_rows ? j->h.count - first : j->some_rows;
        TRY(deco_read_at(j->fd, j->path, j->some, (size_t)n * j->h.row_bytes, j->h.data + (uint64_t)first * j->h.row_bytes));
        use(j, first, n, context);
    }
out:
    return st;
}

static void take_keys(join *j, int64_t first, int64_t n, void *context)
{
    deco_column *key = context;
    const npy_field *f = j->h.field;

    while (strcmp(f->name, key->name) != 0)
        f++;
    table_copy_rows(key->data + (size_t)first * key->stride, key->stride, j->some + f->offset, j->h.row_bytes, NULL, n, key->stride);
}

/* A table of the file's keys alone; then which row of t each row of the file belongs to. */
static deco_status match(join *j, const char *name)
{
    deco_status st = DECO_OK;
    deco_table *keys = NULL;
    deco_column *key;
    const npy_field *f = NULL;
    int64_t *row = NULL;

    TRY(deco_table_create(&keys, j->h.count, j->path));
    for (int64_t i = 0; i < j->h.fields; i++)
        if (!strcmp(j->h.field[i].name, name))
            f = &j->h.field[i];
    if (f) {
        TRY(deco_table_add(keys, &key, name, f->type.kind, f->type.item, f->dims, f->shape));
        TRY(each(j, take_keys, key));
        if (f->type.swapped)
            deco_dtype_swap(key->data, f->type, j->h.count * f->cells);
    }
    TRY(deco_alloc(&row, (size_t)j->t->rows + 1, sizeof *row, name));
    TRY(table_match_rows(row, j->t, keys, name));
    TRY(deco_alloc(&j->row_of, (size_t)j->h.count + 1, sizeof *j->row_of, name));
    for (int64_t i = 0; i < j->h.count; i++)
        j->row_of[i] = -1;
    for (int64_t i = 0; i < j->t->rows; i++)
        j->row_of[row[i]] = i;
out:
    deco_table_free(keys);
    free(row);
    return st;
}

/* Which fields are kept, and where. */
static deco_status plan(join *j, bool *wanted)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&j->span, (size_t)j->h.fields + 1, sizeof *j->span, j->path));
    for (int64_t i = 0; i < j->h.fields; i++) {
        const npy_field *f = &j->h.field[i];
        size_t bytes = f->type.item * (size_t)f->cells;
        span *next = &j->span[j->spans];
        if (f->dims > DECO_COLUMN_DIMS)
            TRY(deco_fail(DECO_E_FORMAT, "%s: column '%s' has %d dimensions; at most %d are read", j->path, f->name, f->dims,
                          DECO_COLUMN_DIMS));
        if (!(wanted[i] = !deco_table_find(j->t, f->name)))
            continue;
        if (j->spans && next[-1].from + next[-1].bytes == f->offset) {
            next[-1].bytes += bytes;
        } else {
            *next = (span){f->offset, j->kept, bytes};
            j->spans++;
        }
        j->kept += bytes;
    }
out:
    return st;
}

static void take_rows(join *j, int64_t first, int64_t n, void *context)
{
    (void)context;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = j->row_of[first + i];
        for (int64_t s = 0; s < j->spans && row >= 0; s++)
            memcpy(j->block + (size_t)row * j->kept + j->span[s].to, j->some + (size_t)i * j->h.row_bytes + j->span[s].from,
                   j->span[s].bytes);
    }
}

static deco_status add_columns(join *j, const bool *wanted)
{
    deco_status st = DECO_OK;
    unsigned char *at = j->block;

    TRY(deco_table_take_block(j->t, j->block));
    TRY(deco_table_reserve(j->t, j->t->columns + j->h.fields));
    for (int64_t i = 0; i < j->h.fields; i++) {
        npy_field *f = &j->h.field[i];
        deco_column *c = &j->t->column[j->t->columns];
        if (!wanted[i])
            continue;
        *c = (deco_column){f->name, f->type.kind, f->type.item, f->dims, {0}, f->cells, at, j->kept};
        memcpy(c->shape, f->shape, sizeof c->shape);
        f->name = NULL; /* the table's from here */
        j->t->columns++;
        at += f->type.item * (size_t)f->cells;
        for (int64_t row = 0; f->type.swapped && row < j->t->rows; row++)
            deco_dtype_swap(c->data + (size_t)row * j->kept, f->type, f->cells);
    }
out:
    return st;
}

deco_status npy_join(deco_table *t, const char *path, const char *key)
{
    deco_status st = DECO_OK;
    join j = {.t = t, .path = path, .fd = -1};
    bool *wanted = NULL;
    size_t bytes;

    TRY(npy_open(&j.h, &j.fd, path));
    if (!j.h.record || j.h.dims != 1)
        TRY(deco_fail(DECO_E_FORMAT, "%s: holds %s; a list of rows with named columns is wanted", path,
                      j.h.record ? "an array of rows of several dimensions" : "a plain array"));
    TRY(check_names(&j));
    j.some_rows = j.h.row_bytes < SOME_BYTES ? SOME_BYTES / (int64_t)(j.h.row_bytes ? j.h.row_bytes : 1) : 1;
    j.some_rows = j.some_rows < j.h.count ? j.some_rows : j.h.count ? j.h.count : 1;
    TRY(deco_alloc(&j.some, (size_t)j.some_rows * j.h.row_bytes + 1, 1, path));
    TRY(deco_alloc(&wanted, (size_t)j.h.fields + 1, sizeof *wanted, path));
    TRY(plan(&j, wanted));
    TRY(match(&j, key));
    if (__builtin_mul_overflow(j.kept, (size_t)t->rows, &bytes))
        TRY(deco_fail_memory(SIZE_MAX, path));
    TRY(deco_table_block(&j.block, bytes, path));
    if ((st = each(&j, take_rows, NULL)))
        free(j.block);
    else
        st = add_columns(&j, wanted);
out:
    if (j.fd >= 0)
        close(j.fd);
    npy_header_free(&j.h);
    free(j.row_of);
    free(j.span);
    free(j.some);
    free(wanted);
    return st;
}
