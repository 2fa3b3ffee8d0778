/* A job directory without a useful job.json: what the names of its .cs files say. */
#include "base/file.h"
#include "particles/job_directory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Left by the published program beside the input it was made from. */
static const char leftover[] = "new_particles.cs";

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names of the regular files that end so, sorted. */
static deco_status list_names(path_list *out, const char *directory, const char *ending)
{
    deco_status st = DECO_OK;
    const struct dirent *entry;
    char *path = NULL;
    DIR *d = opendir(directory);

    if (!d)
        return deco_fail_errno(DECO_E_FILE, "%s: the directory cannot be read", directory);
    while ((entry = readdir(d))) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, ending))
            continue;
        free(path);
        if (!(path = deco_path_join(directory, entry->d_name)))
            TRY(deco_fail_memory(strlen(directory), "a file's name"));
        if (path_is_file(path))
            TRY(path_list_add(out, entry->d_name));
    }
    if (out->count)
        qsort(out->path, (size_t)out->count, sizeof *out->path, by_text);
out:
    free(path);
    closedir(d);
    return st;
}

/* Behind a job-uid prefix: "J42_x.cs" → "x.cs". */
static const char *after_uid(const char *name)
{
    const char *p = name;
    if (*p++ != 'J' || !isdigit((unsigned char)*p))
        return name;
    while (isdigit((unsigned char)*p))
        p++;
    return *p == '_' ? p + 1 : name;
}

static bool is_split(const char *name)
{
    const char *p = after_uid(name);
    return !strncmp(p, "split_", 6) && isdigit((unsigned char)p[6]);
}

static bool is_passthrough(const char *name) { return strstr(name, "passthrough_") != NULL; }
static bool is_particles(const char *name) { return strstr(name, "particles") || is_split(name); }

/* An iteration is three digits or more between underscores: "J30_005_particles.cs". Its place and length; false when there is none. */
static bool find_iteration(const char *name, size_t *at, size_t *length)
{
    bool found = false;
    for (const char *p = name; *p; p++) {
        size_t n = strspn(p, "0123456789");
        if (n >= 3 && p > name && p[-1] == '_' && p[n] == '_') {
            *at = (size_t)(p - name);
            *length = n;
            found = true;
        }
        if (n)
            p += n - 1;
    }
    return found;
}

/* True when `b` is a later iteration of the same output than `a`. */
static bool is_later(const char *a, const char *b)
{
    size_t ia = 0, na = 0, ib = 0, nb = 0;
    if (!find_iteration(a, &ia, &na) || !find_iteration(b, &ib, &nb) || ia != ib || strncmp(a, b, ia) != 0 ||
        strcmp(a + ia + na, b + ib + nb) != 0)
        return false;
    return nb != na ? nb > na : strncmp(a + ia, b + ib, na) < 0;
}

static bool is_candidate(const char *name, bool by_pattern)
{
    return strcmp(name, leftover) != 0 && !is_passthrough(name) && (!by_pattern || is_particles(name));
}

deco_status job_names_candidates(path_list *out, const char *directory)
{
    deco_status st = DECO_OK;
    path_list names = {0};

    TRY(list_names(&names, directory, ".cs"));
    /* Names that CryoSPARC gives to particles; where there are none, any other: exported and renamed files. */
    for (int pass = 0; pass < 2 && !out->count; pass++)
        for (int64_t i = 0; i < names.count; i++) {
            bool old = false;
            if (!is_candidate(names.path[i], pass == 0))
                continue;
            for (int64_t k = 0; k < names.count; k++)
                old = old || (is_candidate(names.path[k], pass == 0) && is_later(names.path[i], names.path[k]));
            if (!old)
                TRY(path_list_add(out, names.path[i]));
        }
out:
    path_list_free(&names);
    return st;
}

/* Output group of a file: "J42_particles_class_1.cs" → "particles_class_1", "split_0003.cs" → "split_3". */
static void group_of(char *out, size_t size, const char *name)
{
    const char *p = after_uid(name), *from = strstr(p, "particles");
    size_t n;

    if (is_split(name)) {
        snprintf(out, size, "split_%lld", strtoll(p + 6, NULL, 10));
        return;
    }
    snprintf(out, size, "%s", from ? from : p);
    n = strlen(out);
    if (ends_with(out, ".cs"))
        out[n - 3] = 0;
}

static bool passes_group(const char *name, const char *group)
{
    const char *p = strstr(name, "passthrough_") + strlen("passthrough_");
    size_t n = strlen(group);
    return !strncmp(p, group, n) && !strcmp(p + n, ".cs");
}

deco_status job_names_passthrough(char **out, const char *directory, const char *rows, bool only)
{
    deco_status st = DECO_OK;
    path_list names = {0};
    const char *exact = NULL, *some = NULL;
    char group[256];
    int64_t of_particles = 0;

    *out = NULL;
    group_of(group, sizeof group, rows);
    TRY(list_names(&names, directory, ".cs"));
    for (int64_t i = 0; i < names.count; i++) {
        const char *name = names.path[i];
        if (!is_passthrough(name) || !strcmp(name, rows))
            continue;
        if (passes_group(name, group))
            exact = name;
        const char *of = strstr(name, "passthrough_") + strlen("passthrough_");
        if (!strncmp(of, "particles", 9) || is_split(of))
            some = name, of_particles++;
    }
    if (!exact && only && of_particles == 1)
        exact = some;
    if (exact && !(*out = deco_path_join(directory, exact)))
        st = deco_fail_memory(strlen(exact), "a file's name");
out:
    path_list_free(&names);
    return st;
}

deco_status job_names_groups(path_list *out, const char *directory)
{
    deco_status st = DECO_OK;
    path_list names = {0};
    char *path = NULL;

    TRY(list_names(&names, directory, ".csg"));
    for (int64_t i = 0; i < names.count; i++) {
        free(path);
        if (!(path = deco_path_join(directory, names.path[i])))
            TRY(deco_fail_memory(strlen(directory), "a file's name"));
        TRY(path_list_add(out, path));
    }
out:
    free(path);
    path_list_free(&names);
    return st;
}

/* A project holds job directories: J1, J2 ... */
static bool holds_jobs(char *first, size_t size, const char *directory)
{
    const struct dirent *entry;
    bool found = false;
    DIR *d = opendir(directory);

    while (d && (entry = readdir(d))) {
        const char *p = entry->d_name;
        if (*p != 'J' || !p[1] || p[1 + strspn(p + 1, "0123456789")] || strlen(p) >= size)
            continue;
        if (!found || strcmp(p, first) < 0)
            snprintf(first, size, "%.*s", (int)size - 1, p);
        found = true;
    }
    if (d)
        closedir(d);
    return found;
}

void job_names_explain(char *out, size_t size, const char *directory)
{
    path_list names = {0};
    char job[64];
    bool passed = false, left = false;

    *out = 0;
    if (list_names(&names, directory, ".cs"))
        return;
    for (int64_t i = 0; i < names.count; i++) {
        passed = passed || is_passthrough(names.path[i]);
        left = left || !strcmp(names.path[i], leftover);
    }
    if (left)
        snprintf(out, size, "; its %s was left by another program and is used only when it is named itself", leftover);
    else if (passed)
        snprintf(out, size, "; its passthrough files alone hold no images");
    else if (holds_jobs(job, sizeof job, directory))
        snprintf(out, size, "; it looks like a project: name one of its jobs, such as %s/%s", directory, job);
    path_list_free(&names);
}
