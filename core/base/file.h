/* Files that are whole or absent: written beside their place, synced, renamed. And reading with named errors. */
#ifndef DECO_BASE_FILE_H
#define DECO_BASE_FILE_H

#include "base/status.h"
#include <stdio.h>

/* A file being written under a temporary name in the folder of `path`. */
typedef struct deco_file deco_file;

deco_status deco_file_create(deco_file **out, const char *path);
deco_status deco_file_write(deco_file *f, const void *bytes, size_t n);
deco_status deco_file_print(deco_file *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
deco_status deco_file_seek(deco_file *f, uint64_t offset); /* to patch a header */

/* Flush, fsync, rename to its name, fsync the folder. `f` is gone afterwards, also on failure. */
deco_status deco_file_commit(deco_file *f);

/* Removes the temporary file. Takes NULL. Call it on every path: after a commit `f` is NULL. */
void deco_file_abandon(deco_file *f);

/* A whole file of bytes, written at once. */
deco_status deco_file_put(const char *path, const void *bytes, size_t n);

/* The whole file in memory, with a zero byte behind it. `limit` 0: no limit; a larger file fails with both sizes.
 * A directory, a pipe and an unreadable file are each named. */
deco_status deco_file_get(char **out, size_t *size, const char *path, size_t limit);

/* A regular file opened for reading: a directory, and a pipe that would wait for ever, are refused by name. *fd is negative after a
 * failure. */
deco_status deco_file_open(int *fd, uint64_t *size, const char *path);

/* Exactly n bytes at `offset` of an open file; a short file fails with FORMAT and its size. `path` is for the message. */
deco_status deco_read_at(int fd, const char *path, void *out, size_t n, uint64_t offset);

deco_status deco_directory_make(const char *path); /* with its parents */

/* "<dir>/<name>", allocated; NULL without memory. An absolute name is returned as it is. */
char *deco_path_join(const char *dir, const char *name);
char *deco_path_directory(const char *path);  /* like dirname, allocated */
const char *deco_path_name(const char *path); /* the last part, inside `path` */
bool deco_path_exists(const char *path);
bool deco_path_is_directory(const char *path);

/* printf into a new string; NULL without memory. */
char *deco_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
