/* A zip archive of whole files, stored as they are: maps hardly compress, and every reader takes it. Beyond 4 GiB by its ZIP64 records. */
#ifndef DECO_FORMATS_ZIP_H
#define DECO_FORMATS_ZIP_H

#include "base/status.h"

typedef struct deco_zip deco_zip;

/* Whole or absent: under its name only when committed. */
deco_status deco_zip_create(deco_zip **out, const char *path);

/* The file `source` as `name`. One of them is in memory at a time. Fails: FILE, MEMORY; ARGUMENT (4 GiB or more, or the 65,536th). */
deco_status deco_zip_add(deco_zip *z, const char *name, const char *source);

deco_status deco_zip_commit(deco_zip *z); /* z is gone afterwards, also on failure */
void deco_zip_abandon(deco_zip *z);       /* takes NULL */

#endif
