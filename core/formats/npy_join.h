/* Joining a record array to a table while it is read. */
#ifndef DECO_FORMATS_NPY_JOIN_H
#define DECO_FORMATS_NPY_JOIN_H

#include "formats/table.h"

/* As deco_cs_join, of a file in NPY form. */
deco_status npy_join(deco_table *t, const char *path, const char *key);

#endif
