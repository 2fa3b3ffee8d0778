/* Tables one after another, with the columns that all of them have. */
#include "base/file.h"
#include "formats/table_build.h"

#include <stdlib.h>
#include <string.h>

static bool same_shape(const deco_column *a, const deco_column *b)
{
    bool same = a->kind == b->kind && a->dims == b->dims;
    for (int d = 0; same && d < a->dims; d++)
        same = a->shape[d] == b->shape[d];
    return same;
}

/* The column in every table; *item: wide enough for all of them. */
static bool in_all(size_t *item, const deco_column *c, deco_table *const *t, int64_t n)
{
    *item = c->item;
    for (int64_t k = 1; k < n; k++) {
        const deco_column *other = deco_table_find(t[k], c->name);
        if (!other || !same_shape(c, other))
            return false;
        *item = other->item > *item ? other->item : *item;
    }
    return true;
}

static void copy_cell(deco_column *to, int64_t row, const deco_column *from, int64_t i)
{
    const unsigned char *source = from->data + (size_t)i * from->stride;
    unsigned char *target = to->data + (size_t)row * to->stride;

    if (from->item == to->item) {
        memcpy(target, source, from->item * (size_t)from->cells);
        return;
    }
    for (int64_t cell = 0; cell < from->cells; cell++) /* wider: texts end with zeros, numbers keep their value */
        if (to->kind == 'S')
            memcpy(target + (size_t)cell * to->item, source + (size_t)cell * from->item, from->item);
        else if (to->kind == 'f' || to->kind == 'c')
            deco_cell_set_real(to, row, cell, deco_cell_real(from, i, cell));
        else if (to->kind == 'i')
            deco_cell_set_real(to, row, cell, deco_cell_real(from, i, cell)); /* up to 32 bits in the narrower: exact */
        else
            deco_cell_set_u64(to, row, cell, deco_cell_u64(from, i, cell));
}

static deco_status leave_out(char **left_out, const char *name)
{
    char *longer = deco_format(*left_out ? "%s, %s" : "%s%s", *left_out ? *left_out : "", name);

    if (!longer)
        return deco_fail_memory(strlen(name), "a list of columns");
    free(*left_out);
    *left_out = longer;
    return DECO_OK;
}

static deco_status add_column(deco_table *all, const deco_column *c, size_t item, deco_table *const *t, int64_t n)
{
    deco_status st = DECO_OK;
    deco_column *to = NULL;
    int64_t row = 0;

    TRY(deco_table_add(all, &to, c->name, c->kind, item, c->dims, c->shape));
    for (int64_t k = 0; k < n; k++) {
        const deco_column *from = deco_table_find(t[k], c->name);
        for (int64_t i = 0; i < t[k]->rows; i++)
            copy_cell(to, row++, from, i);
    }
out:
    return st;
}

enum { LISTED = 40 };

deco_status deco_table_append(deco_table **out, char **left_out, deco_table *const *t, int64_t n, const char *source)
{
    deco_status st = DECO_OK;
    deco_table *all = NULL;
    int64_t rows = 0, listed = 0;
    size_t item;

    *out = NULL;
    *left_out = NULL;
    for (int64_t k = 0; k < n; k++)
        rows += t[k]->rows;
    TRY(deco_table_create(&all, rows, source));
    for (int64_t c = 0; c < t[0]->columns; c++)
        if (in_all(&item, &t[0]->column[c], t, n))
            TRY(add_column(all, &t[0]->column[c], item, t, n));
    for (int64_t k = 0; k < n; k++)
        for (int64_t c = 0; c < t[k]->columns && listed < LISTED; c++) {
            const char *name = t[k]->column[c].name;
            bool earlier = deco_table_find(all, name) != NULL;
            for (int64_t e = 0; e < k && !earlier; e++)
                earlier = deco_table_find(t[e], name) != NULL;
            if (!earlier && ++listed)
                TRY(leave_out(left_out, listed < LISTED ? name : "…"));
        }
    *out = all;
    all = NULL;
out:
    deco_table_free(all);
    if (st) {
        free(*left_out);
        *left_out = NULL;
    }
    return st;
}
