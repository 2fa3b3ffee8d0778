/* CryoSPARC result groups (.csg): YAML beside a .cs file, for "Import Result Group". FORMATS.md section 4. */
#ifndef DECO_FORMATS_CSG_H
#define DECO_FORMATS_CSG_H

#include "formats/table.h"

/* Writes `path` for the .cs file `metafile` (a name beside it), which holds `items` rows of t: one result for each prefix of t's columns.
 *   name   "cluster_0"    title   "Cluster 0 (12,345 particles)"    version   CryoSPARC's; "v4.7.1" when unknown (NULL)
 *   created   "2026-01-31 12:00:00.000000" */
deco_status deco_csg_write(const char *path, const deco_table *t, int64_t items, const char *metafile, const char *name, const char *title,
                           const char *description, const char *created, const char *version);

#endif
