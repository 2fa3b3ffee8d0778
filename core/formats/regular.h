/* A file opened for reading, which is a regular one: neither a directory nor a pipe that would wait for ever. */
#ifndef DECO_FORMATS_REGULAR_H
#define DECO_FORMATS_REGULAR_H

#include "base/status.h"

/* *fd is negative after a failure. Fails: FILE. */
deco_status regular_open(int *fd, uint64_t *size, const char *path);

#endif
