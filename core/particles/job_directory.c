/* From what the user named to the files of one particle set: job.json first, then names. */
#include "particles/job_directory.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

deco_status path_list_add(path_list *l, const char *path)
{
    char **grown, *copy;

    for (int64_t i = 0; i < l->count; i++)
        if (!strcmp(l->path[i], path))
            return DECO_OK;
    copy = strdup(path);
    grown = copy ? realloc(l->path, (size_t)(l->count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        return deco_fail_memory(strlen(path), "a file's name");
    }
    l->path = grown;
    l->path[l->count++] = copy;
    return DECO_OK;
}

void path_list_free(path_list *l)
{
    for (int64_t i = 0; i < l->count; i++)
        free(l->path[i]);
    free(l->path);
    *l = (path_list){0};
}

bool path_is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

void job_files_free(job_files *f)
{
    free(f->directory);
    free(f->project);
    free(f->version);
    free(f->rows);
    path_list_free(&f->joined);
    *f = (job_files){0};
}

/* The parent as the user sees it: of "here/J12" it is "here", also where J12 is a link. "." and ".." have no name to take off. */
static char *parent_of(const char *directory)
{
    const char *name = deco_path_name(directory);
    size_t n = strcspn(name, "/");

    if (n == 0 || !strncmp(name, "..", n))
        return deco_path_join(directory, "..");
    return deco_path_directory(directory);
}

static deco_status set_places(job_files *out, const char *path, bool is_directory)
{
    out->directory = is_directory ? strdup(path) : deco_path_directory(path);
    out->project = out->directory ? parent_of(out->directory) : NULL;
    return out->project ? DECO_OK : deco_fail_memory(strlen(path), "a directory's name");
}

/* "a.cs (500 particles), b.cs": the candidates of a message. */
typedef struct listing {
    char text[4096];
    size_t used;
    int64_t count;
} listing;

static void list_one(listing *l, const char *path, int64_t items)
{
    int n = snprintf(l->text + l->used, sizeof l->text - l->used, items >= 0 ? "%s%s (%lld particles)" : "%s%s", l->count ? ", " : "", path,
                     (long long)items);
    l->count++;
    if (n > 0 && (size_t)n < sizeof l->text - l->used)
        l->used += (size_t)n;
    else
        snprintf(l->text + l->used, sizeof l->text - l->used, "%s", " …"); /* cut where it is full */
}

static deco_status several(const char *path, const listing *l, const char *example)
{
    return deco_fail(DECO_E_FORMAT,
                     "%s: holds %lld particle sets; name one of them instead of the directory, for instance --particles %s. They are: %s",
                     path, (long long)l->count, example, l->text);
}

/* The one group of job.json that is meant, or NULL when job.json does not decide. A file named by the user is looked for among the rows
 * first, then among the passthrough files. */
static deco_status choose_group(job_group **out, job_json *json, const char *path, const char *wanted)
{
    listing found = {.text = ""};
    job_group *first = NULL, *own = NULL;
    struct stat a, b;

    *out = NULL;
    for (int64_t i = 0; i < json->groups; i++) {
        job_group *g = &json->group[i];
        if (!g->rows || (wanted && !g->has_wanted))
            continue;
        if (wanted && !own && stat(wanted, &a) == 0 && stat(g->rows, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            own = g;
        if (!first)
            first = g;
        list_one(&found, g->rows, g->items);
    }
    if (!own && found.count > 1)
        return several(path, &found, first->rows);
    *out = own ? own : first;
    return DECO_OK;
}

static void take_group(job_files *out, job_group *g)
{
    out->rows = g->rows;
    out->joined = g->joined;
    g->rows = NULL;
    g->joined = (path_list){0};
}

static deco_status choose_by_name(job_files *out, const char *path, const char *wanted)
{
    deco_status st = DECO_OK;
    path_list found = {0};
    listing shown = {.text = ""};
    char *passed = NULL, why[600], *full = NULL;

    TRY(job_names_candidates(&found, out->directory));
    if (!wanted && !found.count) {
        job_names_explain(why, sizeof why, out->directory);
        TRY(deco_fail(DECO_E_FILE,
                      "%s: no particle .cs file is here (neither one that job.json names nor *_particles.cs, split_*.cs ...)%s", path,
                      why));
    }
    for (int64_t i = 0; !wanted && found.count > 1 && i < found.count; i++) {
        free(full);
        if (!(full = deco_path_join(out->directory, found.path[i])))
            TRY(deco_fail_memory(strlen(path), "a file's name"));
        list_one(&shown, full, -1);
    }
    if (shown.count)
        TRY(several(path, &shown, full));
    out->rows = wanted ? strdup(wanted) : deco_path_join(out->directory, found.path[0]);
    if (!out->rows)
        TRY(deco_fail_memory(strlen(path), "a file's name"));
    TRY(job_names_passthrough(&passed, out->directory, deco_path_name(out->rows), found.count == 1));
    if (passed)
        TRY(path_list_add(&out->joined, passed));
out:
    path_list_free(&found);
    free(passed);
    free(full);
    return st;
}

static bool has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n > k && !strcmp(path + n - k, ending);
}

/* Files that are easily named by mistake, or that other programs take. */
static deco_status check_kind(const char *path)
{
    static const char *const others[] = {".star", ".mrc", ".mrcs", ".csg", ".txt", ".pkl", ".json", ".h5"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_ending(path, others[i]))
            return deco_fail(DECO_E_FORMAT,
                             "%s: particles are read from a CryoSPARC job directory or one of its .cs files, not from %s files%s", path,
                             others[i], strcmp(others[i], ".csg") ? "" : ": name the .cs file beside it");
    return DECO_OK;
}

static deco_status find_place(job_files *out, const char *path, const char **wanted)
{
    deco_status st = DECO_OK;
    struct stat s;

    *wanted = NULL;
    if (stat(path, &s))
        return deco_fail_errno(DECO_E_FILE, "%s: the job directory or .cs file cannot be opened", path);
    if (!S_ISDIR(s.st_mode)) {
        if (!S_ISREG(s.st_mode))
            return deco_fail(DECO_E_FILE, "%s: is neither a job directory nor a .cs file", path);
        TRY(check_kind(path));
        *wanted = path;
    }
    TRY(set_places(out, path, !*wanted));
out:
    return st;
}

deco_status job_files_find(job_files *out, const char *path, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const char *wanted;
    job_json json = {0};
    job_group *group = NULL;

    *out = (job_files){0};
    TRY(find_place(out, path, &wanted));
    TRY(job_json_read(&json, out->directory, out->project, wanted, m));
    out->version = json.version;
    json.version = NULL;
    TRY(choose_group(&group, &json, path, wanted));
    if (group) {
        take_group(out, group);
        goto out;
    }
    if (json.groups && !wanted)
        deco_warn(m, "%s: job.json names %lld particle outputs, but none of their files is here; the files' names are used instead", path,
                  (long long)json.groups);
    TRY(choose_by_name(out, path, wanted));
out:
    job_json_free(&json);
    if (st)
        job_files_free(out);
    return st;
}
