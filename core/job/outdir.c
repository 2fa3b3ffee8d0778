/* The run's directory: checked before anything is read, made after everything was checked. */
#include "job/outdir.h"
#include "base/file.h"
#include "model/checkpoints.h"
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The nearest folder above (or at) `path` that exists, allocated. */
static char *existing_ancestor(const char *path)
{
    char *at = strdup(path);
    while (at && !deco_path_exists(at)) {
        char *up = deco_path_directory(at);
        free(at);
        at = up;
    }
    return at;
}

/* Is `path`, which may not exist yet, inside `folder`? Compared after links are followed. */
static bool lies_inside(const char *path, const char *folder)
{
    char real_path[PATH_MAX], real_folder[PATH_MAX];
    char *at = existing_ancestor(path);
    bool known = at && realpath(at, real_path) && realpath(folder, real_folder);
    free(at);
    if (!known)
        return false;
    size_t n = strlen(real_folder);
    return !strncmp(real_path, real_folder, n) && (real_path[n] == '/' || real_path[n] == 0);
}

/* The job's directory of an input, allocated in *out: itself, or the folder of one of its .cs files. NULL for a file that stands alone
 * (an export in a user's own folder) and for what does not exist, which its reader will say. */
static deco_status job_of(char **out, const char *input)
{
    deco_status st = DECO_OK;
    char *folder = deco_path_directory(input), *job = folder ? deco_path_join(folder, "job.json") : NULL;

    *out = NULL;
    if (!job)
        st = deco_fail_memory(strlen(input), "the input directory's name");
    else if (!deco_path_exists(input) && strrchr(input, ':')) /* an output of a job, "J14:split_0" */
        *out = strndup(input, (size_t)(strrchr(input, ':') - input));
    else if (deco_path_is_directory(input) || deco_path_exists(job))
        *out = deco_path_is_directory(input) ? strdup(input) : strdup(folder);
    free(job);
    free(folder);
    return st;
}

deco_status deco_output_check(const char *option, const char *directory, const char *input)
{
    deco_status st = DECO_OK;
    char *at = NULL, *job = NULL;

    TRY(job_of(&job, input));
    if (job && lies_inside(directory, job))
        TRY(deco_fail(DECO_E_ARGUMENT, "%s %s is inside the input %s, which is never written to; choose another place", option, directory,
                      job));
    if (!(at = existing_ancestor(directory)))
        TRY(deco_fail_memory(strlen(directory), "the output directory's name"));
    if (!deco_path_is_directory(at))
        TRY(deco_fail(DECO_E_FILE, "%s %s: %s is not a directory", option, directory, at));
    if (access(at, W_OK | X_OK))
        TRY(deco_fail_errno(DECO_E_FILE, "%s %s: %s cannot be written to", option, directory, at));
out:
    free(job);
    free(at);
    return st;
}

deco_status deco_outdir_check(const char *outdir, const char *input) { return deco_output_check("outdir", outdir, input); }

deco_status deco_cache_dir_check(const char *directory, const char *input)
{
    deco_status st = deco_output_check("cache_dir", directory, input);
    return st == DECO_E_FILE ? DECO_OK : st;
}

static int is_left_by_a_run(const struct dirent *e)
{
    const char *name = e->d_name;
    return !strcmp(name, "job.yaml") || !strcmp(name, "run.log") || !strcmp(name, "metrics.jsonl") || !strcmp(name, "out");
}

/* Makes the first outdir/old-out_NNN that does not exist yet. */
static deco_status make_aside(char **out, const char *outdir)
{
    for (int n = 0;; n++) {
        char *path = deco_format("%s/old-out_%03d", outdir, n);
        if (!path)
            return deco_fail_memory(strlen(outdir), "a folder's name");
        if (!mkdir(path, 0777)) {
            *out = path;
            return DECO_OK;
        }
        deco_status st = errno == EEXIST ? DECO_OK : deco_fail_errno(DECO_E_FILE, "%s: cannot be made", path);
        free(path);
        if (st)
            return st;
    }
}

static deco_status move_into(const char *aside, const char *outdir, const char *name)
{
    deco_status st = DECO_OK;
    char *from = deco_path_join(outdir, name), *to = deco_path_join(aside, name);

    if (!from || !to)
        st = deco_fail_memory(strlen(outdir), "a file's name");
    else if (rename(from, to))
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be moved to %s", from, to);
    free(from);
    free(to);
    return st;
}

/* Moves what a run left in `outdir` to a new folder old-out_NNN; without such things, does nothing. */
static deco_status keep_aside(const char *outdir, deco_monitor *m)
{
    deco_status st = DECO_OK;
    struct dirent **left = NULL;
    char *aside = NULL;
    int n = scandir(outdir, &left, is_left_by_a_run, alphasort);

    if (n < 0)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be read", outdir);
    if (n > 0)
        TRY(make_aside(&aside, outdir));
    for (int i = 0; i < n; i++)
        TRY(move_into(aside, outdir, left[i]->d_name));
    if (n > 0)
        deco_info(m, "%s held another run; it is now in %s", outdir, aside);
out:
    for (int i = 0; i < n; i++)
        free(left[i]);
    free(left);
    free(aside);
    return st;
}

/* "." NAME ".tmp-" PID "-" N, as base/file.c names them, of a process that does not live. Nobody writes yet under our own number. */
static bool is_orphan(const char *name)
{
    const char *at = strstr(name, ".tmp-"), *next;
    long long pid, n;
    int end = 0;

    while (at && (next = strstr(at + 1, ".tmp-")))
        at = next;
    if (!at || name[0] != '.' || sscanf(at, ".tmp-%lld-%lld%n", &pid, &n, &end) != 2 || at[end] || pid <= 0)
        return false;
    return pid == getpid() || (kill((pid_t)pid, 0) && errno == ESRCH);
}

/* For nftw, which here goes through no links. What cannot be removed stays. */
static int sweep_one(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s;
    if (type == FTW_F && is_orphan(path + where->base))
        unlink(path);
    return 0;
}

static int is_orphan_entry(const struct dirent *e) { return is_orphan(e->d_name); }

void deco_outdir_sweep(const char *outdir)
{
    enum { FOLDERS_OPEN = 16 };
    struct dirent **orphan = NULL;
    int n = scandir(outdir, &orphan, is_orphan_entry, NULL);
    char *path;

    for (int i = 0; i < n; i++) {
        if ((path = deco_path_join(outdir, orphan[i]->d_name)))
            unlink(path);
        free(path);
        free(orphan[i]);
    }
    free(orphan);
    if ((path = deco_path_join(outdir, "out")))
        nftw(path, sweep_one, FOLDERS_OPEN, FTW_PHYS);
    free(path);
}

static bool is_beyond(const char *name, int64_t epoch, int64_t step)
{
    int64_t e, s;
    return deco_checkpoint_position_of_name(&e, &s, name) && (e > epoch || (e == epoch && s > step));
}

static deco_status move_beyond(const char *outdir, int64_t epoch, int64_t step, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *out = deco_path_join(outdir, "out"), *aside = NULL, *aside_out = NULL;
    struct dirent **entry = NULL;
    int n = out ? scandir(out, &entry, NULL, alphasort) : -1;

    if (n < 0)
        TRY(deco_fail_errno(DECO_E_FILE, "%s/out: cannot be read", outdir));
    TRY(make_aside(&aside, outdir));
    if (!(aside_out = deco_path_join(aside, "out")))
        TRY(deco_fail_memory(strlen(outdir), "a folder's name"));
    TRY(deco_directory_make(aside_out));
    for (int i = 0; i < n; i++)
        if (is_beyond(entry[i]->d_name, epoch, step))
            TRY(move_into(aside_out, out, entry[i]->d_name));
    deco_info(m, "what lay beyond is now in %s", aside_out);
out:
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    free(aside_out);
    free(aside);
    free(out);
    return st;
}

/* A stopped run that was analysed as it stands has the analysis of an epoch that is not over, and must make another at its end. */
static bool analysed_beyond(const char *outdir, int64_t epoch, int64_t step)
{
    char *out = deco_path_join(outdir, "out");
    DIR *dir = out ? opendir(out) : NULL;
    bool beyond = false;

    for (struct dirent *e; dir && !beyond && (e = readdir(dir));)
        beyond = !strncmp(e->d_name, "analysis_", strlen("analysis_")) && is_beyond(e->d_name, epoch, step);
    if (dir)
        closedir(dir);
    free(out);
    return beyond;
}

deco_status deco_outdir_leave_behind(const char *outdir, int64_t epoch, int64_t step, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_checkpoint *list;
    int64_t count;

    TRY(deco_checkpoints_list(&list, &count, outdir));
    bool beyond = (count && is_beyond(deco_path_name(list[0].path), epoch, step)) || analysed_beyond(outdir, epoch, step);
    deco_checkpoints_free(list, count);
    if (beyond)
        TRY(move_beyond(outdir, epoch, step, m));
out:
    return st;
}

deco_status deco_outdir_prepare(const char *outdir, bool new_run, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *out = NULL;

    TRY(deco_directory_make(outdir));
    if (!(out = deco_path_join(outdir, "out")))
        TRY(deco_fail_memory(strlen(outdir), "a folder's name"));
    rmdir(out); /* where it is empty, a run was killed as it began: nothing to keep */
    if (new_run)
        TRY(keep_aside(outdir, m));
    TRY(deco_directory_make(out));
out:
    free(out);
    return st;
}
