#include "analysis/subset_paths.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

/* [sources] what stands in front of a row's paths: "/data/P2/"; NULL: nothing, they count from the first input's project. */
static deco_status find_fronts(char ***out, size_t *longest, const deco_particles *p)
{
    deco_status st = DECO_OK;
    char *first = realpath(p->from[0].project, NULL), *here = NULL;

    *longest = 0;
    TRY(deco_alloc(out, (size_t)p->sources, sizeof **out, "projects"));
    for (int64_t k = 1; k < p->sources && first; k++) {
        free(here);
        if (!(here = realpath(p->from[k].project, NULL))) /* it was there a moment ago */
            TRY(deco_fail_errno(DECO_E_FILE, "%s", p->from[k].project));
        if (!strcmp(here, first))
            continue;
        if (!((*out)[k] = deco_format("%s/", here)))
            TRY(deco_fail_memory(strlen(here), "a project's name"));
        *longest = strlen((*out)[k]) > *longest ? strlen((*out)[k]) : *longest;
    }
out:
    free(first);
    free(here);
    return st;
}

/* The path of row i, with what belongs in front of it; its length. */
static size_t put_front(char *text, size_t size, const deco_column *c, int64_t i, char *const *front, const deco_particles *p)
{
    const char *before = front[deco_particles_source_number(p, i)];
    size_t n;

    deco_cell_text(text, size, c, i);
    if (!before || !*text || *text == '/')
        return strlen(text);
    n = strlen(before);
    deco_cell_text(text + n, size - n, c, i);
    if (text[n] == '>') /* of an export */
        memmove(text + n, text + n + 1, strlen(text + n));
    memcpy(text, before, n);
    return strlen(text);
}

static deco_status put_fronts(deco_table *t, int64_t column, char *const *front, size_t longest, const deco_particles *p)
{
    deco_status st = DECO_OK;
    const deco_column from = t->column[column];
    size_t size = from.item + longest + 1, width = from.item, n;
    char *text = NULL, *name = strdup(from.name);
    deco_column *to;

    if (!name)
        TRY(deco_fail_memory(strlen(from.name), "a column's name"));
    TRY(deco_alloc(&text, size, 1, "a path"));
    for (int64_t i = 0; i < t->rows; i++)
        width = (n = put_front(text, size, &from, i, front, p)) > width ? n : width;
    TRY(deco_table_add(t, &to, name, 'S', width, 0, NULL));
    for (int64_t i = 0; i < t->rows; i++) {
        put_front(text, size, &from, i, front, p);
        deco_cell_set_text(to, i, text);
    }
out:
    free(name);
    free(text);
    return st;
}

deco_status deco_subset_paths(deco_table *t, const deco_particles *p)
{
    deco_status st = DECO_OK;
    char **front = NULL;
    size_t longest;

    TRY(find_fronts(&front, &longest, p));
    for (int64_t i = 0; longest && i < t->columns; i++) {
        const deco_column *c = &t->column[i];
        size_t n = strlen(c->name);
        if (c->kind == 'S' && c->cells == 1 && n >= 4 && !strcmp(c->name + n - 4, "path"))
            TRY(put_fronts(t, i, front, longest, p));
    }
out:
    for (int64_t k = 0; front && k < p->sources; k++)
        free(front[k]);
    free(front);
    return st;
}
