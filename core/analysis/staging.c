#include "analysis/staging.h"
#include "base/file.h"
#include "base/grip.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *where) { return remove(path); }

static deco_status remove_tree(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be removed", path);
    return DECO_OK;
}

static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd); /* some file systems cannot; the names are then as safe as they get */
        close(fd);
    }
}

/* Was it removed by its holder before it was ours, the next try makes a new one. Where there are no locks nobody is kept out. */
static deco_status try_lock(bool *ours, deco_staging *s)
{
    if ((s->lock_fd = open(s->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be written", s->lock);
    *ours = deco_grip_try(s->lock_fd, true) != DECO_GRIP_HELD && !deco_grip_is_gone(s->lock_fd, s->lock);
    if (*ours)
        return DECO_OK;
    close(s->lock_fd);
    s->lock_fd = -1;
    return DECO_OK;
}

static deco_status lock(deco_staging *s, bool patient, deco_monitor *m)
{
    static const struct timespec moment = {.tv_nsec = 100000000};
    deco_status st = DECO_OK;
    bool ours = false, told = false;

    for (;;) {
        for (int i = 0; i < 3 && !ours; i++) /* the holder may have gone between two looks */
            TRY(try_lock(&ours, s));
        if (ours)
            return DECO_OK;
        if (!patient)
            return deco_fail(DECO_E_FILE, "%s is being made by another process; wait for its end (it holds %s)", s->directory, s->lock);
        if (!told)
            deco_info(m, "%s is being made by another process: waiting for its end", s->directory);
        told = true;
        if (deco_monitor_stopped(m))
            return deco_fail(DECO_E_STOPPED, "stopped while another process made %s", s->directory);
        nanosleep(&moment, NULL);
    }
out:
    return st;
}

deco_status deco_staging_begin(deco_staging *s, const char *directory, bool patient, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *parent = deco_path_directory(directory);

    *s = (deco_staging){.lock_fd = -1};
    s->directory = deco_format("%s", directory);
    if (parent)
        s->lock = deco_format("%s/.%s.lock", parent, deco_path_name(directory));
    if (!s->lock || !s->directory)
        TRY(deco_fail_memory(strlen(directory), "a folder's name"));
    TRY(deco_directory_make(parent));
    TRY(lock(s, patient, m));
    if (!(s->path = deco_format("%s/.%s.new", parent, deco_path_name(directory))))
        TRY(deco_fail_memory(strlen(directory), "a folder's name"));
    TRY(remove_tree(s->path));
    TRY(deco_directory_make(s->path));
out:
    free(parent);
    return st;
}

/* `made` takes the place of `name`; what stood there goes to `aside`, to be removed with the staging directory. */
static deco_status replace(const char *made, const char *name, const char *aside)
{
    if (!deco_path_exists(name)) {
        if (rename(made, name))
            return deco_fail_errno(DECO_E_FILE, "%s: cannot be renamed to %s", made, name);
        return DECO_OK;
    }
    if (!renameat2(AT_FDCWD, made, AT_FDCWD, name, RENAME_EXCHANGE))
        return DECO_OK;
    /* Not every file system can exchange two names at once: then in two steps, whole things both. */
    if (rename(name, aside) || rename(made, name))
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be replaced by %s", name, made);
    return DECO_OK;
}

/* Files before folders, and those from the end of the alphabet: clustering<K> comes last, and where it stands the rest does. */
static int folders_last(const struct dirent **a, const struct dirent **b)
{
    int folders = ((*a)->d_type == DT_DIR) - ((*b)->d_type == DT_DIR);
    return folders ? folders : strcmp((*b)->d_name, (*a)->d_name);
}

static deco_status replace_parts(const deco_staging *s)
{
    deco_status st = DECO_OK;
    struct dirent **entry = NULL;
    char *made = NULL, *name = NULL, *aside = NULL;
    int n = scandir(s->path, &entry, NULL, folders_last);

    if (n < 0)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be read", s->path);
    for (int i = 0; i < n; i++) {
        const char *part = entry[i]->d_name;
        if (!strcmp(part, ".") || !strcmp(part, ".."))
            continue;
        made = deco_path_join(s->path, part);
        name = deco_path_join(s->directory, part);
        aside = deco_format("%s/.old-%s", s->path, part);
        if (!made || !name || !aside)
            TRY(deco_fail_memory(strlen(s->path), "a folder's name"));
        TRY(replace(made, name, aside));
        free(made);
        free(name);
        free(aside);
        made = name = aside = NULL;
    }
out:
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    free(made);
    free(name);
    free(aside);
    return st;
}

deco_status deco_staging_publish(const deco_staging *s)
{
    deco_status st = DECO_OK;
    char *parent = deco_path_directory(s->directory);

    if (!parent)
        TRY(deco_fail_memory(strlen(s->directory), "a folder's name"));
    if (deco_path_is_directory(s->directory))
        TRY(replace_parts(s));
    else if (rename(s->path, s->directory))
        TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be renamed to %s", s->path, s->directory));
    sync_directory(s->directory);
    sync_directory(parent);
out:
    free(parent);
    return st;
}

void deco_staging_end(deco_staging *s)
{
    if (s->path)
        remove_tree(s->path); /* what stays is removed by the next analysis */
    if (s->lock && s->lock_fd >= 0) {
        unlink(s->lock); /* while it is ours */
        close(s->lock_fd);
    }
    free(s->path);
    free(s->directory);
    free(s->lock);
    *s = (deco_staging){.lock_fd = -1};
}
