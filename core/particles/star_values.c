/* Values of STAR columns, found, checked and put into a table's columns. */
#include "base/file.h"
#include "config/table.h"
#include "particles/star_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t column_of(const deco_star_loop *l, const char *name)
{
    for (int64_t c = 0; l && c < l->columns; c++)
        if (!strcmp(l->name[c], name))
            return c;
    return -1;
}

star_column star_column_find(star_rows *s, const char *name)
{
    int64_t c = column_of(s->particles, name);

    if (c >= 0) {
        s->used[c] = true;
        return (star_column){s->particles, c};
    }
    c = column_of(s->optics, name);
    return c >= 0 ? (star_column){s->optics, c} : (star_column){NULL, 0};
}

const char *star_cell(const star_rows *s, star_column c, int64_t row)
{
    int64_t at = c.loop == s->particles ? row : s->group[row];
    return c.loop->cell[at * c.loop->columns + c.column];
}

deco_status star_number(double *out, const star_rows *s, star_column c, int64_t row)
{
    const char *text = star_cell(s, c, row);

    return option_read_real(out, text) ? DECO_OK
                                       : deco_fail(DECO_E_FORMAT, "%s: row %lld: _%s is '%.60s'; a number is needed", s->file->source,
                                                   (long long)row, c.loop->name[c.column], text);
}

deco_status star_put(star_rows *s, const char *name, int64_t cell, int64_t cells, star_column c, double factor)
{
    deco_status st = DECO_OK;
    deco_column *to = (deco_column *)deco_table_find(s->t, name);

    if (!to)
        TRY(deco_table_add(s->t, &to, name, 'f', 4, cells > 1, &cells));
    for (int64_t i = 0; i < s->t->rows; i++) {
        double v;
        TRY(star_number(&v, s, c, i));
        deco_cell_set_real(to, i, cell, factor * v);
    }
out:
    return st;
}

deco_status star_put_same(star_rows *s, const char *name, double value)
{
    deco_status st = DECO_OK;
    deco_column *to = NULL;

    TRY(deco_table_add(s->t, &to, name, 'f', 4, 0, NULL));
    for (int64_t i = 0; i < s->t->rows; i++)
        deco_cell_set_real(to, i, 0, value);
out:
    return st;
}

deco_status star_put_count(star_rows *s, const char *name, star_column c, int64_t first)
{
    deco_status st = DECO_OK;
    deco_column *to = NULL;
    double v;

    for (int64_t i = 0; i < s->t->rows; i++)
        if (!option_read_real(&v, star_cell(s, c, i)) || !(v >= (double)first && v < 4294967295.0 && v == floor(v))) {
            if (c.loop == s->particles)
                s->used[c.column] = false; /* kept as it is */
            return DECO_OK;
        }
    TRY(deco_table_add(s->t, &to, name, 'u', 4, 0, NULL));
    for (int64_t i = 0; i < s->t->rows; i++) {
        TRY(star_number(&v, s, c, i));
        deco_cell_set_u64(to, i, 0, (uint64_t)v - (uint64_t)first);
    }
out:
    return st;
}

/* A text column is as wide as its longest value. That one long value must not multiply a small file: it may be 64 times the mean. */
static deco_status width_of(size_t *width, const star_rows *s, star_column c)
{
    size_t all = 0, longest = 1;

    for (int64_t i = 0; i < s->t->rows; i++) {
        size_t n = strlen(star_cell(s, c, i));
        all += n + 1;
        longest = n > longest ? n : longest;
    }
    if (s->t->rows && longest > 256 && (double)longest * (double)s->t->rows > 64.0 * (double)all)
        return deco_fail(DECO_E_FORMAT, "%s: _%s has a value of %zu characters, out of all proportion to the others", s->file->source,
                         c.loop->name[c.column], longest);
    *width = longest;
    return DECO_OK;
}

deco_status star_put_text(star_rows *s, const char *name, star_column c)
{
    deco_status st = DECO_OK;
    deco_column *to = NULL;
    size_t width;

    TRY(width_of(&width, s, c));
    TRY(deco_table_add(s->t, &to, name, 'S', width, 0, NULL));
    for (int64_t i = 0; i < s->t->rows; i++)
        deco_cell_set_text(to, i, star_cell(s, c, i));
out:
    return st;
}

/* False where one is no number. */
static bool numbers_only(const star_rows *s, star_column c)
{
    double v;

    for (int64_t i = 0; i < s->t->rows; i++)
        if (!option_read_real(&v, star_cell(s, c, i)))
            return false;
    return true;
}

static deco_status keep_numbers(star_rows *s, const char *name, star_column c)
{
    deco_status st = DECO_OK;
    deco_column *to = NULL;

    TRY(deco_table_add(s->t, &to, name, 'f', 8, 0, NULL));
    for (int64_t i = 0; i < s->t->rows; i++) {
        double v;
        TRY(star_number(&v, s, c, i));
        deco_cell_set_real(to, i, 0, v);
    }
out:
    return st;
}

deco_status star_keep_others(star_rows *s, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *name = NULL;

    for (int64_t k = 0; k < s->particles->columns; k++) {
        star_column c = {s->particles, k};
        if (s->used[k])
            continue;
        free(name);
        if (!(name = deco_format("star/%s", s->particles->name[k])))
            TRY(deco_fail_memory(strlen(s->particles->name[k]), "a column's name"));
        st = numbers_only(s, c) ? keep_numbers(s, name, c) : star_put_text(s, name, c);
        if (st == DECO_E_FORMAT) { /* not one that anything depends on */
            deco_warn(m, "%s; the column is passed over", deco_error());
            st = DECO_OK;
        }
        TRY(st);
    }
out:
    free(name);
    return st;
}
