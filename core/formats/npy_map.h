/* An .npy file seen in place: its pages come from the disk when they are looked at, and no copy is made. */
#ifndef DECO_FORMATS_NPY_MAP_H
#define DECO_FORMATS_NPY_MAP_H

#include "formats/npy.h"

typedef struct deco_npy_map {
    char descr[32]; /* "<f4" */
    int dims;
    int64_t shape[DECO_NPY_DIMS];
    const void *data; /* read only; C order, native byte order, aligned; never NULL when open */
    void *base;       /* of the mapping */
    size_t bytes;
} deco_npy_map;

/* A plain array as our writers leave it. What is renamed over the file later does not change what is seen here. Fails: FILE, FORMAT (also Fortran
 * order, the other byte order and data that are not aligned: those need a copy). */
deco_status deco_npy_map_open(deco_npy_map *out, const char *path);
void deco_npy_map_close(deco_npy_map *a); /* takes one that is not open */

#endif
