/* The caches of a directory: what there is, and taking them away. */
#include "base/file.h"
#include "particles/cache_parts.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "cryodeco-";
enum { PREFIX = sizeof prefix - 1, HEX = 16 };

static bool is_hex(const char *text, size_t n) { return strspn(text, "0123456789abcdef") >= n; }

/* "cryodeco-<16 hex>-<16 hex>" */
static bool is_cache_name(const char *name)
{
    return !strncmp(name, prefix, PREFIX) && strlen(name) == PREFIX + 2 * HEX + 1 && is_hex(name + PREFIX, HEX) &&
           name[PREFIX + HEX] == '-' && is_hex(name + PREFIX + HEX + 1, HEX);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

deco_status cache_list(path_list *out, const char *root, const char *identity)
{
    deco_status st = DECO_OK;
    DIR *d = opendir(root);
    const struct dirent *e;
    char *path = NULL;

    if (!d)
        return errno == ENOENT ? DECO_OK : deco_fail_errno(DECO_E_FILE, "%s", root);
    while ((e = readdir(d))) {
        if (!is_cache_name(e->d_name) || (identity && strncmp(e->d_name + PREFIX, identity, HEX) != 0))
            continue;
        free(path);
        if (!(path = deco_path_join(root, e->d_name)))
            TRY(deco_fail_memory(strlen(root), "a file's name"));
        TRY(path_list_add(out, path));
    }
    if (out->count)
        qsort(out->path, (size_t)out->count, sizeof *out->path, by_name);
out:
    free(path);
    closedir(d);
    return st;
}

static deco_status remove_file(const char *directory, const char *name)
{
    char *path = deco_path_join(directory, name);
    deco_status st = DECO_OK;

    if (!path)
        return deco_fail_memory(strlen(directory), "a file's name");
    if (unlink(path) && errno != ENOENT)
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be removed", path);
    free(path);
    return st;
}

deco_status cache_remove(bool *removed, const char *directory)
{
    deco_status st = DECO_OK;
    cache_lock *lock = NULL;

    *removed = false;
    if (!is_cache_name(deco_path_name(directory)))
        return deco_fail(DECO_E_ARGUMENT, "%s is no cache: their directories are called cryodeco-<digits>-<digits>", directory);
    TRY(cache_lock_open(&lock, directory));
    TRY(cache_lock_try(removed, lock, CACHE_ALONE));
    if (!*removed)
        goto out;
    TRY(remove_file(directory, CACHE_DATA_FILE));
    TRY(remove_file(directory, CACHE_LOCK_FILE)); /* while it is still ours */
    if (rmdir(directory) && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be removed", directory);
out:
    cache_lock_close(lock);
    return st;
}

/* The name of the first stack whose stamp is not the cache's, for the log; NULL when that cannot be told. Borrowed from the plan. */
static const char *changed_stack(const cache_plan *c, const char *directory)
{
    cache_env *e = NULL;
    cache_view *v = NULL;
    const char *stamps = NULL, *found = NULL;
    size_t bytes;

    if (!cache_env_open(&e, directory) && !cache_view_create(&v, e) && !cache_view_text(&stamps, &bytes, v, CACHE_STAMPS) && stamps &&
        bytes == (size_t)c->p->stacks * sizeof *c->stamps)
        for (int64_t s = 0; s < c->p->stacks && !found; s++)
            if (memcmp(stamps + (size_t)s * sizeof *c->stamps, &c->stamps[s], sizeof *c->stamps) != 0)
                found = c->p->stack[s];
    cache_view_free(v);
    cache_env_close(e);
    return found;
}

deco_status cache_remove_stale(const cache_plan *c, deco_monitor *m)
{
    deco_status st = DECO_OK;
    path_list all = {0};

    TRY(cache_list(&all, c->root, c->identity));
    for (int64_t i = 0; i < all.count; i++) {
        const char *directory = all.path[i], *name = deco_path_name(directory);
        bool removed;
        if (!strcmp(name + PREFIX + HEX + 1, c->stamp))
            continue;
        const char *stack = changed_stack(c, directory);
        TRY(cache_remove(&removed, directory));
        deco_info(m, "%s changed since its images were prepared: they are prepared again%s", stack ? stack : "the input",
                  removed ? "" : "; the cache of before is still in use, and stays");
    }
out:
    path_list_free(&all);
    return st;
}

/* ---- what one says of itself ----------------------------------------------------------------------------------------- */

static int64_t number(const cJSON *o, const char *name)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(x) && x->valuedouble >= 0 && x->valuedouble < 1e15 ? (int64_t)x->valuedouble : -1;
}

deco_status cache_about_read(cache_about *out, const cache_env *e)
{
    deco_status st = DECO_OK;
    cache_view *v = NULL;
    cache_about a = {0};
    cJSON *o = NULL;
    const char *text;
    size_t bytes;

    *out = a;
    TRY(cache_view_create(&v, e));
    TRY(cache_view_text(&text, &bytes, v, CACHE_ABOUT));
    if (text && !(a.text = strndup(text, bytes)))
        TRY(deco_fail_memory(bytes, "a cache's description"));
    o = a.text ? cJSON_Parse(a.text) : NULL;
    const cJSON *precision = cJSON_GetObjectItemCaseSensitive(o, "precision");
    int64_t box = number(o, "box");
    a.images = number(o, "images"), a.particles = number(o, "particles"), a.chunk = number(o, "chunk");
    a.float32 = cJSON_IsString(precision) && !strcmp(precision->valuestring, "float32");
    a.encoder = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "encoder"));
    if (box < 2 || box > 16384 || box % 2 || a.images < 1 || a.chunk < 1)
        TRY(deco_fail(DECO_E_FORMAT, "its description makes no sense"));
    a.layout = record_layout_of(box, a.float32, a.encoder);
    *out = a;
    a = (cache_about){0};
out:
    cache_view_free(v);
    cJSON_Delete(o);
    cache_about_free(&a);
    return st;
}

void cache_about_free(cache_about *a)
{
    free(a->text);
    *a = (cache_about){0};
}
