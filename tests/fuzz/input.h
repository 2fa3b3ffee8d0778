/* The fuzzer's bytes as a file that the readers can open. */
#ifndef DECO_FUZZ_INPUT_H
#define DECO_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A path that reads as these bytes until the next call. In memory: no disk is worn. */
static inline const char *fuzz_file(const uint8_t *bytes, size_t n)
{
    static int fd = -1;
    static char path[64];

    if (fd < 0) {
        fd = memfd_create("input", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, bytes, n, 0) != (ssize_t)n)
        abort();
    return path;
}

/* Reads every byte, which the sanitizer watches. */
static inline void fuzz_touch(const void *bytes, size_t n)
{
    const volatile unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        (void)p[i];
}

#endif
