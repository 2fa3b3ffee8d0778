/* `ind`: which rows of the input are used, and in which order. docs/formats.md. */
#ifndef DECO_PARTICLES_SELECTION_H
#define DECO_PARTICLES_SELECTION_H

#include "base/status.h"

/* Rows [*n] of an input with N rows, in the order of the file: an .npy of whole numbers (any width) or of booleans [N], or text with one
 * number a line. `input` is for messages. Free with free(). Fails: FILE; FORMAT (no row, a row twice, one that is not there, not whole
 * numbers, a pickle): file, line or entry, value. */
deco_status particles_selection_read(int64_t **row, int64_t *n, const char *path, int64_t N, const char *input);

#endif
