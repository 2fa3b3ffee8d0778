/* Selections, read as if a stranger had written them: every key may be missing and every value of any type. */
#include "formats/selection.h"
#include "base/file.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *at(const cJSON *root, const char *key) { return cJSON_GetObjectItemCaseSensitive(root, key); }

/* NULL when it is none. */
static const char *text_of(const cJSON *item) { return item && cJSON_IsString(item) ? item->valuestring : NULL; }

static deco_status take_text(char **out, const cJSON *root, const char *key, bool needed, const char *path)
{
    const cJSON *item = at(root, key);
    const char *text = text_of(item);

    if (!item && !needed)
        return DECO_OK;
    if (!text)
        return deco_fail(DECO_E_FORMAT, "%s: \"%s\" must be a text; the file is no selection that was saved whole", path, key);
    *out = strdup(text);
    return *out ? DECO_OK : deco_fail_memory(strlen(text), path);
}

/* A JSON number is a double: whole ones are exact below 2^53. */
static bool whole(int64_t *out, const cJSON *item)
{
    if (!item || !cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 0x1p53) ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *out = (int64_t)item->valuedouble;
    return true;
}

static deco_status need_list(int64_t *count, const cJSON *list, const char *key, const char *path)
{
    if (!cJSON_IsArray(list))
        return deco_fail(DECO_E_FORMAT, "%s: \"%s\" must be a list", path, key);
    *count = 0;
    for (const cJSON *item = list->child; item; item = item->next) /* cJSON_GetArraySize counts in an int */
        ++*count;
    return DECO_OK;
}

static deco_status take_uids(deco_selection *s, const cJSON *list)
{
    deco_status st = DECO_OK;
    int64_t n;

    TRY(need_list(&n, list, "uids", s->source));
    TRY(deco_alloc(&s->uid, (size_t)n + 1, sizeof *s->uid, s->source));
    for (const cJSON *item = list->child; item; item = item->next) {
        const char *text = text_of(item) ? text_of(item) : "";
        char *end = NULL;
        errno = 0;
        unsigned long long v = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
        if (!end || *end || errno)
            TRY(deco_fail(DECO_E_FORMAT,
                          "%s: entry %" PRId64 " of \"uids\" is %s%.40s%s; a uid is decimal text, as \"1234\", since it has 64 bits and a "
                          "JSON number has not",
                          s->source, s->uids, *text ? "\"" : "no text", text, *text ? "\"" : ""));
        s->uid[s->uids++] = v;
    }
out:
    return st;
}

static deco_status take_rows(deco_selection *s, const cJSON *list)
{
    deco_status st = DECO_OK;
    int64_t n;

    TRY(need_list(&n, list, "rows", s->source));
    TRY(deco_alloc(&s->range, (size_t)n + 1, sizeof *s->range, s->source));
    for (const cJSON *item = list->child; item; item = item->next) {
        const cJSON *first = cJSON_IsArray(item) ? item->child : NULL, *count = first ? first->next : NULL;
        int64_t *range = s->range[s->ranges];
        if (!whole(&range[0], first) || !count || !whole(&range[1], count) || count->next)
            TRY(deco_fail(DECO_E_FORMAT, "%s: entry %" PRId64 " of \"rows\" is not [first row, number of rows]", s->source, s->ranges));
        if (range[0] > s->n || range[1] > s->n - range[0])
            TRY(deco_fail(DECO_E_FORMAT,
                          "%s: entry %" PRId64 " of \"rows\" is %" PRId64 " rows from row %" PRId64
                          " on, but \"n\" says that there are %" PRId64,
                          s->source, s->ranges, range[1], range[0], s->n));
        s->ranges++;
    }
out:
    return st;
}

static deco_status take_axes(deco_selection *s, const cJSON *list)
{
    deco_status st = DECO_OK;
    int64_t n;

    TRY(need_list(&n, list, "axes", s->source));
    const char *x = text_of(list->child), *y = list->child ? text_of(list->child->next) : NULL;
    if (n != 2 || !x || !y)
        TRY(deco_fail(DECO_E_FORMAT, "%s: \"axes\" must be two names, as [\"umap_1\", \"umap_2\"]", s->source));
    s->axis[0] = strdup(x);
    s->axis[1] = strdup(y);
    if (!s->axis[0] || !s->axis[1])
        TRY(deco_fail_memory(64, s->source));
out:
    return st;
}

static deco_status take_polygon(deco_selection *s, const cJSON *list)
{
    deco_status st = DECO_OK;
    int64_t n;

    TRY(need_list(&n, list, "polygon", s->source));
    if (n < 3)
        TRY(deco_fail(DECO_E_FORMAT, "%s: \"polygon\" has %" PRId64 " corners; it needs 3", s->source, n));
    TRY(deco_alloc(&s->corner, (size_t)n, sizeof *s->corner, s->source));
    for (const cJSON *item = list->child; item; item = item->next) {
        const cJSON *x = cJSON_IsArray(item) ? item->child : NULL, *y = x ? x->next : NULL;
        if (!x || !y || !cJSON_IsNumber(x) || !cJSON_IsNumber(y) || y->next || !isfinite(x->valuedouble) || !isfinite(y->valuedouble))
            TRY(deco_fail(DECO_E_FORMAT, "%s: corner %" PRId64 " of \"polygon\" is not [x, y]", s->source, s->corners));
        s->corner[s->corners][0] = x->valuedouble;
        s->corner[s->corners++][1] = y->valuedouble;
    }
out:
    return st;
}

static deco_status take_all(deco_selection *s, const cJSON *root)
{
    deco_status st = DECO_OK;
    const cJSON *uids = at(root, "uids"), *rows = at(root, "rows"), *polygon = at(root, "polygon");
    int64_t version;

    if (!cJSON_IsObject(root) || !whole(&version, at(root, "version")))
        TRY(deco_fail(DECO_E_FORMAT, "%s: is no selection: {\"version\": 1, \"run\": …, \"n\": …, \"uids\" or \"rows\" or \"polygon\": …}",
                      s->source));
    if (version != 1)
        TRY(deco_fail(DECO_E_UNSUPPORTED, "%s: is a selection of version %" PRId64 "; this program reads version 1", s->source, version));
    TRY(take_text(&s->run, root, "run", true, s->source));
    TRY(take_text(&s->analysis, root, "analysis", false, s->source));
    if (!whole(&s->n, at(root, "n")))
        TRY(deco_fail(DECO_E_FORMAT, "%s: \"n\" must be the number of particles of the run", s->source));
    if (uids && rows)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has both \"uids\" and \"rows\"; one of them says which particles are meant", s->source));
    if (!uids && !rows && !polygon)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has neither \"uids\" nor \"rows\" nor \"polygon\": it selects nothing", s->source));
    if (uids)
        TRY(take_uids(s, uids));
    if (rows)
        TRY(take_rows(s, rows));
    if (polygon) {
        TRY(take_axes(s, at(root, "axes")));
        TRY(take_polygon(s, polygon));
    }
out:
    return st;
}

deco_status deco_selection_read(deco_selection *out, const char *path)
{
    deco_status st = DECO_OK;
    deco_selection s = {0};
    char *text = NULL;
    size_t size = 0;
    cJSON *root = NULL;

    *out = s;
    if (!(s.source = strdup(path)))
        TRY(deco_fail_memory(strlen(path), "a file's name"));
    TRY(deco_file_get(&text, &size, path, 0));
    if (!(root = cJSON_ParseWithLength(text, size)))
        TRY(deco_fail(DECO_E_FORMAT, "%s: is not JSON; it may have been cut", path));
    TRY(take_all(&s, root));
    *out = s;
    s = (deco_selection){0};
out:
    cJSON_Delete(root);
    free(text);
    deco_selection_free(&s);
    return st;
}

void deco_selection_free(deco_selection *s)
{
    free(s->source);
    free(s->run);
    free(s->analysis);
    free(s->uid);
    free(s->range);
    free(s->axis[0]);
    free(s->axis[1]);
    free(s->corner);
    *s = (deco_selection){0};
}

bool deco_selection_inside(const deco_selection *s, double x, double y)
{
    bool inside = false;

    for (int64_t i = 0, j = s->corners - 1; i < s->corners; j = i++) {
        const double *a = s->corner[i], *b = s->corner[j];
        if ((a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0])
            inside = !inside;
    }
    return inside;
}
