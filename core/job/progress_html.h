/* The words and pictures of the progress page. */
#ifndef DECO_JOB_PROGRESS_HTML_H
#define DECO_JOB_PROGRESS_HTML_H

#include "job/progress_data.h"
#include "job/progress_page.h"
#include <stdio.h>

/* All that a page shows. */
typedef struct progress_view {
    const deco_options *o;
    const deco_particles *p;
    const progress_data *d;
    const char *parameters; /* job.yaml */
    const char *outdir;     /* absolute */
    const char *host;
    deco_page_state state;
    const char *words;    /* of the end; NULL while it runs */
    const char *plot;     /* the clusters' picture, counted from the page; NULL: none */
    const char *doing;    /* "epoch 3: pose search to radius 12 px" */
    int64_t first, total; /* the run's epochs: from -1 or 0, up to total - 1 */
    int64_t done;         /* the last finished one; below `first`: none */
    double now;           /* Unix seconds */
    double left, next;    /* seconds to the end of training, and to the next page; NAN: not known */
    int refresh;          /* seconds until a browser looks again */
} progress_view;

void progress_html_write(FILE *to, const progress_view *v);

#endif
