/* A directory that is whole or absent: filled beside its place, then renamed. */
#ifndef DECO_ANALYSIS_STAGING_H
#define DECO_ANALYSIS_STAGING_H

#include "base/monitor.h"

typedef struct deco_staging {
    char *directory; /* the final name */
    char *path;      /* where to write: ".<name>.new" beside it */
    char *lock;      /* ".<name>.lock": held by whoever fills the other one */
    int lock_fd;
} deco_staging;

/* Empty; what a killed job left there is removed. One process at a time makes a directory: while another does, this fails with FILE, or with
 * `patient` waits for its end (STOPPED: told to stop meanwhile). */
deco_status deco_staging_begin(deco_staging *s, const char *directory, bool patient, deco_monitor *m);

/* Gives the final name. Where the directory is there already, each file and folder of the new one takes the place of the old one of its
 * name, and the others stay: an analysis with another k_num adds its clustering. */
deco_status deco_staging_publish(const deco_staging *s);

/* Removes what has not been published. */
void deco_staging_end(deco_staging *s);

#endif
