/* Selections of particles as JSON: what a lasso in a report saves. FORMATS.md section 9. */
#ifndef DECO_FORMATS_SELECTION_H
#define DECO_FORMATS_SELECTION_H

#include "base/status.h"

typedef struct deco_selection {
    char *source;         /* the file's path, for messages */
    char *run, *analysis; /* digest of the run; "analysis_99", or NULL */
    int64_t n;            /* rows of the run */
    uint64_t *uid;        /* [uids]; NULL: given by rows */
    int64_t uids;
    int64_t (*range)[2]; /* [ranges] first row, number of rows, within n; NULL: given by uids */
    int64_t ranges;
    char *axis[2];       /* "umap_1"; NULL without a polygon */
    double (*corner)[2]; /* [corners] x, y, at least 3 */
    int64_t corners;
} deco_selection;

/* uids, rows or a polygon must be there; of a polygon, uids and rows may be what was drawn of it. Fails: FILE; FORMAT naming file, entry and
 * value. */
deco_status deco_selection_read(deco_selection *out, const char *path);
void deco_selection_free(deco_selection *s); /* frees what is in it */

/* Whether a point lies in the polygon: an odd number of sides to its right. Of two polygons that share a side, a point is in one. */
bool deco_selection_inside(const deco_selection *s, double x, double y);

#endif
