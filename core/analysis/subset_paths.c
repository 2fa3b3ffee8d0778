#include "analysis/subset_paths.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

/* What belongs in front of the paths of each input's rows: "/data/P2/"; NULL: nothing. */
typedef struct fronts {
    const deco_particles *p;
    char **project;  /* [sources] of paths that count from a project other than the first input's */
    char **exported; /* [sources] of those of an export, ">J3/...", in the column that is looked at */
    bool *looked;    /* [sources] for these */
} fronts;

static deco_status find_projects(fronts *f)
{
    deco_status st = DECO_OK;
    const deco_particles *p = f->p;
    char *first = realpath(p->from[0].project, NULL), *here = NULL;

    for (int64_t k = 1; k < p->sources && first; k++) {
        free(here);
        if (!(here = realpath(p->from[k].project, NULL))) /* it was there a moment ago */
            TRY(deco_fail_errno(DECO_E_FILE, "%s", p->from[k].project));
        if (strcmp(here, first) != 0 && !(f->project[k] = deco_format("%s/", here)))
            TRY(deco_fail_memory(strlen(here), "a project's name"));
    }
out:
    free(first);
    free(here);
    return st;
}

/* An export's paths are sought as its images are: from the project, then from the folder of the file that has the row. *out NULL: in neither. */
static deco_status find_export(char **out, const deco_source *from, const char *text)
{
    deco_status st = DECO_OK;
    char *folder = deco_path_directory(from->path), *there = NULL, *root = NULL;
    const char *const places[] = {from->project, folder};

    *out = NULL;
    if (!folder)
        TRY(deco_fail_memory(strlen(from->path), "a folder's name"));
    for (int i = 0; i < 2 && !*out; i++) {
        free(there);
        if (!(there = deco_path_join(places[i], text)))
            TRY(deco_fail_memory(strlen(text), "a path"));
        if (!deco_path_exists(there))
            continue;
        if (!(root = realpath(places[i], NULL)) || !(*out = deco_format("%s/", root)))
            TRY(deco_fail_memory(strlen(places[i]), "a folder's name"));
    }
out:
    free(folder);
    free(there);
    free(root);
    return st;
}

/* By the first path of each input that has the sign; *longest of all that may come in front of one, 0: nothing to do. */
static deco_status find_fronts(size_t *longest, fronts *f, const deco_column *c, int64_t rows)
{
    deco_status st = DECO_OK;
    const deco_particles *p = f->p;
    char *text = NULL, sign[2];

    *longest = 0;
    TRY(deco_alloc(&text, c->item + 1, 1, "a path"));
    for (int64_t k = 0; k < p->sources; k++) {
        free(f->exported[k]);
        f->exported[k] = NULL;
        f->looked[k] = false;
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t k = deco_particles_source_number(p, i);
        if (f->looked[k] || (deco_cell_text(sign, sizeof sign, c, i), *sign != '>'))
            continue;
        deco_cell_text(text, c->item + 1, c, i);
        TRY(find_export(&f->exported[k], &p->from[k], text + 1));
        f->looked[k] = true;
    }
    for (int64_t k = 0; k < p->sources; k++) {
        size_t a = f->project[k] ? strlen(f->project[k]) : 0, b = f->exported[k] ? strlen(f->exported[k]) : 0;
        *longest = a > *longest ? a : *longest;
        *longest = b > *longest ? b : *longest;
    }
out:
    free(text);
    return st;
}

/* The path of row i, with what belongs in front of it; its length. */
static size_t put_front(char *text, size_t size, const deco_column *c, int64_t i, const fronts *f)
{
    int64_t k = deco_particles_source_number(f->p, i);
    size_t n, sign;

    deco_cell_text(text, size, c, i);
    sign = *text == '>';
    const char *before = sign && f->exported[k] ? f->exported[k] : f->project[k];
    if (!before || !text[sign] || text[sign] == '/')
        return strlen(text);
    n = strlen(before);
    memmove(text + n, text + sign, strlen(text + sign) + 1);
    memcpy(text, before, n);
    return strlen(text);
}

static deco_status put_fronts(deco_table *t, int64_t column, const fronts *f, size_t longest)
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
        width = (n = put_front(text, size, &from, i, f)) > width ? n : width;
    TRY(deco_table_add(t, &to, name, 'S', width, 0, NULL));
    for (int64_t i = 0; i < t->rows; i++) {
        put_front(text, size, &from, i, f);
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
    fronts f = {.p = p};
    size_t longest;

    TRY(deco_alloc(&f.project, (size_t)p->sources, sizeof *f.project, "projects"));
    TRY(deco_alloc(&f.exported, (size_t)p->sources, sizeof *f.exported, "projects"));
    TRY(deco_alloc(&f.looked, (size_t)p->sources, sizeof *f.looked, "projects"));
    TRY(find_projects(&f));
    for (int64_t i = 0; i < t->columns; i++) {
        const deco_column *c = &t->column[i];
        size_t n = strlen(c->name);
        if (c->kind != 'S' || c->cells != 1 || n < 4 || strcmp(c->name + n - 4, "path") != 0)
            continue;
        TRY(find_fronts(&longest, &f, c, t->rows));
        if (longest)
            TRY(put_fronts(t, i, &f, longest));
    }
out:
    for (int64_t k = 0; k < p->sources; k++) {
        free(f.project ? f.project[k] : NULL);
        free(f.exported ? f.exported[k] : NULL);
    }
    free(f.project);
    free(f.exported);
    free(f.looked);
    return st;
}
