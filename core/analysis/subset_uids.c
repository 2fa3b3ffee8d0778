/* Particles by uid: of a list in a file, or of a selection. And the other ways in which a selection names particles. */
#include "analysis/subset_choice.h"
#include "base/file.h"
#include "formats/cs.h"
#include "formats/npy.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char other_uids[] = "CryoSPARC makes new uids when particles are imported, picked anew or symmetry-expanded: name a list of "
                                 "this job's particles, or a STAR "
                                 "file with their images (--star)";

/* ---- lists in files ---------------------------------------------------------------------------------------------- */

static deco_status from_column(uint64_t **out, int64_t *n, const deco_column *c, int64_t rows, const char *path)
{
    deco_status st = DECO_OK;

    if ((c->kind != 'u' && c->kind != 'i') || c->item != 8 || c->cells != 1)
        return deco_fail(DECO_E_FORMAT, "%s: uids are whole numbers of 64 bits (<u8); these are of another type", path);
    TRY(deco_alloc(out, (size_t)rows + 1, sizeof **out, path));
    for (*n = 0; *n < rows; ++*n)
        (*out)[*n] = deco_cell_u64(c, *n, 0);
out:
    return st;
}

static deco_status from_table(uint64_t **out, int64_t *n, const char *path)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    const deco_column *c;

    TRY(deco_cs_read(&t, path));
    TRY(deco_table_need(&c, t, "uid", 'n', 1));
    TRY(from_column(out, n, c, t->rows, path));
out:
    deco_table_free(t);
    return st;
}

static deco_status from_array(uint64_t **out, int64_t *n, const char *path)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};

    TRY(deco_npy_read(&a, path));
    if (a.dims != 1)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has %d dimensions; a list of uids has one", path, a.dims));
    TRY(from_column(out, n, &(deco_column){.kind = a.kind, .item = a.item, .cells = 1, .data = a.data, .stride = a.item}, a.count, path));
out:
    deco_npy_free(&a);
    return st;
}

static deco_status from_text(uint64_t **out, int64_t *n, char *text, size_t size, const char *path)
{
    deco_status st = DECO_OK;
    int64_t lines = 1, line = 1;

    if (memchr(text, 0, size))
        return deco_fail(DECO_E_FORMAT, "%s: is neither text, nor an .npy, nor a .cs file; uids are read from these", path);
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    TRY(deco_alloc(out, (size_t)lines, sizeof **out, path));
    for (char *at = text, *end = text; *at; line++) {
        while (*at == ' ' || *at == '\t' || *at == '\r')
            at++;
        if (*at && *at != '\n' && *at != '#') {
            errno = 0;
            unsigned long long v = isdigit((unsigned char)*at) ? strtoull(at, &end, 10) : 0;
            if (!isdigit((unsigned char)*at) || errno || (*end && !strchr(" \t\r\n#", *end)))
                return deco_fail(DECO_E_FORMAT, "%s: line %" PRId64 " is \"%.*s\"; a line holds one uid, in decimal digits", path, line,
                                 (int)(strcspn(at, "\n") < 40 ? strcspn(at, "\n") : 40), at);
            (*out)[(*n)++] = v;
            at = end + strspn(end, " \t\r");
            if (*at && *at != '\n' && *at != '#')
                return deco_fail(DECO_E_FORMAT, "%s: line %" PRId64 " holds more than one uid", path, line);
        }
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
out:
    return st;
}

/* Told apart by their first bytes: a record array is a .cs file, a plain array a list. */
static deco_status read_uids(uint64_t **out, int64_t *n, const char *path)
{
    deco_status st = DECO_OK;
    char *text = NULL;
    size_t size = 0;

    *out = NULL;
    *n = 0;
    TRY(deco_file_get(&text, &size, path, 0));
    if (size > 6 && !memcmp(text,
                            "\x95"
                            "CSDAT",
                            6))
        st = from_table(out, n, path);
    else if (size > 6 && !memcmp(text, "\x93NUMPY", 6))
        st = memmem(text, size < 200 ? size : 200, "'descr': [", 10) ? from_table(out, n, path) : from_array(out, n, path);
    else
        st = from_text(out, n, text, size, path);
out:
    free(text);
    return st;
}

/* ---- rows of uids ------------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A uid that stands twice in a list counts once. */
static deco_status take(deco_choice *c, uint64_t *uid, int64_t n, const char *where)
{
    deco_status st = DECO_OK;
    deco_index *x = NULL;
    int64_t asked = 0, found = 0;
    char example[40] = "";

    TRY(deco_index_create(&x, c->particles->rows, "uid"));
    qsort(uid, (size_t)n, sizeof *uid, by_value);
    for (int64_t i = 0; i < n; i++) {
        if (i && uid[i] == uid[i - 1])
            continue;
        int64_t row = deco_index_row(x, uid[i]);
        asked++;
        found += row >= 0;
        if (row >= 0)
            c->hit[row] = true;
        else if (!*example)
            snprintf(example, sizeof example, "%" PRIu64, uid[i]);
    }
    TRY(deco_choice_found(c, found, asked, "uids", where, other_uids, example));
out:
    deco_index_free(x);
    return st;
}

deco_status deco_choice_uids(deco_choice *c, const char *path)
{
    deco_status st = DECO_OK;
    uint64_t *uid = NULL;
    int64_t n = 0;

    TRY(read_uids(&uid, &n, path));
    TRY(take(c, uid, n, path));
    TRY(deco_choice_narrow(c, deco_format("uids of %s", path)));
out:
    free(uid);
    return st;
}

/* ---- selections -------------------------------------------------------------------------------------------------- */

/* "umap_2" is column 1 of umap.npy or z_umap.npy; the first component of a principal component analysis, "pc_1", stands in z_pca.npy. */
static deco_status read_axis(deco_npy *out, int64_t *column, const char *axis, const char *analysis, int64_t N, const char *source)
{
    deco_status st = DECO_OK;
    const char *digits = strrchr(axis, '_'), *end = axis;
    long k = digits && isdigit((unsigned char)digits[1]) ? strtol(digits + 1, (char **)&end, 10) : 0;
    int n = digits ? (int)(digits - axis) : 0;
    char *path = NULL;

    if (k < 1 || *end || !n || n > 40 || memchr(axis, '/', strlen(axis)))
        return deco_fail(DECO_E_FORMAT, "%s: axis \"%.60s\" has no meaning; it is the name of an array and a number, as umap_1 or pc_2",
                         source, axis);
    bool pc = n == 2 && !strncmp(axis, "pc", 2);
    if (!(path = pc ? deco_format("%s/z_pca.npy", analysis) : deco_format("%s/z_%.*s.npy", analysis, n, axis)))
        TRY(deco_fail_memory(64, "a file's name"));
    if (!deco_path_exists(path) && !pc) {
        free(path);
        if (!(path = deco_format("%s/%.*s.npy", analysis, n, axis)))
            TRY(deco_fail_memory(64, "a file's name"));
    }
    if (!deco_path_exists(path))
        TRY(deco_fail(DECO_E_FILE, "%s: its polygon is drawn over %s, but %s does not have %s", source, axis, analysis,
                      deco_path_name(path)));
    TRY(deco_npy_read(out, path));
    if (out->kind != 'f' || out->dims != 2 || out->shape[0] != N || out->shape[1] < k)
        TRY(deco_fail(DECO_E_FORMAT, "%s: must hold real numbers, %" PRId64 " rows of at least %ld, for the axis %s of %s", path, N, k,
                      axis, source));
    *column = k - 1;
out:
    free(path);
    return st;
}

static deco_status lay_polygon(deco_choice *c, const deco_selection *s, const char *analysis)
{
    deco_status st = DECO_OK;
    deco_npy a[2] = {{0}};
    int64_t column[2], N = c->particles->N;

    for (int i = 0; i < 2; i++)
        TRY(read_axis(&a[i], &column[i], s->axis[i], analysis, N, s->source));
    for (int64_t row = 0; row < N; row++) {
        double v[2];
        for (int i = 0; i < 2; i++) {
            deco_column one = {.kind = 'f', .item = a[i].item, .cells = a[i].shape[1], .data = a[i].data};
            one.stride = one.item * (size_t)one.cells;
            v[i] = deco_cell_real(&one, row, column[i]);
        }
        c->hit[row] = deco_selection_inside(s, v[0], v[1]);
    }
out:
    deco_npy_free(&a[0]);
    deco_npy_free(&a[1]);
    return st;
}

/* Ranges may overlap as often as they like: their ends are counted, so the time is that of one pass. */
static deco_status take_ranges(deco_choice *c, const deco_selection *s)
{
    deco_status st = DECO_OK;
    int64_t *change = NULL, open = 0;

    TRY(deco_alloc(&change, (size_t)s->n + 1, sizeof *change, s->source));
    for (int64_t i = 0; i < s->ranges; i++) {
        change[s->range[i][0]]++;
        change[s->range[i][0] + s->range[i][1]]--;
    }
    for (int64_t row = 0; row < s->n; row++)
        c->hit[row] = (open += change[row]) > 0;
out:
    free(change);
    return st;
}

deco_status deco_choice_selection(deco_choice *c, const deco_selection *s, const char *analysis)
{
    deco_status st = DECO_OK;
    uint64_t *uid = NULL;

    if (s->n != c->particles->N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: was made of %" PRId64 " particles, but %s has %" PRId64, s->source, s->n, c->particles->source,
                      c->particles->N));
    if (s->corner) {
        TRY(lay_polygon(c, s, analysis));
    } else if (s->uid) {
        TRY(deco_alloc(&uid, (size_t)s->uids + 1, sizeof *uid, s->source));
        memcpy(uid, s->uid, (size_t)s->uids * sizeof *uid);
        TRY(take(c, uid, s->uids, s->source));
    } else {
        TRY(take_ranges(c, s));
    }
    TRY(deco_choice_narrow(c, deco_format("selection %s", s->source)));
out:
    free(uid);
    return st;
}
