/* A table's memory and its columns. */
#include "formats/table_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void deco_table_free(deco_table *t)
{
    if (!t)
        return;
    for (int64_t i = 0; i < t->columns; i++)
        free(t->column[i].name);
    for (int64_t i = 0; i < t->block_count; i++)
        free(t->blocks[i]);
    free(t->column);
    free(t->blocks);
    free(t->source);
    free(t);
}

deco_status deco_table_text(char **out, const char *text)
{
    *out = strdup(text);
    return *out ? DECO_OK : deco_fail_memory(strlen(text) + 1, text);
}

deco_status deco_table_create(deco_table **out, int64_t rows, const char *source)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;

    *out = NULL;
    if (rows < 0)
        return deco_fail(DECO_E_ARGUMENT, "%s: a table cannot have %lld rows", source, (long long)rows);
    TRY(deco_alloc(&t, 1, sizeof *t, source));
    TRY(deco_table_text(&t->source, source));
    t->rows = rows;
    *out = t;
    t = NULL;
out:
    deco_table_free(t);
    return st;
}

deco_status deco_table_reserve(deco_table *t, int64_t columns)
{
    size_t bytes;
    deco_column *grown = NULL;

    if (columns <= t->column_room)
        return DECO_OK;
    if (!__builtin_mul_overflow((size_t)columns, sizeof *grown, &bytes))
        grown = realloc(t->column, bytes);
    if (!grown)
        return deco_fail_memory(bytes, t->source);
    t->column = grown;
    t->column_room = columns;
    return DECO_OK;
}

enum { LARGE = 1 << 22, PAGE = 1 << 12 };

/* The whole pages in some bytes; false: they are too few to be worth it. */
static bool whole_pages(void **begin, size_t *length, unsigned char *at, size_t bytes)
{
    uintptr_t first = ((uintptr_t)at + PAGE - 1) & ~(uintptr_t)(PAGE - 1), end = ((uintptr_t)at + bytes) & ~(uintptr_t)(PAGE - 1);

    *begin = (void *)first;
    *length = end - first;
    return bytes >= LARGE;
}

deco_status deco_table_room(unsigned char **out, size_t bytes, const char *what)
{
    deco_status st = deco_alloc(out, bytes ? bytes : 1, 1, what);
    void *begin;
    size_t length;

    if (!st && whole_pages(&begin, &length, *out, bytes))
        madvise(begin, length, MADV_HUGEPAGE);
    return st;
}

void deco_table_touch(unsigned char *at, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    void *begin;
    size_t length;

    if (whole_pages(&begin, &length, at, bytes)) /* Linux 5.14; before that they come one by one */
        madvise(begin, length, MADV_POPULATE_WRITE);
#else
    (void)at;
    (void)bytes;
#endif
}

deco_status deco_table_block(unsigned char **out, size_t bytes, const char *what)
{
    deco_status st = deco_table_room(out, bytes, what);

    if (!st)
        deco_table_touch(*out, bytes);
    return st;
}

deco_status deco_table_take_block(deco_table *t, void *block)
{
    void **grown = realloc(t->blocks, (size_t)(t->block_count + 1) * sizeof *grown);

    if (!grown) {
        free(block);
        return deco_fail_memory((size_t)(t->block_count + 1) * sizeof *grown, t->source);
    }
    t->blocks = grown;
    t->blocks[t->block_count++] = block;
    return DECO_OK;
}

static deco_column *find(const deco_table *t, const char *name)
{
    for (int64_t i = 0; i < t->columns; i++)
        if (!strcmp(t->column[i].name, name))
            return &t->column[i];
    return NULL;
}

const deco_column *deco_table_find(const deco_table *t, const char *name) { return find(t, name); }

bool deco_table_has_prefix(const deco_table *t, const char *prefix)
{
    size_t n = strlen(prefix);

    for (int64_t i = 0; i < t->columns; i++)
        if (!strncmp(t->column[i].name, prefix, n) && t->column[i].name[n] == '/')
            return true;
    return false;
}

/* A packed column that begins where a block begins has that block for itself. */
static void **own_block(const deco_table *t, const deco_column *c)
{
    if (c->stride != c->item * (size_t)c->cells || !c->stride)
        return NULL;
    for (int64_t i = 0; i < t->block_count; i++)
        if (t->blocks[i] == c->data)
            return &t->blocks[i];
    return NULL;
}

static deco_status column_shape(deco_column *c, const deco_table *t, int dims, const int64_t *shape)
{
    int64_t bytes;

    if (dims < 0 || dims > DECO_COLUMN_DIMS)
        return deco_fail(DECO_E_ARGUMENT, "%s: column '%s' has %d dimensions; at most %d are kept", t->source, c->name, dims,
                         DECO_COLUMN_DIMS);
    c->dims = dims;
    c->cells = 1;
    for (int d = 0; d < dims; d++) {
        c->shape[d] = shape[d];
        if (shape[d] < 0 || __builtin_mul_overflow(c->cells, shape[d], &c->cells))
            return deco_fail(DECO_E_ARGUMENT, "%s: column '%s' cannot have %lld values a row", t->source, c->name, (long long)shape[d]);
    }
    if (__builtin_mul_overflow(c->cells, c->item, &bytes) || __builtin_mul_overflow(bytes, t->rows, &(int64_t){0}))
        return deco_fail_memory(SIZE_MAX, c->name);
    c->stride = (size_t)bytes;
    return DECO_OK;
}

deco_status deco_table_add(deco_table *t, deco_column **out, const char *name, char kind, size_t item, int dims, const int64_t *shape)
{
    deco_status st = DECO_OK;
    deco_column c = {.kind = kind, .item = item}, *old = find(t, name);
    void **block;
    size_t bytes;

    TRY(deco_table_text(&c.name, name));
    TRY(column_shape(&c, t, dims, shape));
    if (!old && t->columns == t->column_room)
        TRY(deco_table_reserve(t, 2 * t->columns + 8));
    bytes = c.stride * (size_t)t->rows;
    TRY(deco_table_block(&c.data, bytes, name));
    block = old ? own_block(t, old) : NULL;
    if (block) {
        free(*block);
        *block = c.data;
    } else {
        TRY(deco_table_take_block(t, c.data));
    }
    if (old)
        free(old->name);
    else
        old = &t->column[t->columns++];
    *old = c;
    c = (deco_column){0};
    if (out)
        *out = old;
out:
    free(c.name);
    return st;
}

deco_status deco_table_view(deco_table **out, const deco_table *t)
{
    deco_status st = DECO_OK;
    deco_table *view = NULL;

    *out = NULL;
    TRY(deco_table_create(&view, t->rows, t->source));
    TRY(deco_table_reserve(view, t->columns + 1));
    for (; view->columns < t->columns; view->columns++) {
        deco_column *c = &view->column[view->columns];
        *c = t->column[view->columns];
        TRY(deco_table_text(&c->name, t->column[view->columns].name));
    }
    *out = view;
    view = NULL;
out:
    deco_table_free(view);
    return st;
}

static const char *shape_text(char text[96], const deco_column *c)
{
    size_t n = (size_t)snprintf(text, 96, "[");

    for (int d = 0; d < c->dims && n < 80; d++)
        n += (size_t)snprintf(text + n, 96 - n, d ? ",%lld" : "%lld", (long long)c->shape[d]);
    snprintf(text + n, 96 - n, "]");
    return text;
}

deco_status deco_table_need(const deco_column **out, const deco_table *t, const char *name, char kind_class, int64_t cells)
{
    const deco_column *c = deco_table_find(t, name);
    char shape[96];

    *out = NULL;
    if (!c)
        return deco_fail(DECO_E_FORMAT, "%s: has no column '%s'", t->source, name);
    if (kind_class == 'S' && (c->kind != 'S' || c->cells != 1))
        return deco_fail(DECO_E_FORMAT, "%s: column '%s' must hold text; it holds %s", t->source, name,
                         c->kind == 'S' ? "a list of texts" : "numbers");
    if (kind_class == 'n' && (c->kind == 'S' || c->kind == 'c'))
        return deco_fail(DECO_E_FORMAT, "%s: column '%s' must hold numbers; it holds %s", t->source, name,
                         c->kind == 'S' ? "text" : "complex numbers");
    if (c->cells != cells)
        return deco_fail(DECO_E_FORMAT, "%s: column '%s' must hold %lld value%s a row; its shape is %s", t->source, name, (long long)cells,
                         cells == 1 ? "" : "s", shape_text(shape, c));
    *out = c;
    return DECO_OK;
}
