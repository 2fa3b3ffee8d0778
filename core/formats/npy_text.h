/* The header text that is written in front of .npy data. */
#ifndef DECO_FORMATS_NPY_TEXT_H
#define DECO_FORMATS_NPY_TEXT_H

#include "base/file.h"

/* Zeroed to begin with. Lack of memory is kept here and told by npy_text_write. */
typedef struct npy_text {
    char *text;
    size_t length, room;
    bool beyond_ascii, failed;
} npy_text;

void npy_text_add(npy_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void npy_text_add_quoted(npy_text *t, const char *name); /* as Python's repr: 'it\'s' */

/* Magic, version, length, text, and blanks up to a multiple of 64 bytes. Version 1 while it fits 64 KiB, else 2; 3 with
 * characters beyond ASCII, which it holds in UTF-8. */
deco_status npy_text_write(deco_file *f, const npy_text *t, const char *path);
void npy_text_free(npy_text *t);

#endif
