/* A lock of an open file: it goes with its process however that ends, two threads of one process shut each other out too, and closing
 * another descriptor of the same file drops nothing. */
#ifndef DECO_BASE_GRIP_H
#define DECO_BASE_GRIP_H

#include <stdbool.h>

typedef enum deco_grip { DECO_GRIP_TAKEN, DECO_GRIP_HELD, DECO_GRIP_NO_LOCKS } deco_grip;

/* The whole file, `alone` (fd open for writing) or with others that read; what is held already is changed without a gap. HELD: another has
 * it. NO_LOCKS: this file system knows none (some over a network), errno says why. */
deco_grip deco_grip_try(int fd, bool alone);

/* Is the open file no longer the one of this name? Its holder may have removed it between our opening and our locking it. */
bool deco_grip_is_gone(int fd, const char *path);

#endif
