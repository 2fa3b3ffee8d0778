/* The CSDAT form of CryoSPARC datasets: a JSON header, columns as LZ4 blocks, a heap of strings. FORMATS.md section 2. */
#ifndef DECO_FORMATS_CSDAT_H
#define DECO_FORMATS_CSDAT_H

#include "formats/table.h"

/* String columns become fixed text as wide as their longest value. */
deco_status csdat_read(deco_table **out, const char *path);

#endif
