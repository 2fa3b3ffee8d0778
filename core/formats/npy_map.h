/* An .npy file seen in place: where it is large its pages come from the disk when they are looked at, and no copy is made. */
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

/* A plain array as our writers leave it. What is renamed over the file later does not change what is seen here. But who looks at a mapped page that is
 * gone, since the file was cut or its server does not answer, is ended by a signal: `copy` (for network file systems) reads it all at once, and up to
 * DECO_NPY_SMALL bytes are always read. Fails: FILE, MEMORY, FORMAT (cut; also Fortran order, the other byte order and data that are not aligned). */
#define DECO_NPY_SMALL ((size_t)64 << 20)
deco_status deco_npy_map_open(deco_npy_map *out, const char *path, bool copy);
void deco_npy_map_close(deco_npy_map *a); /* takes one that is not open */

#endif
