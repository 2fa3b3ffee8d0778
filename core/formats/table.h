/* A dataset: named columns of typed cells, one row a particle. What .cs files hold; kept whole, columns not understood too. */
#ifndef DECO_FORMATS_TABLE_H
#define DECO_FORMATS_TABLE_H

#include "base/status.h"

#define DECO_COLUMN_DIMS 4

/* kind: 'u' 'i' unsigned and signed integer, 'f' float, 'c' complex, 'S' fixed text (zero-padded UTF-8), 'b' bool */
typedef struct deco_column {
    char *name;
    char kind;
    size_t item; /* bytes of one number, or the text's width */
    int dims;    /* 0: a scalar a row */
    int64_t shape[DECO_COLUMN_DIMS];
    int64_t cells;       /* product of shape; 1 for a scalar */
    unsigned char *data; /* cell bytes of row i at data + i * stride, little-endian, unaligned */
    size_t stride;
} deco_column;

typedef struct deco_table {
    char *source; /* the file's path, for messages */
    int64_t rows;
    int64_t columns, column_room;
    deco_column *column;
    void **blocks; /* what the columns' data points into */
    int64_t block_count;
} deco_table;

void deco_table_free(deco_table *t);

/* A table without columns. `source` is copied. */
deco_status deco_table_create(deco_table **out, int64_t rows, const char *source);

/* A new zeroed column, packed (stride = item * cells). `out` (may be NULL) is good until the next column is added. A
 * column of that name is replaced. */
deco_status deco_table_add(deco_table *t, deco_column **out, const char *name, char kind, size_t item, int dims, const int64_t *shape);

/* Another table over the columns of `t`: columns added to it, or replaced in it, leave `t` as it is. Free it before `t`. */
deco_status deco_table_view(deco_table **out, const deco_table *t);

const deco_column *deco_table_find(const deco_table *t, const char *name); /* NULL when there is none */
bool deco_table_has_prefix(const deco_table *t, const char *prefix);       /* any column "<prefix>/..." */

/* The column, checked: numeric or text as wanted, with `cells` cells a row. Fails: FORMAT naming source and column. */
deco_status deco_table_need(const deco_column **out, const deco_table *t, const char *name, char kind_class /* 'n' or 'S' */,
                            int64_t cells);

/* One cell, converted. */
double deco_cell_real(const deco_column *c, int64_t row, int64_t cell);
uint64_t deco_cell_u64(const deco_column *c, int64_t row, int64_t cell);
size_t deco_cell_text(char *out, size_t size, const deco_column *c, int64_t row); /* like snprintf; always terminated */
void deco_cell_set_real(deco_column *c, int64_t row, int64_t cell, double value);
void deco_cell_set_u64(deco_column *c, int64_t row, int64_t cell, uint64_t value);
void deco_cell_set_text(deco_column *c, int64_t row, const char *text); /* cut to the width at a whole UTF-8 character */

/* The rows `row[0..n)` of t, in that order, all columns. */
deco_status deco_table_select(deco_table **out, const deco_table *t, const int64_t *row, int64_t n);

/* Adds to `t` every column of `other` that it lacks, joined on `key` (u64, "uid"). Rows of `other` may stand in any
 * order and be more. Fails: FORMAT when a row of `t` is not in `other` (uid, row and how many in all), or a key stands twice. */
deco_status deco_table_join(deco_table *t, const deco_table *other, const char *key);

/* The rows of t[0..n) one after another, with the columns that all have in one kind and shape, each as wide as its widest. *left_out: names
 * of the others, "a, b", NULL when there is none; free with free(). */
deco_status deco_table_append(deco_table **out, char **left_out, deco_table *const *t, int64_t n, const char *source);

/* An index over a u64 column: row of a value, or -1. Fails: FORMAT when a value stands twice (both rows named). */
typedef struct deco_index deco_index;
deco_status deco_index_create(deco_index **out, const deco_table *t, const char *key);
int64_t deco_index_row(const deco_index *x, uint64_t key);
/* The rows of the keys in the first n rows of column c, [n]; as deco_index_row, and faster. */
void deco_index_rows(int64_t *row, const deco_index *x, const deco_column *c, int64_t n);
void deco_index_free(deco_index *x);

#endif
