/* NumPy's .npy, versions 1 to 3: plain arrays, and one-dimensional record arrays as tables. No pickles, ever. */
#ifndef DECO_FORMATS_NPY_H
#define DECO_FORMATS_NPY_H

#include "formats/table.h"

#define DECO_NPY_DIMS 8

typedef struct deco_npy {
    char kind; /* as in deco_column */
    size_t item;
    int dims;
    int64_t shape[DECO_NPY_DIMS];
    int64_t count; /* product of shape */
    void *data;    /* C order, native byte order; aligned */
} deco_npy;

/* A plain array. Fortran order and big-endian data are converted. Fails: FILE, FORMAT (record array, object dtype, sizes). */
deco_status deco_npy_read(deco_npy *out, const char *path);
void deco_npy_free(deco_npy *a); /* frees the data, zeroes the struct */

/* `descr` is "<f4", "<i4", "<u8" ... Whole or absent (base/file.h). */
deco_status deco_npy_write(const char *path, const char *descr, int dims, const int64_t *shape, const void *data);

/* Record arrays. Written with the columns' names, packed in their order; the header is of version 1 when it fits 64 KiB, else of
 * 2, and of 3 when a name goes beyond ASCII. */
deco_status deco_npy_read_table(deco_table **out, const char *path);
deco_status deco_npy_write_table(const char *path, const deco_table *t);
/* The rows `row[0..n)` alone, in that order; NULL: the first n. */
deco_status deco_npy_write_rows(const char *path, const deco_table *t, const int64_t *row, int64_t n);

#endif
