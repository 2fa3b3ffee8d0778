/* The JSON header of a CSDAT file. */
#ifndef DECO_FORMATS_CSDAT_HEADER_H
#define DECO_FORMATS_CSDAT_HEADER_H

#include "formats/dtype.h"
#include "formats/table.h"

typedef struct csdat_field {
    char *name;
    deco_dtype type; /* 'O': a string column, u64 offsets into the heap */
    int dims;
    int64_t shape[DECO_COLUMN_DIMS];
    size_t bytes; /* of the whole column, unpacked */
    bool packed;  /* an LZ4 block */
} csdat_field;

typedef struct csdat_header {
    int64_t rows, fields;
    csdat_field *field;
} csdat_header;

deco_status csdat_header_parse(csdat_header *h, const char *json, size_t n, const char *path);
void csdat_header_free(csdat_header *h);

#endif
