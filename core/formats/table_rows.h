/* For the readers and writers of this folder: rows found and copied. */
#ifndef DECO_FORMATS_TABLE_ROWS_H
#define DECO_FORMATS_TABLE_ROWS_H

#include "base/threads.h"
#include "formats/table.h"

/* `bytes` of each of the rows `row[0..n)` (NULL: the first n) of `from`, one after another. */
void table_copy_rows(unsigned char *to, size_t to_stride, const unsigned char *from, size_t stride, const int64_t *row, int64_t n,
                     size_t bytes);

/* The key's column, of unsigned integers. Fails: FORMAT. */
deco_status table_need_key(const deco_column **out, const deco_table *t, const char *key);

/* Columns that stand side by side in the rows of one block, as those of an .npy file do, are copied together and stand so again. */
typedef struct table_run {
    int64_t first, columns;
    size_t bytes; /* of a row */
} table_run;

/* The run that begins at a column; columns that `without` (may be NULL) has end it. */
table_run table_run_at(const deco_table *from, int64_t first, const deco_table *without);

/* A run's columns, in `rows` of the block that t owns from now on, also when the call fails. Fails: MEMORY. */
deco_status table_add_run(deco_table *t, const deco_table *from, table_run r, void *block, unsigned char *rows, size_t stride);

/* Tasks 0 … pieces-1 by a few threads, numbered below TABLE_THREADS: getting memory costs as much as filling it. Fails as the tasks do. */
enum { TABLE_THREADS = 4 };
deco_status table_run_pieces(deco_task task, void *context, int64_t pieces);

/* deco_table_join that lets go of each column of `other` once it is joined: not all are in memory twice. `other` is only to be freed. */
deco_status table_join_taking(deco_table *t, deco_table *other, const char *key);

#endif
