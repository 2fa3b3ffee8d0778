/* Opening a regular file. */
#include "formats/regular.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

deco_status regular_open(int *fd, uint64_t *size, const char *path)
{
    deco_status st = DECO_OK;
    struct stat s;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer opens at once, and is refused below */
    if (*fd < 0)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be opened", path);
    if (fstat(*fd, &s))
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be read", path);
    else if (!S_ISREG(s.st_mode))
        st = deco_fail(DECO_E_FILE, "%s: is %s, not a file", path, S_ISDIR(s.st_mode) ? "a directory" : "a pipe or a device");
    else
        *size = (uint64_t)s.st_size;
    if (st) {
        close(*fd);
        *fd = -1;
    }
    return st;
}
