/* CryoSPARC datasets (.cs): NPY record arrays and CSDAT, told apart by their first bytes. FORMATS.md section 2. */
#ifndef DECO_FORMATS_CS_H
#define DECO_FORMATS_CS_H

#include "formats/table.h"

/* Fails: FILE; FORMAT naming file, and row or byte (truncated, lying header, object dtype, shapes that overflow). */
deco_status deco_cs_read(deco_table **out, const char *path);

/* Adds to `t` the columns of the file at `path` that it lacks, joined on `key`: as deco_cs_read and deco_table_join, but of the file only what is
 * joined is ever in memory. Fails as these; then `t` has the columns it had. */
deco_status deco_cs_join(deco_table *t, const char *path, const char *key);

/* NPY form, whole or absent: every column kept bit for bit, rows in the table's order. */
deco_status deco_cs_write(const char *path, const deco_table *t);
/* The same of the rows `row[0..n)` alone, in that order, without a copy of them in memory. Fails: ARGUMENT (no such row). */
deco_status deco_cs_write_rows(const char *path, const deco_table *t, const int64_t *row, int64_t n);

#endif
