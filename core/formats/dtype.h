/* NumPy's names of number types, "<f4": what .npy, .cs in both its forms, and the writers share. */
#ifndef DECO_FORMATS_DTYPE_H
#define DECO_FORMATS_DTYPE_H

#include "base/status.h"

typedef struct deco_dtype {
    char kind; /* as in deco_column; 'V' for the padding of aligned records; 'O' for objects */
    size_t item;
    bool swapped; /* the other byte order */
} deco_dtype;

/* NULL, or why this type cannot be read, in words that follow "column 'x' ". Objects and padding are understood:
 * whether they may stand there is the caller's business (deco_dtype_refusal says why objects may not). */
const char *deco_dtype_parse(deco_dtype *out, const char *text);

extern const char *const deco_dtype_refusal;

/* The name in the byte order of our files: "<f4", "|u1", "|S12". */
void deco_dtype_print(char out[32], char kind, size_t item);

/* Reverses the bytes of `count` numbers in place; the halves of a complex number each on their own. */
void deco_dtype_swap(void *data, deco_dtype type, int64_t count);

#endif
