/* For the readers of this folder: a table made from memory that a file's bytes already fill. */
#ifndef DECO_FORMATS_TABLE_BUILD_H
#define DECO_FORMATS_TABLE_BUILD_H

#include "formats/table.h"

/* A copy of `text`, for a column's name. Fails: MEMORY. */
deco_status deco_table_text(char **out, const char *text);

/* Room for that many columns in all; `column` may move. */
deco_status deco_table_reserve(deco_table *t, int64_t columns);

/* Zeroed memory for rows, at least a byte, to be freed with free(). In large pages where it is large, since rows are gathered in any order. Fails:
 * MEMORY. */
deco_status deco_table_room(unsigned char **out, size_t bytes, const char *what);

/* Asks for all pages of some memory at once: a fault for each of them would cost as much as copying what goes there. */
void deco_table_touch(unsigned char *at, size_t bytes);

/* Both. */
deco_status deco_table_block(unsigned char **out, size_t bytes, const char *what);

/* `t` owns `block` (from malloc) from now on, also when the call fails. */
deco_status deco_table_take_block(deco_table *t, void *block);

/* Fails: FORMAT when two columns have one name. O(n log n): a hostile header may name very many. */
deco_status deco_table_check_names(const deco_table *t);

#endif
