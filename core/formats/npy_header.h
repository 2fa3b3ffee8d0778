/* The header of an .npy file: a Python literal, read strictly and never run. */
#ifndef DECO_FORMATS_NPY_HEADER_H
#define DECO_FORMATS_NPY_HEADER_H

#include "formats/dtype.h"
#include "formats/npy.h"

typedef struct npy_field {
    char *name; /* NULL in a plain array; UTF-8 */
    deco_dtype type;
    int dims;
    int64_t shape[DECO_NPY_DIMS];
    int64_t cells;
    size_t offset; /* in a row */
} npy_field;

typedef struct npy_header {
    bool record, fortran;
    int64_t fields;
    npy_field *field; /* without padding; one for a plain array */
    size_t row_bytes; /* of an element */
    int dims;
    int64_t shape[DECO_NPY_DIMS];
    int64_t count; /* product of shape */
    uint64_t data; /* byte where the data begin; they end with the file */
} npy_header;

/* Opens the file and reads its header; it then holds exactly count * row_bytes bytes of data. *fd is yours to close, and
 * negative after a failure. Fails: FILE, FORMAT, MEMORY. */
deco_status npy_open(npy_header *h, int *fd, const char *path);
void npy_header_free(npy_header *h);

/* The literal alone. `latin1`: names are in that encoding (versions 1 and 2), else in UTF-8. */
deco_status npy_header_parse(npy_header *h, const char *text, size_t n, bool latin1, const char *path);

#endif
