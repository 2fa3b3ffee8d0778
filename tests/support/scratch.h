/* A folder of the test's own for the files it makes; removed when the program ends. */
#ifndef DECO_TESTS_SCRATCH_H
#define DECO_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[512];

static int scratch_remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

static void scratch_remove(void) { nftw(scratch_folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS); }

/* "<folder>/<name>", in one of eight rotating buffers. */
static inline const char *scratch(const char *name)
{
    static char path[8][1024];
    static int turn;
    if (!*scratch_folder) {
        const char *tmp = getenv("TMPDIR");
        snprintf(scratch_folder, sizeof scratch_folder, "%s/deco-test-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(scratch_folder))
            abort();
        atexit(scratch_remove);
    }
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", scratch_folder, name);
    return path[turn];
}

/* A file of these bytes; its path. */
static inline const char *scratch_put(const char *name, const void *bytes, size_t n)
{
    const char *path = scratch(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f))
        abort();
    return path;
}

/* The whole file, to be freed. */
static inline unsigned char *scratch_get(size_t *n, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        abort();
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(*n + 1);
    if (!bytes || fread(bytes, 1, *n, f) != *n)
        abort();
    fclose(f);
    return bytes;
}

#endif
