/* For the readers and writers of this folder: rows found and copied. */
#ifndef DECO_FORMATS_TABLE_ROWS_H
#define DECO_FORMATS_TABLE_ROWS_H

#include "formats/table.h"

/* `bytes` of each of the rows `row[0..n)` (NULL: the first n) of `from`, one after another. */
void table_copy_rows(unsigned char *to, size_t to_stride, const unsigned char *from, size_t stride, const int64_t *row, int64_t n,
                     size_t bytes);

/* The key's column, of unsigned integers. Fails: FORMAT. */
deco_status table_need_key(const deco_column **out, const deco_table *t, const char *key);

/* match[i]: the row of `other` that has the key of t's row i. Fails as deco_table_join. */
deco_status table_match_rows(int64_t *match, const deco_table *t, const deco_table *other, const char *key);

/* deco_table_join that lets go of each column of `other` once it is joined: not all are in memory twice. `other` is only to be freed. */
deco_status table_join_taking(deco_table *t, deco_table *other, const char *key);

#endif
