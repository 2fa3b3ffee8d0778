/* job.json: which metafiles belong to which particle output. Written by CryoSPARC, but read as if by a stranger: every key may be
 * missing and every value of any type. */
#include "base/file.h"
#include "particles/job_directory.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_LIMIT = 1 << 28 }; /* job.json of a big job has a few MB */

typedef struct place {
    const char *directory, *project, *uid;
} place;

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) && item->valuestring ? item->valuestring : NULL;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static deco_status try_file(char **out, const char *directory, const char *name)
{
    char *path = deco_path_join(directory, name);

    if (!path)
        return deco_fail_memory(strlen(name), "a file's name");
    if (!path_is_file(path)) {
        free(path);
        path = NULL;
    }
    *out = path;
    return DECO_OK;
}

/* A metafile counts from the project ("J12/x.cs"). A job directory that was copied or renamed holds its own files all the same, so
 * the job's uid in front stands for the directory at hand. NULL when the file does not exist. */
static deco_status find_metafile(char **out, const place *at, const char *metafile)
{
    deco_status st = DECO_OK;
    const char *slash;

    *out = NULL;
    if (*metafile == '>')
        metafile++;
    slash = strchr(metafile, '/');
    if (slash && slash > metafile && at->uid && strlen(at->uid) == (size_t)(slash - metafile) &&
        !strncmp(at->uid, metafile, (size_t)(slash - metafile)))
        TRY(try_file(out, at->directory, slash + 1));
    if (!*out)
        TRY(try_file(out, at->project, metafile));
    if (!*out)
        TRY(try_file(out, at->directory, deco_path_name(metafile)));
out:
    return st;
}

/* One metafile an iteration: the last that exists, unless the user named another of them. */
static deco_status newest(char **out, const cJSON *result, const place *at, const char *wanted)
{
    deco_status st = DECO_OK;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "metafiles"), *item;
    char *path = NULL, *last = NULL;

    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || !item->valuestring || !*item->valuestring)
            continue;
        TRY(find_metafile(&path, at, item->valuestring));
        if (!path)
            continue;
        free(last);
        last = path;
        path = NULL;
        if (wanted && same_file(last, wanted))
            break;
    }
    *out = last;
    last = NULL;
out:
    free(last);
    free(path);
    return st;
}

/* Files of one output group as its results are gone through. */
typedef struct gathered {
    path_list own, passed;
    char *blob; /* file of the result "blob" */
} gathered;

static deco_status gather_result(gathered *g, const cJSON *result, const place *at, const char *wanted)
{
    deco_status st = DECO_OK;
    const char *name = text_of(result, "name");
    bool passed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "passthrough"));
    char *path = NULL;

    TRY(newest(&path, result, at, wanted));
    if (!path)
        goto out;
    TRY(path_list_add(passed ? &g->passed : &g->own, path));
    if (name && !strcmp(name, "blob")) {
        free(g->blob);
        g->blob = path;
        path = NULL;
    }
out:
    free(path);
    return st;
}

static bool in_list(const path_list *l, const char *path)
{
    for (int64_t i = 0; i < l->count; i++)
        if (!strcmp(l->path[i], path))
            return true;
    return false;
}

/* The file that the job wrote itself gives the rows: the one with the images, else its first. */
static const char *rows_of(const gathered *g, const char *wanted)
{
    for (int64_t i = 0; wanted && i < g->own.count; i++)
        if (same_file(g->own.path[i], wanted))
            return g->own.path[i];
    if (g->own.count)
        return g->blob && in_list(&g->own, g->blob) ? g->blob : g->own.path[0];
    return g->blob ? g->blob : g->passed.count ? g->passed.path[0] : NULL;
}

static deco_status take_files(job_group *group, const gathered *g, const char *wanted)
{
    deco_status st = DECO_OK;
    const path_list *lists[] = {&g->own, &g->passed};
    const char *rows = rows_of(g, wanted);

    if (!rows)
        return DECO_OK;
    for (int l = 0; l < 2; l++)
        for (int64_t i = 0; i < lists[l]->count; i++) {
            const char *path = lists[l]->path[i];
            if (wanted && same_file(path, wanted))
                group->has_wanted = true;
            if (strcmp(path, rows) != 0)
                TRY(path_list_add(&group->joined, path));
        }
    if (!(group->rows = strdup(rows)))
        st = deco_fail_memory(strlen(rows), "a file's name");
out:
    return st;
}

static deco_status read_group(job_group *group, const cJSON *json, const cJSON *results, const place *at, const char *wanted)
{
    deco_status st = DECO_OK;
    const char *name = text_of(json, "name");
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(json, "num_items"), *result;
    gathered g = {0};

    group->items = cJSON_IsNumber(items) && items->valuedouble >= 0 && items->valuedouble < 1e15 ? (int64_t)items->valuedouble : -1;
    if (!(group->name = strdup(name ? name : "")))
        TRY(deco_fail_memory(1, "a group's name"));
    cJSON_ArrayForEach(result, results)
    {
        const char *owner = text_of(result, "group_name");
        if (name && owner && !strcmp(owner, name))
            TRY(gather_result(&g, result, at, wanted));
    }
    TRY(take_files(group, &g, wanted));
out:
    path_list_free(&g.own);
    path_list_free(&g.passed);
    free(g.blob);
    return st;
}

static deco_status read_groups(job_json *out, const cJSON *root, const place *at, const char *wanted)
{
    deco_status st = DECO_OK;
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(root, "output_result_groups"), *group;
    const cJSON *results = cJSON_GetObjectItemCaseSensitive(root, "output_results");
    int n = cJSON_IsArray(groups) && cJSON_IsArray(results) ? cJSON_GetArraySize(groups) : 0;

    TRY(deco_alloc(&out->group, (size_t)n, sizeof *out->group, "job.json"));
    if (n)
        cJSON_ArrayForEach(group, groups)
        {
            const char *type = text_of(group, "type");
            if (type && !strcmp(type, "particle"))
                TRY(read_group(&out->group[out->groups++], group, results, at, wanted));
        }
out:
    return st;
}

deco_status job_json_read(job_json *out, const char *directory, const char *project, const char *wanted, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(directory, "job.json"), *text = NULL;
    size_t size = 0;
    cJSON *root = NULL;
    const char *version;

    *out = (job_json){0};
    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    if (!deco_path_exists(path))
        goto out;
    if (deco_file_get(&text, &size, path, JSON_LIMIT)) {
        deco_warn(m, "%s; the files' names are used instead", deco_error());
        goto out;
    }
    root = cJSON_ParseWithLength(text, size);
    if (!cJSON_IsObject(root)) {
        deco_warn(m, "%s: is not the JSON of a job; the files' names are used instead", path);
        goto out;
    }
    version = text_of(root, "version");
    if (version && !(out->version = strdup(version)))
        TRY(deco_fail_memory(strlen(version), "a version"));
    TRY(read_groups(out, root, &(place){directory, project, text_of(root, "uid")}, wanted));
out:
    if (st)
        job_json_free(out);
    cJSON_Delete(root);
    free(text);
    free(path);
    return st;
}

void job_json_free(job_json *j)
{
    for (int64_t i = 0; i < j->groups; i++) {
        free(j->group[i].name);
        free(j->group[i].rows);
        path_list_free(&j->group[i].joined);
    }
    free(j->group);
    free(j->version);
    *j = (job_json){0};
}
