/* Reading files, with errors that name them. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

deco_status deco_file_open(int *fd, uint64_t *size, const char *path)
{
    deco_status st = DECO_OK;
    struct stat s;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer opens at once, and is refused below */
    if (*fd < 0)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be read", path);
    if (fstat(*fd, &s))
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be read", path);
    else if (!S_ISREG(s.st_mode))
        st = deco_fail(DECO_E_FILE, "%s: is %s; a file is needed here", path, S_ISDIR(s.st_mode) ? "a directory" : "a pipe or a device");
    else
        *size = (uint64_t)s.st_size;
    if (st) {
        close(*fd);
        *fd = -1;
    }
    return st;
}

/* Bytes read, fewer than n only at the end of the file; -1 with errno. */
static ssize_t read_fully(int fd, void *out, size_t n, uint64_t offset)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = pread(fd, (char *)out + done, n - done, (off_t)(offset + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        if (k == 0)
            break;
        done += (size_t)k;
    }
    return (ssize_t)done;
}

deco_status deco_file_get(char **out, size_t *size, const char *path, size_t limit)
{
    deco_status st = DECO_OK;
    char *text = NULL;
    int fd = -1;
    uint64_t bytes = 0;

    *out = NULL;
    *size = 0;
    TRY(deco_file_open(&fd, &bytes, path));
    if (limit && bytes > limit) {
        st =
            deco_fail(DECO_E_FORMAT, "%s: has %llu bytes; at most %zu are expected in such a file", path, (unsigned long long)bytes, limit);
        goto out;
    }
    TRY(deco_alloc(&text, (size_t)bytes + 1, 1, path));
    ssize_t got = read_fully(fd, text, (size_t)bytes, 0);
    if (got < 0) {
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be read", path);
        goto out;
    }
    text[got] = 0;
    *size = (size_t)got; /* less than fstat said when someone cut it meanwhile */
    *out = text;
    text = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(text);
    return st;
}

deco_status deco_read_at(int fd, const char *path, void *out, size_t n, uint64_t offset)
{
    struct stat s;

    if (offset > (uint64_t)INT64_MAX || n > (uint64_t)INT64_MAX - offset)
        return deco_fail(DECO_E_FORMAT, "%s: byte %llu lies beyond any file", path, (unsigned long long)offset);
    ssize_t got = read_fully(fd, out, n, offset);
    if (got < 0)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be read at byte %llu", path, (unsigned long long)offset);
    if ((size_t)got < n)
        return deco_fail(DECO_E_FORMAT, "%s: ends at byte %lld, but %zu bytes are needed from byte %llu on: the file is cut short", path,
                         fstat(fd, &s) ? (long long)offset + got : (long long)s.st_size, n, (unsigned long long)offset);
    return DECO_OK;
}
