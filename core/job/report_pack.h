/* Numbers into a page: as 16- or 8-bit arrays, deflated, base64-coded, in a script element that no browser runs. */
#ifndef DECO_JOB_REPORT_PACK_H
#define DECO_JOB_REPORT_PACK_H

#include "base/status.h"
#include <stdio.h>

/* <script type="text/plain" id="…">. Fails: MEMORY. */
deco_status report_pack(FILE *to, const char *id, const void *bytes, size_t n);

/* Base64 of bytes as they are: for pictures. */
void report_base64(FILE *to, const unsigned char *bytes, size_t n);

/* A column x[i·stride], i < n, in steps of 1/65535 of its range, which comes back. Not finite: the lowest. Fails: MEMORY. */
deco_status report_pack_column(FILE *to, const char *id, const double *x, int64_t n, double *low, double *high);

/* A map [D,D,D] in 256 steps from 0 to its highest density (below 0: 0), cut to a cube about its density and with `half` averaged over 2×2×2; its side comes back. Fails: MEMORY. */
deco_status report_pack_map(FILE *to, const char *id, const float *map, int64_t D, bool half, int64_t *side);

#endif
