/* For the readers of this folder: rows of another table come by, some at a time and from several threads, and find their place beside the rows of
 * one. */
#ifndef DECO_FORMATS_TABLE_JOIN_H
#define DECO_FORMATS_TABLE_JOIN_H

#include "formats/table.h"

typedef struct table_join {
    deco_table *t;
    const char *key;
    deco_index *here; /* of t's keys */
    int64_t rows;     /* of the other */
    int64_t *row_of;  /* [rows] the row of t that a row of the other belongs to, or -1 */
} table_join;

/* Bytes that stand side by side in the other's rows, and the block where they stand by t's rows. Rows that begin on lines of the cache are written
 * without reading what was there before. */
typedef struct table_span {
    size_t bytes, stride;        /* of a row; from row to row in the block, `bytes` or somewhat more */
    unsigned char *block, *rows; /* from malloc; its first row, on a line of the cache */
} table_span;

/* Close it however it ended. Fails: FORMAT when t has no such key or one twice, MEMORY. */
deco_status table_join_open(table_join *j, deco_table *t, int64_t rows, const char *key);
void table_join_close(table_join *j);

/* Which rows of t the other's rows first … first+n-1 belong to; c holds the n keys. May be called from several threads, each with its rows. */
void table_join_find(const table_join *j, const deco_column *c, int64_t first, int64_t n);

/* When all are found: does every row of t have its own, and does no key of the other's stand twice? `other` needs only the key. Fails: FORMAT as
 * deco_table_join. */
deco_status table_join_check(const table_join *j, const deco_table *other);

/* Room for t's rows: the caller gives `bytes`, and frees `block` or hands it to the table. Fails: MEMORY. */
deco_status table_span_room(table_span *s, const deco_table *t);

/* The other's rows first … first+n-1 go to their places; of `from` on, where the first of them stands, `readable` bytes may be read. Several threads as
 * above. */
void table_span_place(const table_span *s, const table_join *j, int64_t first, int64_t n, const unsigned char *from, size_t stride,
                      size_t readable);

#endif
