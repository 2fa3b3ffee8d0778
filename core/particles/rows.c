/* The rows of a particle set: one file's, with the columns of the others joined on uid; of several inputs one after another. */
#include "base/file.h"
#include "formats/cs.h"
#include "particles/build.h"
#include "particles/selection.h"
#include "particles/star_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static deco_status take_directory(char **out, const char *path)
{
    *out = deco_path_directory(path);
    return *out ? DECO_OK : deco_fail_memory(strlen(path), "a directory's name");
}

static deco_status join_file(deco_table *rows, const char *path, char **blob_directory)
{
    deco_status st = DECO_OK;

    st = deco_cs_join(rows, path, "uid");
    if (st == DECO_E_FORMAT)
        st = deco_fail(st, "%s. These two files must come from one finished job: copy its directory again, or run the job again",
                       deco_error());
    TRY(st);
    if (!*blob_directory && deco_table_find(rows, "blob/path"))
        TRY(take_directory(blob_directory, path));
out:
    return st;
}

static deco_status read_part(deco_table **rows, input_part *part, const char *datadir, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const job_files *files = &part->files;

    TRY(files->star ? particles_star_read(rows, files->rows, m) : deco_cs_read(rows, files->rows));
    if (deco_table_find(*rows, "blob/path"))
        TRY(take_directory(&part->blob_directory, files->rows));
    for (int64_t i = 0; i < files->joined.count; i++)
        TRY(join_file(*rows, files->joined.path[i], &part->blob_directory));
    if (!part->blob_directory)
        TRY(take_directory(&part->blob_directory, files->rows));
    TRY(stack_places_set(&part->places, datadir, files, part->blob_directory));
out:
    return st;
}

deco_status particles_read_rows(deco_particles *p, input_parts *parts, const char *datadir, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_table **rows = NULL;
    char *left_out = NULL;

    TRY(deco_alloc(&rows, (size_t)parts->n, sizeof(deco_table *), "inputs"));
    for (int64_t k = 0; k < parts->n; k++) {
        TRY(read_part(&rows[k], &parts->part[k], datadir, m));
        p->from[k].first = p->N;
        p->from[k].rows = rows[k]->rows;
        p->N += rows[k]->rows;
    }
    if (parts->n == 1) {
        p->rows = rows[0];
        rows[0] = NULL;
        goto out;
    }
    TRY(deco_table_append(&p->rows, &left_out, rows, parts->n, p->source));
    if (left_out)
        deco_info(m, "%s: %lld particles of %lld inputs; columns that not all of them have are left out: %s", p->source, (long long)p->N,
                  (long long)parts->n, left_out);
out:
    for (int64_t k = 0; rows && k < parts->n; k++)
        deco_table_free(rows[k]);
    free(rows);
    free(left_out);
    return st;
}

typedef struct uid_row {
    uint64_t uid;
    int64_t row;
} uid_row;

static int by_uid(const void *a, const void *b)
{
    const uid_row *x = a, *y = b;

    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static deco_status twice(const deco_particles *p, const uid_row *first, const uid_row *second, int64_t count)
{
    int64_t a = first->row, b = second->row;
    bool apart = file_path(p, a) != file_path(p, b);

    return deco_fail(DECO_E_FORMAT,
                     "%s: uid %llu stands twice, in row %lld%s%s and in row %lld%s%s (in all %lld rows repeat an earlier one): %s",
                     p->source, (unsigned long long)first->uid, file_row(p, a), apart ? " of " : "", apart ? file_path(p, a) : "",
                     file_row(p, b), apart ? " of " : "", apart ? file_path(p, b) : "", (long long)count,
                     apart ? "the inputs share particles; every particle can be used once"
                           : "CryoSPARC's Remove Duplicate Particles makes such a set usable");
}

deco_status particles_check_uids(deco_particles *p)
{
    deco_status st = DECO_OK;
    uid_row *sorted = NULL;
    const uid_row *second = NULL;
    int64_t count = 0;

    TRY(deco_table_need(&p->uid, p->rows, "uid", 'n', 1));
    if (p->uid->kind != 'u')
        TRY(deco_fail(DECO_E_FORMAT, "%s: column 'uid' must hold unsigned integers (<u8)", p->source));
    if (!p->N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has no particles (0 rows); choose an output of the job that holds some", p->cs_path));
    TRY(deco_alloc(&sorted, (size_t)p->N, sizeof *sorted, "uids"));
    for (int64_t i = 0; i < p->N; i++)
        sorted[i] = (uid_row){deco_particles_uid(p, i), i};
    qsort(sorted, (size_t)p->N, sizeof *sorted, by_uid);
    for (int64_t i = 1; i < p->N; i++)
        if (sorted[i].uid == sorted[i - 1].uid) {
            second = second ? second : &sorted[i];
            count++;
        }
    if (second)
        st = twice(p, second - 1, second, count);
out:
    free(sorted);
    return st;
}

/* Some rows of the table as it stands; `row` is taken. */
static deco_status keep(deco_particles *p, int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    deco_table *kept = NULL;

    for (int64_t i = 0; p->input_row && i < n; i++)
        p->input_row[i] = p->input_row[row[i]]; /* rows rise, so nothing is read that was written over */
    if (!p->input_row)
        p->input_row = row;
    st = deco_table_select(&kept, p->rows, row, n);
    if (p->input_row != row)
        free(row);
    if (st)
        return st;
    deco_table_free(p->rows);
    p->rows = kept;
    p->N = n;
    p->uid = p->uid ? deco_table_find(p->rows, "uid") : NULL;
    return DECO_OK;
}

static deco_status keep_score(deco_particles *p, const char *text, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *column = NULL;
    double least;
    int64_t *row = NULL, n = 0, before = p->N;

    TRY(deco_option_score(&column, &least, text));
    TRY(deco_alloc(&row, (size_t)p->N, sizeof *row, "rows"));
    TRY(particles_score_rows(row, &n, p, column, least));
    deco_info(m, "%s: %lld of %lld particles have %s of at least %g (min_score)", p->source, (long long)n, (long long)before, column,
              least);
    st = keep(p, row, n);
    row = NULL;
out:
    free(row);
    free(column);
    return st;
}

deco_status particles_keep_rows(deco_particles *p, const deco_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    int64_t *row = NULL, n;

    if (in->ind) {
        TRY(particles_selection_read(&row, &n, in->ind, p->N, p->cs_path));
        TRY(keep(p, row, n));
    }
    if (in->min_score)
        TRY(keep_score(p, in->min_score, m));
out:
    return st;
}

deco_status particles_need_columns(const deco_column **out, const deco_table *t, const wanted_column *want, int n, const char *advice)
{
    deco_status st = DECO_OK;
    char missing[512] = ""; /* a dozen short names at most */
    size_t used = 0;
    int count = 0;

    for (int i = 0; i < n; i++)
        if (!deco_table_find(t, want[i].name) && used < sizeof missing)
            used += (size_t)snprintf(missing + used, sizeof missing - used, "%s%s", count++ ? ", " : "", want[i].name);
    if (count)
        return deco_fail(DECO_E_FORMAT, "%s: column%s %s %s missing, and no passthrough file brought %s. %s", t->source,
                         count > 1 ? "s" : "", missing, count > 1 ? "are" : "is", count > 1 ? "them" : "it", advice);
    for (int i = 0; i < n; i++)
        TRY(deco_table_need(&out[i], t, want[i].name, want[i].kind_class, want[i].cells));
out:
    return st;
}
