/* The rows of a particle set: one file's, with the columns of the others joined on uid. */
#include "base/file.h"
#include "formats/cs.h"
#include "particles/build.h"
#include "particles/selection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static deco_status take_directory(char **out, const char *path)
{
    *out = deco_path_directory(path);
    return *out ? DECO_OK : deco_fail_memory(strlen(path), "a directory's name");
}

static deco_status join_file(deco_particles *p, const char *path, char **blob_directory)
{
    deco_status st = DECO_OK;
    deco_table *other = NULL;

    TRY(deco_cs_read(&other, path));
    if (!*blob_directory && deco_table_find(other, "blob/path"))
        TRY(take_directory(blob_directory, path));
    st = deco_table_join(p->rows, other, "uid");
    if (st == DECO_E_FORMAT)
        st = deco_fail(st, "%s. These two files must come from one finished job: copy its directory again, or run the job again",
                       deco_error());
out:
    deco_table_free(other);
    return st;
}

deco_status particles_read_rows(deco_particles *p, const job_files *files, char **blob_directory)
{
    deco_status st = DECO_OK;

    *blob_directory = NULL;
    TRY(deco_cs_read(&p->rows, files->rows));
    if (deco_table_find(p->rows, "blob/path"))
        TRY(take_directory(blob_directory, files->rows));
    for (int64_t i = 0; i < files->joined.count; i++)
        TRY(join_file(p, files->joined.path[i], blob_directory));
    if (!*blob_directory)
        TRY(take_directory(blob_directory, files->rows));
    p->N = p->rows->rows;
out:
    return st;
}

deco_status particles_check_uids(deco_particles *p)
{
    deco_status st = DECO_OK;
    deco_index *index = NULL;

    TRY(deco_table_need(&p->uid, p->rows, "uid", 'n', 1));
    if (!p->N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has no particles (0 rows); choose an output of the job that holds some", p->cs_path));
    st = deco_index_create(&index, p->rows, "uid");
    if (st == DECO_E_FORMAT)
        st = deco_fail(st, "%s: CryoSPARC's Remove Duplicate Particles makes such a set usable", deco_error());
out:
    deco_index_free(index);
    return st;
}

deco_status particles_keep_rows(deco_particles *p, const char *ind)
{
    deco_status st = DECO_OK;
    deco_table *kept = NULL;
    int64_t n;

    if (!ind)
        return DECO_OK;
    TRY(particles_selection_read(&p->input_row, &n, ind, p->N, p->cs_path));
    TRY(deco_table_select(&kept, p->rows, p->input_row, n));
    deco_table_free(p->rows);
    p->rows = kept;
    p->N = n;
    p->uid = p->uid ? deco_table_find(p->rows, "uid") : NULL;
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
