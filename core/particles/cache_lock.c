#include "particles/cache_lock.h"
#include "base/file.h"
#include "base/grip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cache_lock {
    int fd;
    bool can_write;
    char *path;
};

deco_status cache_lock_open(cache_lock **out, const char *directory)
{
    deco_status st = DECO_OK;
    cache_lock *l = NULL;

    *out = NULL;
    TRY(deco_alloc(&l, 1, sizeof *l, "a lock"));
    l->fd = -1;
    if (!(l->path = deco_path_join(directory, CACHE_LOCK_FILE)))
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    l->can_write = l->fd >= 0;
    if (l->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) /* another's cache can be read */
        l->fd = open(l->path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0)
        TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be opened", l->path));
    *out = l;
    l = NULL;
out:
    cache_lock_close(l);
    return st;
}

void cache_lock_close(cache_lock *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    free(l);
}

deco_status cache_lock_try(bool *got, cache_lock *l, cache_grip grip)
{
    deco_grip g;

    *got = false;
    if (grip == CACHE_ALONE && !l->can_write)
        return deco_fail(DECO_E_FILE,
                         "%s: cannot be written, and the cache beside it is not whole; give another --cache_dir, or --cache none", l->path);
    if ((g = deco_grip_try(l->fd, grip == CACHE_ALONE)) == DECO_GRIP_NO_LOCKS)
        return deco_fail_errno(DECO_E_FILE,
                               "%s: its file system has no locks, so that two runs could make this cache at once; give --cache_dir on a "
                               "local disk, or --cache none",
                               l->path);
    *got = g == DECO_GRIP_TAKEN && !deco_grip_is_gone(l->fd, l->path);
    return DECO_OK;
}
