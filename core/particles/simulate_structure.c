/* Atoms from PDB files, and which of a file's atoms count. */
#include "base/file.h"
#include "particles/simulate_parts.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), k = strlen(suffix);
    return n > k && !strcasecmp(text + n - k, suffix);
}

bool sim_is_map(const char *source) { return has_suffix(source, ".mrc") || has_suffix(source, ".map"); }

/* Copies a field without the blanks around it, in capitals. */
static void tidy(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; text && *text && n + 1 < size; text++)
        if (!isspace((unsigned char)*text))
            out[n++] = (char)toupper((unsigned char)*text);
    out[n] = 0;
}

/* Atomic number; 0 when the symbol is not known. */
static int electrons(const char *symbol)
{
    static const char table[] =
        "H HELIBEB C N O F NENAMGALSIP S CLARK CASCTIV CRMNFECONICUZNGAGEASSEBRKRRBSRY ZRNBMOTCRURHPDAGCDINSNSBTEI XE"
        "CSBALACEPRNDPMSMEUGDTBDYHOERTMYBLUHFTAW REOSIRPTAUHGTLPBBIPOATRNFRRAACTHPAU ";
    for (int z = 0; table[2 * z]; z++)
        if (symbol[0] == table[2 * z] && (symbol[1] == table[2 * z + 1] || (!symbol[1] && table[2 * z + 1] == ' ')))
            return z + 1;
    return !strcmp(symbol, "D") ? 1 : 0;
}

/* Whether `name` is among the chains "AB" or "AA+B". */
static bool chain_wanted(const char *chains, const char *name)
{
    size_t n = strlen(name);
    if (!chains)
        return true;
    if (!strchr(chains, '+'))
        return n == 1 && strchr(chains, *name);
    for (const char *p = chains; *p; p += strcspn(p, "+"), p += *p == '+')
        if (strcspn(p, "+") == n && !strncmp(p, name, n))
            return true;
    return false;
}

/* "A B C": for the message when a chain is not there. */
static void note_chain(sim_sieve *s, const char *chain)
{
    char word[16];
    size_t used = strlen(s->seen), n = (size_t)snprintf(word, sizeof word, " %.8s", chain);
    const char *at = strstr(s->seen, word);
    if ((!at || (at[n] && at[n] != ' ')) && used + n + 1 < sizeof s->seen)
        memcpy(s->seen + used, word, n + 1);
}

static deco_status keep(sim_atoms *a, const double x[3], int weight)
{
    if (a->count == a->room) {
        int64_t room = a->room ? 2 * a->room : 4096;
        double *places = realloc(a->x, (size_t)room * 3 * sizeof *places);
        if (places)
            a->x = places;
        float *weights = places ? realloc(a->weight, (size_t)room * sizeof *weights) : NULL;
        if (!weights)
            return deco_fail_memory((size_t)room * 28, "atoms");
        a->weight = weights;
        a->room = room;
    }
    memcpy(a->x + 3 * a->count, x, 3 * sizeof *x);
    a->weight[a->count++] = (float)weight;
    return DECO_OK;
}

deco_status sim_sieve_add(sim_sieve *s, const sim_atom_record *a, int64_t number)
{
    char element[8], residue[8];
    int weight;

    if (!s->residue || strcmp(s->residue, a->residue) != 0) {
        free(s->residue);
        s->residue = strdup(a->residue);
        s->alternative = 0;
        if (!s->residue)
            return deco_fail_memory(strlen(a->residue), "residue");
        note_chain(s, a->chain);
    }
    tidy(element, sizeof element, a->element);
    tidy(residue, sizeof residue, a->residue_name);
    weight = electrons(element);
    if (!weight)
        return deco_fail(DECO_E_FORMAT, "%s: %s %lld: the element '%s' is not known", s->path, s->unit, (long long)number, element);
    if (!isfinite(a->x[0]) || !isfinite(a->x[1]) || !isfinite(a->x[2]) || fabs(a->x[0]) + fabs(a->x[1]) + fabs(a->x[2]) > 1e6)
        return deco_fail(DECO_E_FORMAT, "%s: %s %lld: the coordinates %g, %g, %g are no place in a molecule", s->path, s->unit,
                         (long long)number, a->x[0], a->x[1], a->x[2]);
    if (a->alternative && !s->alternative)
        s->alternative = a->alternative;
    if (weight == 1 || !strcmp(residue, "HOH") || !strcmp(residue, "DOD") || !strcmp(residue, "WAT") ||
        (a->alternative && a->alternative != s->alternative) || !chain_wanted(s->chains, a->chain))
        return DECO_OK;
    return keep(s->atoms, a->x, weight);
}

deco_status sim_sieve_end(sim_sieve *s)
{
    if (s->atoms->count)
        return DECO_OK;
    if (s->chains && *s->seen)
        return deco_fail(DECO_E_ARGUMENT, "%s: none of the chains '%s' has atoms; the file's are:%s", s->path, s->chains, s->seen);
    return deco_fail(DECO_E_FORMAT, "%s: has no atoms (ATOM or HETATM; hydrogens and water do not count)", s->path);
}

/* A fixed-column number of a PDB line; NaN when there is none. */
static double column_number(const char *line, int first, int width)
{
    char field[16], *end;
    memcpy(field, line + first, (size_t)width);
    field[width] = 0;
    double x = strtod(field, &end);
    return end == field ? (double)NAN : x;
}

/* Columns 77-78, or where those are blank the atom's name: its symbol is right-justified in columns 13-14. */
static void pdb_element(char out[3], const char *line, size_t length)
{
    memset(out, 0, 3);
    if (length >= 78)
        memcpy(out, line + 76, 2);
    if (isalpha((unsigned char)out[0]) || isalpha((unsigned char)out[1]))
        return;
    memcpy(out, line + 12, 2);
    if (!isalpha((unsigned char)out[0]) || (out[0] == 'H' && line[15] != ' ')) { /* " CA ", "1HB ", "HG11" */
        out[0] = out[0] == 'H' ? 'H' : out[1];
        out[1] = 0;
    }
}

deco_status sim_pdb_read(sim_sieve *s, const char *text)
{
    deco_status st = DECO_OK;
    int64_t number = 0;

    s->unit = "line";
    for (const char *line = text; *line && !st; line += *line == '\n') {
        size_t length = strcspn(line, "\r\n");
        const char *this_line = line;
        line += strcspn(line, "\n");
        number++;
        if (!strncmp(this_line, "ENDMDL", 6))
            break;
        if (strncmp(this_line, "ATOM  ", 6) != 0 && strncmp(this_line, "HETATM", 6) != 0)
            continue;
        if (length < 54)
            return deco_fail(DECO_E_FORMAT, "%s: line %lld: an atom of %zu characters; coordinates end in column 54", s->path,
                             (long long)number, length);
        char element[3], residue_name[4] = {0}, chain[2] = {this_line[21] == ' ' ? 0 : this_line[21], 0}, residue[8] = {0};
        memcpy(residue_name, this_line + 17, 3);
        memcpy(residue, this_line + 21, 6); /* chain, number, insertion code */
        pdb_element(element, this_line, length);
        st = sim_sieve_add(
            s,
            &(sim_atom_record){element,
                               residue_name,
                               chain,
                               residue,
                               this_line[16] == ' ' ? 0 : this_line[16],
                               {column_number(this_line, 30, 8), column_number(this_line, 38, 8), column_number(this_line, 46, 8)}},
            number);
    }
    return st;
}

/* The colon before the chains; NULL when the whole source is a path. */
static const char *chains_of(const char *source)
{
    const char *colon = strrchr(source, ':');
    return colon && colon[1] && !strchr(colon, '/') && !deco_path_exists(source) ? colon : NULL;
}

deco_status sim_structure_read(sim_atoms *out, const char *source)
{
    deco_status st = DECO_OK;
    const char *colon = chains_of(source);
    char *path = colon ? strndup(source, (size_t)(colon - source)) : strdup(source), *text = NULL;
    sim_sieve sieve = {.path = path, .chains = colon ? colon + 1 : NULL, .atoms = out};
    size_t size;

    memset(out, 0, sizeof *out);
    if (!path)
        TRY(deco_fail_memory(strlen(source), "path"));
    if (has_suffix(path, ".cif") || has_suffix(path, ".mmcif"))
        TRY(sim_mmcif_read(&sieve));
    else if (has_suffix(path, ".pdb") || has_suffix(path, ".ent")) {
        TRY(deco_file_get(&text, &size, path, 0));
        TRY(sim_pdb_read(&sieve, text));
    } else
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: not a structure or map by its name; .pdb, .ent, .cif, .mmcif, .mrc and .map are read", source));
    TRY(sim_sieve_end(&sieve));
out:
    if (st)
        sim_atoms_free(out);
    free(sieve.residue);
    free(text);
    free(path);
    return st;
}

void sim_atoms_free(sim_atoms *a)
{
    free(a->x);
    free(a->weight);
    memset(a, 0, sizeof *a);
}
