#include "base/disk.h"
#include "base/file.h"
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

double deco_disk_free(const char *path)
{
    struct statvfs disk;
    char *at = strdup(path);

    while (at && statvfs(at, &disk)) {
        char *above = deco_path_directory(at);
        bool top = !above || !strcmp(above, at);
        free(at);
        at = top ? NULL : above;
        if (top)
            free(above);
    }
    double bytes = at ? (double)disk.f_bavail * (double)disk.f_frsize : INFINITY;
    free(at);
    return bytes;
}

double deco_disk_used(const char *directory)
{
    DIR *d = opendir(directory);
    struct dirent *e;
    double bytes = 0;

    while (d && (e = readdir(d))) {
        struct stat s;
        char *path = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 ? deco_path_join(directory, e->d_name) : NULL;
        if (path && !lstat(path, &s)) {
            bytes += (double)s.st_blocks * 512;
            if (S_ISDIR(s.st_mode))
                bytes += deco_disk_used(path);
        }
        free(path);
    }
    if (d)
        closedir(d);
    return bytes;
}
