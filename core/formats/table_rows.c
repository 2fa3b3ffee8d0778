/* Rows of tables: chosen, found by key, joined. */
#include "formats/table_build.h"

#include <stdlib.h>
#include <string.h>

static void copy_rows(deco_column *to, const deco_column *from, const int64_t *row, int64_t n)
{
    size_t bytes = from->item * (size_t)from->cells;

    for (int64_t i = 0; i < n; i++)
        memcpy(to->data + (size_t)i * to->stride, from->data + (size_t)row[i] * from->stride, bytes);
}

static deco_status add_rows_of(deco_table *t, const deco_column *from, const int64_t *row)
{
    deco_status st = DECO_OK;
    deco_column *to = NULL;

    TRY(deco_table_add(t, &to, from->name, from->kind, from->item, from->dims, from->shape));
    copy_rows(to, from, row, t->rows);
out:
    return st;
}

deco_status deco_table_select(deco_table **out, const deco_table *t, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    deco_table *chosen = NULL;

    *out = NULL;
    for (int64_t i = 0; i < n; i++)
        if (row[i] < 0 || row[i] >= t->rows)
            return deco_fail(DECO_E_ARGUMENT, "%s: row %lld was asked for; it has %lld rows", t->source, (long long)row[i],
                             (long long)t->rows);
    TRY(deco_table_create(&chosen, n, t->source));
    TRY(deco_table_reserve(chosen, t->columns));
    for (int64_t i = 0; i < t->columns; i++)
        TRY(add_rows_of(chosen, &t->column[i], row));
    *out = chosen;
    chosen = NULL;
out:
    deco_table_free(chosen);
    return st;
}

typedef struct keyed_row {
    uint64_t key;
    int64_t row;
} keyed_row;

/* Sorted, and searched by halves: 16 bytes a row, and no choice of keys makes it slow, as it could a hash table. */
struct deco_index {
    int64_t n;
    keyed_row *sorted;
};

static int by_key_then_row(const void *a, const void *b)
{
    const keyed_row *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static deco_status need_key(const deco_column **out, const deco_table *t, const char *key)
{
    deco_status st = DECO_OK;

    TRY(deco_table_need(out, t, key, 'n', 1));
    if ((*out)->kind != 'u')
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' must hold unsigned integers (<u8)", t->source, key);
out:
    return st;
}

deco_status deco_index_create(deco_index **out, const deco_table *t, const char *key)
{
    deco_status st = DECO_OK;
    deco_index *x = NULL;
    const deco_column *c = NULL;

    *out = NULL;
    TRY(need_key(&c, t, key));
    TRY(deco_alloc(&x, 1, sizeof *x, key));
    TRY(deco_alloc(&x->sorted, t->rows ? (size_t)t->rows : 1, sizeof *x->sorted, key));
    x->n = t->rows;
    for (int64_t i = 0; i < x->n; i++)
        x->sorted[i] = (keyed_row){deco_cell_u64(c, i, 0), i};
    qsort(x->sorted, (size_t)x->n, sizeof *x->sorted, by_key_then_row);
    for (int64_t i = 1; i < x->n; i++) {
        const keyed_row *k = &x->sorted[i];
        if (k[-1].key == k->key) {
            st = deco_fail(DECO_E_FORMAT, "%s: %s %llu stands twice, in rows %lld and %lld; every particle needs its own", t->source, key,
                           (unsigned long long)k->key, (long long)k[-1].row, (long long)k->row);
            goto out;
        }
    }
    *out = x;
    x = NULL;
out:
    deco_index_free(x);
    return st;
}

int64_t deco_index_row(const deco_index *x, uint64_t key)
{
    int64_t low = 0, high = x->n;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (x->sorted[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->n && x->sorted[low].key == key ? x->sorted[low].row : -1;
}

void deco_index_free(deco_index *x)
{
    if (!x)
        return;
    free(x->sorted);
    free(x);
}

/* match[i]: the row of `other` that has row i's key. Both sides may hold a key once only. */
static deco_status match_rows(int64_t *match, const deco_table *t, const deco_table *other, const char *key)
{
    deco_status st = DECO_OK;
    const deco_column *c = NULL;
    deco_index *here = NULL, *there = NULL;
    int64_t missing = 0, first = -1;

    TRY(need_key(&c, t, key));
    TRY(deco_index_create(&here, t, key)); /* for its check alone */
    TRY(deco_index_create(&there, other, key));
    for (int64_t i = 0; i < t->rows; i++) {
        match[i] = deco_index_row(there, deco_cell_u64(c, i, 0));
        if (match[i] < 0 && !missing++)
            first = i;
    }
    if (missing)
        st = deco_fail(DECO_E_FORMAT,
                       "%s: %lld of the %lld rows of %s are not in it, the first being row %lld, %s %llu; is it of another job?",
                       other->source, (long long)missing, (long long)t->rows, t->source, (long long)first, key,
                       (unsigned long long)deco_cell_u64(c, first, 0));
out:
    deco_index_free(there);
    deco_index_free(here);
    return st;
}

deco_status deco_table_join(deco_table *t, const deco_table *other, const char *key)
{
    deco_status st = DECO_OK;
    int64_t *match = NULL, columns = t->columns;

    TRY(deco_alloc(&match, t->rows ? (size_t)t->rows : 1, sizeof *match, key));
    TRY(match_rows(match, t, other, key));
    for (int64_t i = 0; i < other->columns; i++)
        if (!deco_table_find(t, other->column[i].name))
            TRY(add_rows_of(t, &other->column[i], match));
out:
    if (st) /* as it was: the columns' memory goes with the table */
        while (t->columns > columns)
            free(t->column[--t->columns].name);
    free(match);
    return st;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

deco_status deco_table_check_names(const deco_table *t)
{
    deco_status st = DECO_OK;
    char **name = NULL;

    TRY(deco_alloc(&name, t->columns ? (size_t)t->columns : 1, sizeof *name, t->source));
    for (int64_t i = 0; i < t->columns; i++)
        name[i] = t->column[i].name;
    qsort(name, (size_t)t->columns, sizeof *name, by_name);
    for (int64_t i = 1; i < t->columns; i++)
        if (!strcmp(name[i - 1], name[i])) {
            st = deco_fail(DECO_E_FORMAT, "%s: column '%s' stands twice in its header", t->source, name[i]);
            goto out;
        }
out:
    free(name);
    return st;
}
