/* Images found by path and index. */
#include "particles/image_match.h"
#include "formats/star.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names in a STAR file ---------------------------------------------------------------------------------------- */

typedef struct named_row {
    const char *name;
    int64_t row;
} named_row;

static int by_text(const void *a, const void *b)
{
    const named_row *x = a, *y = b;
    int d = strcmp(x->name, y->name);
    return d ? d : (x->row > y->row) - (x->row < y->row);
}

/* "000012@stack.mrcs" is image 11 of the stack; a path alone is its first. */
static deco_status take_name(named_row *out, int32_t *index, const char *cell, int64_t row, const char *star)
{
    char *end;
    const char *path = strchr(cell, '@');
    long n = 1;

    errno = 0;
    if (path)
        n = strtol(cell, &end, 10);
    if (path && (end != path || end == cell || errno || n < 1 || n > INT32_MAX))
        return deco_fail(DECO_E_FORMAT, "%s: row %lld: rlnImageName is '%.200s'; index@path is needed, the index from 1 on", star,
                         (long long)row, cell);
    *index = (int32_t)(n - 1);
    *out = (named_row){path ? path + 1 : cell, row};
    return DECO_OK;
}

deco_status deco_image_list_read(deco_image_list *out, const char *path)
{
    deco_status st = DECO_OK;
    deco_star *star = NULL;
    deco_image_list l = {0};
    named_row *sorted = NULL;
    int64_t column;

    *out = l;
    TRY(deco_star_read(&star, path));
    const deco_star_loop *loop = deco_star_find(star, "rlnImageName", &column);
    if (!loop)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has no column rlnImageName, which says what image a row is", path));
    l.n = loop->rows;
    TRY(deco_alloc(&l.image, (size_t)l.n + 1, sizeof *l.image, path));
    TRY(deco_alloc(&sorted, (size_t)l.n + 1, sizeof *sorted, path));
    for (int64_t i = 0; i < l.n; i++)
        TRY(take_name(&sorted[i], &l.image[i].index, loop->cell[i * loop->columns + column], i, path));
    qsort(sorted, (size_t)l.n, sizeof *sorted, by_text);
    for (int64_t i = 0; i < l.n; i++)
        l.stacks += !i || strcmp(sorted[i - 1].name, sorted[i].name) != 0;
    TRY(deco_alloc(&l.name, (size_t)l.stacks + 1, sizeof *l.name, path));
    l.stacks = 0;
    for (int64_t i = 0; i < l.n; i++) {
        if (!i || strcmp(sorted[i - 1].name, sorted[i].name) != 0) {
            if (!(l.name[l.stacks] = strdup(sorted[i].name)))
                TRY(deco_fail_memory(strlen(sorted[i].name), path));
            l.stacks++;
        }
        l.image[sorted[i].row].stack = (int32_t)(l.stacks - 1);
    }
    *out = l;
    l = (deco_image_list){0};
out:
    free(sorted);
    deco_star_free(star);
    deco_image_list_free(&l);
    return st;
}

void deco_image_list_free(deco_image_list *l)
{
    for (int64_t i = 0; i < l->stacks && l->name; i++)
        free(l->name[i]);
    free(l->name);
    free(l->image);
    *l = (deco_image_list){0};
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

enum { WAYS = 4 };
static const char *const way_names[WAYS] = {"whole paths", "paths without their ending", "the last two parts of paths",
                                            "the last part of paths"};

/* What of a path is compared: from *begin, *n bytes. */
static void part_compared(const char **begin, size_t *n, const char *path, int way)
{
    const char *name, *dot;
    int parts = way == 2 ? 2 : 1;

    if (*path == '>')
        path++;
    while (!strncmp(path, "./", 2))
        path += 2;
    *n = strlen(path);
    name = strrchr(path, '/');
    dot = strrchr(name ? name : path, '.');
    if (way > 0 && dot && (!strcmp(dot, ".mrc") || !strcmp(dot, ".mrcs")))
        *n = (size_t)(dot - path);
    *begin = path;
    for (size_t i = *n; way > 1 && i > 0; i--)
        if (path[i - 1] == '/' && --parts == 0) {
            *begin = path + i;
            *n -= i;
            break;
        }
}

typedef struct stack_name {
    const char *text;
    size_t n;
    int64_t stack;
} stack_name;

static int by_name(const void *a, const void *b)
{
    const stack_name *x = a, *y = b;
    int d = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return d ? d : (x->n > y->n) - (x->n < y->n);
}

/* to[s]: the stack of `there` that stack s of `wanted` is, or -1. */
static deco_status match_stacks(int64_t *to, const deco_image_list *there, const deco_image_list *wanted, int way)
{
    deco_status st = DECO_OK;
    stack_name *sorted = NULL;
    int64_t kept = 0;

    TRY(deco_alloc(&sorted, (size_t)there->stacks + 1, sizeof *sorted, "names of stacks"));
    for (int64_t i = 0; i < there->stacks; i++) {
        part_compared(&sorted[i].text, &sorted[i].n, there->name[i], way);
        sorted[i].stack = i;
    }
    qsort(sorted, (size_t)there->stacks, sizeof *sorted, by_name);
    for (int64_t i = 0, next; i < there->stacks; i = next) {
        for (next = i + 1; next < there->stacks && !by_name(&sorted[i], &sorted[next]); next++)
            continue;
        if (next == i + 1)
            sorted[kept++] = sorted[i];
    }
    for (int64_t i = 0; i < wanted->stacks; i++) {
        stack_name key = {.stack = i};
        part_compared(&key.text, &key.n, wanted->name[i], way);
        const stack_name *hit = bsearch(&key, sorted, (size_t)kept, sizeof *sorted, by_name);
        to[i] = hit ? hit->stack : -1;
    }
out:
    free(sorted);
    return st;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

typedef struct placed_image {
    uint64_t place; /* stack and index */
    int64_t row;
} placed_image;

static int by_place(const void *a, const void *b)
{
    const placed_image *x = a, *y = b;

    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static uint64_t place_of(int64_t stack, int32_t index) { return (uint64_t)stack << 32 | (uint32_t)index; }

/* The first of `sorted` at or behind a place. */
static int64_t first_at(const placed_image *sorted, int64_t n, uint64_t place)
{
    int64_t low = 0;

    while (low < n) {
        int64_t middle = low + (n - low) / 2;
        if (sorted[middle].place < place)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

deco_status deco_images_match(int64_t *from, int64_t *found, const char **how, const deco_image_list *there, const deco_image_list *wanted)
{
    deco_status st = DECO_OK;
    placed_image *sorted = NULL;
    int64_t *to = NULL, *row = NULL;

    *found = -1;
    TRY(deco_alloc(&to, (size_t)wanted->stacks + 1, sizeof *to, "names of stacks"));
    TRY(deco_alloc(&row, (size_t)there->n + 1, sizeof *row, "images"));
    TRY(deco_alloc(&sorted, (size_t)there->n + 1, sizeof *sorted, "images"));
    for (int64_t i = 0; i < there->n; i++)
        sorted[i] = (placed_image){place_of(there->image[i].stack, there->image[i].index), i};
    qsort(sorted, (size_t)there->n, sizeof *sorted, by_place);
    for (int way = 0; way < WAYS && *found < wanted->n; way++) {
        int64_t n = 0;
        TRY(match_stacks(to, there, wanted, way));
        for (int64_t i = 0; i < there->n; i++)
            row[i] = -1;
        for (int64_t i = 0; i < wanted->n; i++) {
            int64_t stack = to[wanted->image[i].stack];
            uint64_t place = stack < 0 ? 0 : place_of(stack, wanted->image[i].index);
            int64_t k = stack < 0 ? there->n : first_at(sorted, there->n, place);
            n += k < there->n && sorted[k].place == place;
            for (; k < there->n && sorted[k].place == place; k++)
                row[sorted[k].row] = i;
        }
        if (n > *found) {
            *found = n;
            *how = way_names[way];
            memcpy(from, row, (size_t)there->n * sizeof *row);
        }
    }
out:
    free(sorted);
    free(row);
    free(to);
    return st;
}
