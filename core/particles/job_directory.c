/* From what the user named to the files of one particle set: a file's own kind, or of a job job.json first, then names. */
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

char *path_parent(const char *directory)
{
    const char *name = deco_path_name(directory);
    size_t n = strcspn(name, "/");

    /* "." and ".." have no name to take off */
    if (n == 0 || !strncmp(name, "..", n))
        return deco_path_join(directory, "..");
    return deco_path_directory(directory);
}

static deco_status set_places(job_files *out, const char *path, bool is_directory)
{
    out->directory = is_directory ? strdup(path) : deco_path_directory(path);
    out->project = out->directory ? path_parent(out->directory) : NULL;
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

/* The output group of that name. */
static deco_status named_group(job_group **out, job_json *json, const char *directory, const char *name)
{
    listing found = {.text = ""};

    for (int64_t i = 0; i < json->groups; i++) {
        job_group *g = &json->group[i];
        if (!strcmp(g->name, name)) {
            *out = g;
            return g->rows ? DECO_OK
                           : deco_fail(DECO_E_FILE, "%s: none of the files that job.json names for its output %s is here", directory, name);
        }
        list_one(&found, g->name, g->items);
    }
    return deco_fail(DECO_E_FILE, "%s: job.json has no particle output named %s; it has: %s", directory, name,
                     found.count ? found.text : "none, or there is no job.json");
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
    static const char *const others[] = {".mrc", ".mrcs", ".txt", ".pkl", ".json", ".h5"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_ending(path, others[i]))
            return deco_fail(DECO_E_FORMAT,
                             "%s: particles are read from a CryoSPARC job directory, a .cs, .csg or .star file, not from %s files", path,
                             others[i]);
    return DECO_OK;
}

/* What the user named. */
typedef struct named {
    char *directory;   /* of the job */
    const char *file;  /* a .cs file of it; NULL: the directory alone */
    const char *group; /* an output group of it; NULL */
} named;

/* ".../J14:split_0", where no file has that name. */
static deco_status split_group(named *n, const char *path)
{
    const char *colon = strrchr(path, ':');

    if (!colon || !colon[1] || strchr(colon, '/'))
        return DECO_OK;
    if (!(n->directory = strndup(path, (size_t)(colon - path))))
        return deco_fail_memory(strlen(path), "a directory's name");
    if (deco_path_is_directory(n->directory)) {
        n->group = colon + 1;
        return DECO_OK;
    }
    free(n->directory);
    n->directory = NULL;
    return DECO_OK;
}

static deco_status find_place(job_files *out, named *n, const char *path)
{
    deco_status st = DECO_OK;
    struct stat s;

    if (stat(path, &s)) {
        deco_status missing = deco_fail_errno(DECO_E_FILE, "%s: the job directory, .cs, .csg or .star file cannot be opened", path);
        char *why = strdup(deco_error());
        st = split_group(n, path);
        if (!st && !n->group) {
            deco_error_set(why ? why : "not found");
            st = missing;
        }
        free(why);
        TRY(st);
        TRY(set_places(out, n->directory, true));
        goto out;
    }
    if (!S_ISDIR(s.st_mode)) {
        if (!S_ISREG(s.st_mode))
            return deco_fail(DECO_E_FILE, "%s: is neither a job directory nor a file", path);
        TRY(check_kind(path));
        n->file = path;
    }
    TRY(set_places(out, path, !n->file));
out:
    return st;
}

/* RELION's paths count from the directory that it was started in: of "x/Refine3D/job012/run_data.star" that is x. */
static deco_status take_star(job_files *out, const char *path)
{
    deco_status st = DECO_OK;
    const char *name = deco_path_name(out->directory);
    char *kind = NULL;

    out->star = true;
    if (!(out->rows = strdup(path)))
        TRY(deco_fail_memory(strlen(path), "a file's name"));
    if (!strncmp(name, "job", 3) && strspn(name + 3, "0123456789") >= 3) {
        kind = out->project;
        if (!(out->project = path_parent(kind)))
            TRY(deco_fail_memory(strlen(path), "a directory's name"));
    } else {
        free(out->project);
        if (!(out->project = strdup(out->directory)))
            TRY(deco_fail_memory(strlen(path), "a directory's name"));
    }
out:
    free(kind);
    return st;
}

/* A file that is a set by itself. */
static deco_status take_file(job_files *out, const char *path, bool *taken)
{
    *taken = true;
    if (has_ending(path, ".csg"))
        return job_csg_read(out, path);
    if (has_ending(path, ".star"))
        return take_star(out, path);
    *taken = false;
    return DECO_OK;
}

/* A directory without job.json and .cs files of particles: an exported group, or a job of RELION's. */
static deco_status take_directory(job_files *out, const char *path, bool *taken)
{
    static const char *const stars[] = {"run_data.star", "particles.star"};
    deco_status st = DECO_OK;
    path_list groups = {0};
    listing shown = {.text = ""};
    const char *one = NULL;
    char *star = NULL;

    *taken = false;
    TRY(job_names_groups(&groups, out->directory));
    for (int64_t i = 0; i < groups.count; i++)
        if (job_csg_is_particles(groups.path[i])) {
            one = one ? one : groups.path[i];
            list_one(&shown, groups.path[i], -1);
        }
    if (shown.count > 1)
        TRY(several(path, &shown, one));
    if (one)
        TRY(take_file(out, one, taken));
    for (size_t i = 0; i < sizeof stars / sizeof *stars && !*taken; i++) {
        free(star);
        if (!(star = deco_path_join(out->directory, stars[i])))
            TRY(deco_fail_memory(strlen(path), "a file's name"));
        if (path_is_file(star))
            TRY(take_file(out, star, taken));
    }
out:
    free(star);
    path_list_free(&groups);
    return st;
}

deco_status job_files_find(job_files *out, const char *path, deco_monitor *m)
{
    deco_status st = DECO_OK;
    named n = {0};
    const char *wanted;
    bool taken = false;
    job_json json = {0};
    job_group *group = NULL;

    *out = (job_files){0};
    TRY(find_place(out, &n, path));
    wanted = n.file;
    if (wanted)
        TRY(take_file(out, wanted, &taken));
    if (taken)
        goto out;
    TRY(job_json_read(&json, out->directory, out->project, wanted, m));
    out->version = json.version;
    json.version = NULL;
    TRY(n.group ? named_group(&group, &json, n.directory, n.group) : choose_group(&group, &json, path, wanted));
    if (!group && !json.groups && !wanted)
        TRY(take_directory(out, path, &taken));
    if (taken)
        goto out;
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
    free(n.directory);
    if (st)
        job_files_free(out);
    return st;
}
