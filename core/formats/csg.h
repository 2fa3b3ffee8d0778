/* CryoSPARC result groups (.csg): YAML beside a .cs file, for "Import Result Group". FORMATS.md section 4. */
#ifndef DECO_FORMATS_CSG_H
#define DECO_FORMATS_CSG_H

#include "formats/table.h"

/* Writes `path` for the .cs file `metafile` (a name beside it), which holds `items` rows of t: one result for each prefix of t's columns.
 *   name   "cluster_0"    title   "Cluster 0 (12,345 particles)"    version   CryoSPARC's; "v4.7.1" when unknown (NULL)
 *   created   "2026-01-31 12:00:00.000000" */
deco_status deco_csg_write(const char *path, const deco_table *t, int64_t items, const char *metafile, const char *name, const char *title,
                           const char *description, const char *created, const char *version);

/* What a group says. Texts are NULL where it does not. */
typedef struct deco_csg_result {
    char *name, *metafile; /* "blob", ">cluster_0.cs" */
    int64_t items;         /* -1: not said */
} deco_csg_result;
typedef struct deco_csg {
    char *name, *type, *version;
    int64_t results;
    deco_csg_result *result;
} deco_csg;

/* Fails: FILE; FORMAT (not YAML, no group, a result without a file). Aliases are not expanded, so nothing grows beyond the file. */
deco_status deco_csg_read(deco_csg *out, const char *path);
void deco_csg_free(deco_csg *g); /* frees what is in it */

#endif
