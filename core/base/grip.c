#include "base/grip.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

deco_grip deco_grip_try(int fd, bool alone)
{
    struct flock whole = {.l_type = alone ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (!fcntl(fd, F_OFD_SETLK, &whole))
        return DECO_GRIP_TAKEN;
    return errno == EAGAIN || errno == EACCES ? DECO_GRIP_HELD : DECO_GRIP_NO_LOCKS;
}

bool deco_grip_is_gone(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) || stat(path, &there) || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev;
}
