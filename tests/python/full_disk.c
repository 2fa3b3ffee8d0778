/* A disk that fills up, for LD_PRELOAD: files called data.mdb take FULL_DISK_BYTES of writing in all, and then no more (ENOSPC); what of the last
 * write still fits is written, as a real disk does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long long left = -1;

static int counts(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return strstr(path, "/data.mdb") != NULL;
}

/* How many of `n` bytes still fit. */
static size_t take(size_t n)
{
    pthread_mutex_lock(&lock);
    if (left < 0)
        left = atoll(getenv("FULL_DISK_BYTES"));
    size_t fits = n < (size_t)left ? n : (size_t)left;
    left -= (long long)fits;
    pthread_mutex_unlock(&lock);
    return fits;
}

static ssize_t limited(int fd, const void *bytes, size_t n, off_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real)
        real = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    size_t fits = counts(fd) ? take(n) : n;
    if (n && !fits) {
        errno = ENOSPC;
        return -1;
    }
    return real(fd, bytes, fits, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return limited(fd, bytes, n, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) { return limited(fd, bytes, n, at); }

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = limited(fd, v[i].iov_base, v[i].iov_len, at + done);
        if (n < 0)
            return done ? done : -1;
        done += n;
        if ((size_t)n < v[i].iov_len)
            break;
    }
    return done;
}
ssize_t pwritev64(int fd, const struct iovec *v, int count, off_t at) { return pwritev(fd, v, count, at); }

ssize_t writev(int fd, const struct iovec *v, int count)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = pwritev(fd, v, count, at);
    if (n > 0)
        lseek(fd, n, SEEK_CUR);
    return n;
}
