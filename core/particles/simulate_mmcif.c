/* Atoms from mmCIF files: the atom_site loop, first model. */
#include "formats/star.h"
#include "particles/simulate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of atom_site; the author's names first, since they are what the PDB file and the paper say. */
enum { X, Y, Z, ELEMENT, CHAIN, RESIDUE_NAME, RESIDUE, INSERTION, ALTERNATIVE, MODEL, COLUMNS };
static const struct {
    const char *name, *otherwise;
    bool needed;
} columns[COLUMNS] = {
    [X] = {"atom_site.Cartn_x", NULL, true},
    [Y] = {"atom_site.Cartn_y", NULL, true},
    [Z] = {"atom_site.Cartn_z", NULL, true},
    [ELEMENT] = {"atom_site.type_symbol", NULL, true},
    [CHAIN] = {"atom_site.auth_asym_id", "atom_site.label_asym_id", true},
    [RESIDUE_NAME] = {"atom_site.auth_comp_id", "atom_site.label_comp_id", true},
    [RESIDUE] = {"atom_site.auth_seq_id", "atom_site.label_seq_id", false},
    [INSERTION] = {"atom_site.pdbx_PDB_ins_code", NULL, false},
    [ALTERNATIVE] = {"atom_site.label_alt_id", NULL, false},
    [MODEL] = {"atom_site.pdbx_PDB_model_num", NULL, false},
};

static int64_t column_of(const deco_star_loop *l, const char *name)
{
    for (int64_t c = 0; name && c < l->columns; c++)
        if (!strcmp(l->name[c], name))
            return c;
    return -1;
}

static deco_status find_columns(int64_t at[COLUMNS], const deco_star_loop **loop, const deco_star *file)
{
    int64_t unused;
    *loop = deco_star_find(file, columns[X].name, &unused);
    if (!*loop)
        return deco_fail(DECO_E_FORMAT, "%s: has no _atom_site.Cartn_x; it is not an mmCIF structure", file->source);
    for (int c = 0; c < COLUMNS; c++) {
        at[c] = column_of(*loop, columns[c].name);
        if (at[c] < 0)
            at[c] = column_of(*loop, columns[c].otherwise);
        if (at[c] < 0 && columns[c].needed)
            return deco_fail(DECO_E_FORMAT, "%s: its atoms have no column _%s", file->source, columns[c].name);
    }
    return DECO_OK;
}

/* A value, or "" for one that is not given. */
static const char *value(const deco_star_loop *l, int64_t row, int64_t column)
{
    const char *v = column < 0 ? "" : l->cell[row * l->columns + column];
    return !strcmp(v, ".") || !strcmp(v, "?") ? "" : v;
}

static deco_status add_row(sim_sieve *s, const deco_star_loop *l, const int64_t at[COLUMNS], int64_t row)
{
    sim_atom_record a = {.element = value(l, row, at[ELEMENT]),
                         .residue_name = value(l, row, at[RESIDUE_NAME]),
                         .chain = value(l, row, at[CHAIN]),
                         .alternative = *value(l, row, at[ALTERNATIVE])};
    char residue[64];
    for (int i = 0; i < 3; i++) {
        const char *text = value(l, row, at[X + i]);
        char *end;
        a.x[i] = strtod(text, &end);
        if (end == text || *end)
            return deco_fail(DECO_E_FORMAT, "%s: atom %lld: its coordinate '%s' is not a number", s->path, (long long)row + 1, text);
    }
    snprintf(residue, sizeof residue, "%s %s%s", a.chain, value(l, row, at[RESIDUE]), value(l, row, at[INSERTION]));
    a.residue = residue;
    return sim_sieve_add(s, &a, row + 1);
}

deco_status sim_mmcif_read(sim_sieve *s)
{
    deco_status st = DECO_OK;
    deco_star *file = NULL;
    const deco_star_loop *l;
    int64_t at[COLUMNS];

    s->unit = "atom";
    TRY(deco_star_read(&file, s->path));
    TRY(find_columns(at, &l, file));
    for (int64_t row = 0; row < l->rows; row++)
        if (!strcmp(value(l, row, at[MODEL]), value(l, 0, at[MODEL])))
            TRY(add_row(s, l, at, row));
out:
    deco_star_free(file);
    return st;
}
