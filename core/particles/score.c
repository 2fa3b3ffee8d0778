/* min_score: particles whose score, any column of numbers, reaches a value. */
#include "particles/build.h"

#include <stdio.h>
#include <string.h>

static bool is_score(const deco_column *c) { return c->cells == 1 && c->kind != 'S' && c->kind != 'c'; }

/* RELION's names count too: rlnMaxValueProbDistribution is the column star/rlnMaxValueProbDistribution. */
static const deco_column *find(const deco_table *t, const char *name)
{
    const deco_column *c = deco_table_find(t, name);
    char full[256];

    if (!c && !strncmp(name, "rln", 3) && strlen(name) < sizeof full - 6) {
        snprintf(full, sizeof full, "star/%s", name);
        c = deco_table_find(t, full);
    }
    return c;
}

static deco_status no_such(const deco_table *t, const char *name)
{
    char list[4000] = "";
    size_t used = 0;

    for (int64_t i = 0; i < t->columns && used < sizeof list - 200; i++)
        if (is_score(&t->column[i]) && strcmp(t->column[i].name, "uid") != 0)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%.150s", used ? ", " : "", t->column[i].name);
    return deco_fail(DECO_E_FORMAT, "%s: min_score asks for %s, which is no column of one number a row; there are %s", t->source, name,
                     list);
}

deco_status particles_score_rows(int64_t *row, int64_t *n, const deco_particles *p, const char *column, double least)
{
    const deco_column *c = find(p->rows, column);
    double most = -1e300;

    if (!c || !is_score(c))
        return no_such(p->rows, column);
    *n = 0;
    for (int64_t i = 0; i < p->N; i++) {
        double v = deco_cell_real(c, i, 0);
        most = v > most ? v : most;
        if (v >= least)
            row[(*n)++] = i;
    }
    if (!*n)
        return deco_fail(DECO_E_FORMAT, "%s: no particle has %s of at least %g (min_score); the largest is %g", p->source, c->name, least,
                         most);
    return DECO_OK;
}
