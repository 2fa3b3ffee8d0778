/* Files that are whole or absent. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16 };

struct deco_file {
    char *path, *temporary;
    int fd;
    size_t used;
    unsigned char buffer[BUFFER];
};

static deco_status write_failed(const char *path)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be written; make room and start again", path);
    return deco_fail_errno(DECO_E_FILE, "%s: cannot be written", path);
}

/* A name no other writer has, in the same folder: rename works within one file system only. */
static char *temporary_name(const char *path)
{
    static atomic_ulong counter;
    char *folder = deco_path_directory(path);
    char *name =
        folder ? deco_format("%s/.%s.tmp-%ld-%lu", folder, deco_path_name(path), (long)getpid(), atomic_fetch_add(&counter, 1)) : NULL;

    free(folder);
    return name;
}

deco_status deco_file_create(deco_file **out, const char *path)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;

    *out = NULL;
    if (deco_path_is_directory(path))
        return deco_fail(DECO_E_FILE, "%s: is a directory, so no file can be written there", path);
    TRY(deco_alloc(&f, 1, sizeof *f, path));
    f->fd = -1;
    f->path = strdup(path);
    f->temporary = temporary_name(path);
    if (!f->path || !f->temporary) {
        st = deco_fail_memory(strlen(path), path);
        goto out;
    }
    /* O_EXCL: a leftover of a killed process with our number is not ours to write into. */
    f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno == EEXIST) {
        unlink(f->temporary);
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (f->fd < 0) {
        st = write_failed(path);
        goto out;
    }
    *out = f;
    f = NULL;
out:
    deco_file_abandon(f);
    return st;
}

static deco_status put_bytes(deco_file *f, const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t k = write(f->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return write_failed(f->path);
        p += k;
        n -= (size_t)k;
    }
    return DECO_OK;
}

static deco_status flush(deco_file *f)
{
    size_t n = f->used;
    f->used = 0;
    return put_bytes(f, f->buffer, n);
}

deco_status deco_file_write(deco_file *f, const void *bytes, size_t n)
{
    deco_status st = DECO_OK;

    if (n > BUFFER - f->used)
        TRY(flush(f));
    if (n >= BUFFER)
        return put_bytes(f, bytes, n);
    if (n)
        memcpy(f->buffer + f->used, bytes, n);
    f->used += n;
out:
    return st;
}

deco_status deco_file_print(deco_file *f, const char *format, ...)
{
    deco_status st;
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        return deco_fail_memory(0, f->path);
    st = deco_file_write(f, text, (size_t)n);
    free(text);
    return st;
}

deco_status deco_file_seek(deco_file *f, uint64_t offset)
{
    deco_status st = DECO_OK;

    TRY(flush(f));
    if (offset > INT64_MAX || lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
        st = deco_fail(DECO_E_FILE, "%s: cannot go to byte %llu", f->path, (unsigned long long)offset);
out:
    return st;
}

/* After a rename the name itself must reach the disk. Some file systems cannot sync a folder; their files are safe without. */
static deco_status sync_directory(const char *path)
{
    deco_status st = DECO_OK;
    char *folder = deco_path_directory(path);
    int fd = -1;

    if (!folder)
        return deco_fail_memory(strlen(path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) && errno != EINVAL && errno != EROFS && errno != ENOTSUP && errno != EBADF)
        st = write_failed(path);
    if (fd >= 0)
        close(fd);
    free(folder);
    return st;
}

deco_status deco_file_commit(deco_file *f)
{
    deco_status st = DECO_OK;

    TRY(flush(f));
    if (fsync(f->fd)) {
        st = write_failed(f->path);
        goto out;
    }
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) && errno != EINTR) { /* network file systems report a full disk here */
        st = write_failed(f->path);
        goto out;
    }
    if (rename(f->temporary, f->path)) {
        st = write_failed(f->path);
        goto out;
    }
    free(f->temporary);
    f->temporary = NULL;
    TRY(sync_directory(f->path));
out:
    deco_file_abandon(f);
    return st;
}

void deco_file_abandon(deco_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->temporary)
        unlink(f->temporary);
    free(f->temporary);
    free(f->path);
    free(f);
}

deco_status deco_file_put(const char *path, const void *bytes, size_t n)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;

    TRY(deco_file_create(&f, path));
    TRY(deco_file_write(f, bytes, n));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    return st;
}
