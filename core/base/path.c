/* Paths and formatted strings. */
#include "base/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *deco_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? NULL : text;
}

char *deco_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);

    if (*name == '/' || n == 0)
        return strdup(name);
    return deco_format(dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

/* Length of `path` without the slashes at its end; "/" keeps its one. */
static size_t trimmed(const char *path, size_t n)
{
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

char *deco_path_directory(const char *path)
{
    size_t n = trimmed(path, strlen(path));

    while (n > 0 && path[n - 1] != '/')
        n--;
    return n ? strndup(path, trimmed(path, n)) : strdup(".");
}

const char *deco_path_name(const char *path)
{
    size_t n = trimmed(path, strlen(path));

    while (n > 0 && path[n - 1] != '/')
        n--;
    return path + n;
}

bool deco_path_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool deco_path_is_directory(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* Another process may make the same folder in the same moment: that is as good. */
static deco_status make_one(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return DECO_OK;
    if (errno == EEXIST && deco_path_is_directory(path))
        return DECO_OK;
    if (errno == EEXIST)
        return deco_fail(DECO_E_FILE, "%s: is a file, so no directory of that name can be made", path);
    return deco_fail_errno(DECO_E_FILE, "%s: the directory cannot be made", path);
}

deco_status deco_directory_make(const char *path)
{
    deco_status st = DECO_OK;
    char *part = strdup(path);

    if (!part)
        return deco_fail_memory(strlen(path), path);
    for (char *p = part + (*part == '/'); *p; p++)
        if (*p == '/') {
            *p = 0;
            if (!deco_path_is_directory(part))
                TRY(make_one(part));
            *p = '/';
        }
    TRY(make_one(part));
out:
    free(part);
    return st;
}
