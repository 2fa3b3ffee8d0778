/* Criteria, one after another, and what of the set is left. */
#include "analysis/subset_choice.h"
#include "base/file.h"
#include "formats/npy.h"
#include "particles/image_match.h"
#include "particles/selection.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_choice_begin(deco_choice *c, const deco_particles *p, bool partial, deco_monitor *m)
{
    deco_status st = DECO_OK;

    *c = (deco_choice){.particles = p, .m = m, .partial = partial};
    TRY(deco_alloc(&c->taken, (size_t)p->N, sizeof *c->taken, "rows of a subset"));
    TRY(deco_alloc(&c->hit, (size_t)p->N, sizeof *c->hit, "rows of a subset"));
    for (int64_t i = 0; i < p->N; i++)
        c->taken[i] = true;
out:
    return st;
}

void deco_choice_free(deco_choice *c)
{
    free(c->taken);
    free(c->hit);
    free(c->label);
    free(c->words);
    *c = (deco_choice){0};
}

deco_status deco_choice_narrow(deco_choice *c, char *words)
{
    char *all = words && c->words ? deco_format("%s; %s", c->words, words) : NULL;

    if (!words || (c->words && !all)) {
        free(words);
        return deco_fail_memory(64, "a subset's description");
    }
    if (c->words) {
        free(c->words);
        free(words);
    }
    c->words = all ? all : words;
    for (int64_t i = 0; i < c->particles->N; i++) {
        c->taken[i] = c->taken[i] && c->hit[i];
        c->hit[i] = false;
    }
    return DECO_OK;
}

deco_status deco_choice_found(const deco_choice *c, int64_t found, int64_t asked, const char *what, const char *where, const char *reason,
                              const char *example)
{
    const char *set = c->particles->source;

    if (!asked)
        return deco_fail(DECO_E_ARGUMENT, "%s: names no %s, so the subset would be empty", where, what);
    if (!found)
        return deco_fail(DECO_E_ARGUMENT, "%s: none of its %" PRId64 " %s is in %s (%" PRId64 " particles); the first is %s. %s", where,
                         asked, what, set, c->particles->N, example, reason);
    if (found < asked && !c->partial)
        return deco_fail(DECO_E_ARGUMENT,
                         "%s: %" PRId64 " of its %" PRId64 " %s are in %s, %" PRId64 " are not; the first of those is %s. --partial True "
                         "takes the ones that are there",
                         where, found, asked, what, set, asked - found, example);
    if (found < asked)
        deco_warn(c->m, "%s: %" PRId64 " of its %" PRId64 " %s are in %s; the other %" PRId64 " are passed over", where, found, asked, what,
                  set, asked - found);
    return DECO_OK;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

static deco_status read_labels(deco_choice *c, const char *path)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};
    int64_t N = c->particles->N;

    TRY(deco_npy_read(&a, path));
    if (a.kind != 'i' && a.kind != 'u')
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: labels must be whole numbers, as numpy.save(\"labels.npy\", labels.astype(\"int32\")) writes them", path));
    if (a.dims != 1 || a.count != N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: holds %" PRId64 " labels%s; %s has %" PRId64 " particles, and each needs one", path, a.count,
                      a.dims == 1 ? "" : " in several dimensions", c->particles->source, N));
    if (!c->label)
        TRY(deco_alloc(&c->label, (size_t)N, sizeof *c->label, path));
    deco_column column = {.kind = a.kind, .item = a.item, .cells = 1, .data = a.data, .stride = a.item};
    for (int64_t i = 0; i < N; i++) {
        double v = deco_cell_real(&column, i, 0);
        if (!(v >= -1 && v < INT32_MAX))
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %" PRId64 " has label %.0f; labels count from 0 (-1: in no cluster)", path, i, v));
        c->label[i] = (int32_t)v;
    }
out:
    deco_npy_free(&a);
    return st;
}

static deco_status no_such_label(const deco_choice *c, const char *path, int64_t wanted)
{
    int32_t low = INT32_MAX, high = -1;

    for (int64_t i = 0; i < c->particles->N; i++) {
        low = c->label[i] < low ? c->label[i] : low;
        high = c->label[i] > high ? c->label[i] : high;
    }
    return deco_fail(DECO_E_ARGUMENT, "labels asks for %" PRId64 ", which no particle of %s has; its labels go from %d to %d", wanted, path,
                     low, high);
}

deco_status deco_choice_labels(deco_choice *c, const char *path, const deco_list *wanted)
{
    deco_status st = DECO_OK;
    char list[400] = "";
    size_t used = 0;

    TRY(read_labels(c, path));
    for (int64_t k = 0; k < wanted->count; k++) {
        double number = deco_list_number(wanted, k);
        int64_t label = (int64_t)number, n = 0;
        if ((double)label != number)
            TRY(deco_fail(DECO_E_ARGUMENT, "labels holds %s; it must be whole numbers, as 0,2", wanted->items[k]));
        for (int64_t i = 0; i < c->particles->N; i++)
            if (c->label[i] == label)
                c->hit[i] = true, n++;
        if (!n)
            TRY(no_such_label(c, path, label));
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%" PRId64, k ? ", " : "", label);
    }
    TRY(deco_choice_narrow(c, deco_format("cluster%s %s of %s", wanted->count > 1 ? "s" : "", list, path)));
out:
    return st;
}

/* ---- rows and images --------------------------------------------------------------------------------------------- */

deco_status deco_choice_rows(deco_choice *c, const char *path)
{
    deco_status st = DECO_OK;
    int64_t *row = NULL, n;

    TRY(particles_selection_read(&row, &n, path, c->particles->N, c->particles->source));
    for (int64_t i = 0; i < n; i++)
        c->hit[row[i]] = true;
    TRY(deco_choice_narrow(c, deco_format("rows of %s", path)));
out:
    free(row);
    return st;
}

deco_status deco_choice_images(deco_choice *c, const char *star)
{
    deco_status st = DECO_OK;
    const deco_particles *p = c->particles;
    deco_image_list wanted = {0}, there = {p->source, p->N, p->stacks, p->stack_name, p->image};
    int64_t *from = NULL, found, first = 0;
    bool *seen = NULL;
    char example[300];
    const char *how = "";

    TRY(deco_image_list_read(&wanted, star));
    TRY(deco_alloc(&from, (size_t)p->N + 1, sizeof *from, "images"));
    TRY(deco_images_match(from, &found, &how, &there, &wanted));
    TRY(deco_alloc(&seen, (size_t)wanted.n + 1, sizeof *seen, "images"));
    for (int64_t i = 0; i < p->N; i++)
        if (from[i] >= 0)
            c->hit[i] = seen[from[i]] = true;
    while (first + 1 < wanted.n && seen[first])
        first++;
    snprintf(example, sizeof example, "%d@%.250s", wanted.n ? wanted.image[first].index + 1 : 0,
             wanted.n ? wanted.name[wanted.image[first].stack] : "");
    TRY(deco_choice_found(
        c, found, wanted.n, "images", star,
        "Paths are compared whole, without their ending, by their last two parts and by their last, and the index must be "
        "the same: name the job whose stacks the STAR file was made from",
        example));
    deco_info(c->m, "%s: images found by %s and index", star, how);
    TRY(deco_choice_narrow(c, deco_format("images of %s", star)));
out:
    deco_image_list_free(&wanted);
    free(from);
    free(seen);
    return st;
}

deco_status deco_choice_end(int64_t **row, int64_t *n, const deco_choice *c)
{
    deco_status st = DECO_OK;
    int64_t N = c->particles->N, count = 0;

    *row = NULL;
    *n = 0;
    for (int64_t i = 0; i < N; i++)
        count += c->taken[i];
    if (!count)
        TRY(deco_fail(DECO_E_ARGUMENT, "no particle of %s is left: %s%s", c->particles->source, c->words ? c->words : "",
                      c->words && strchr(c->words, ';') ? " (a particle must be in all of these)" : ""));
    TRY(deco_alloc(row, (size_t)count, sizeof **row, "rows of a subset"));
    for (int64_t i = 0; i < N; i++)
        if (c->taken[i])
            (*row)[(*n)++] = i;
out:
    return st;
}
