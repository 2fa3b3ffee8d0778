/* Where a subset's particles come from: a run with its analysis, or an input. */
#ifndef DECO_JOB_SUBSET_SOURCE_H
#define DECO_JOB_SUBSET_SOURCE_H

#include "config/options.h"
#include "formats/npy.h"
#include "formats/selection.h"
#include "particles/particles.h"

typedef struct subset_source {
    const deco_options *given;
    deco_options *o; /* with the run's own under those given */
    bool of_run;
    deco_particles *p;        /* in the run's rows */
    deco_selection selection; /* empty when none is given */
    char *analysis;           /* directory; NULL while nothing of it is needed */
    bool estimated;           /* the analysis has poses of its own */
    deco_npy R, shift;        /* these, [N,3,3] and [N,2] f4 */
} subset_source;

/* Fails: as deco_particles_open_input; ARGUMENT and FORMAT when run, input, analysis and selection do not belong together. */
deco_status subset_source_open(subset_source *out, const deco_options *o, deco_monitor *m);
void subset_source_close(subset_source *s);

/* The newest analysis in OUTDIR/out. Free with free(). Fails: FILE. */
deco_status subset_newest_analysis(char **out, const char *directory);

/* The file with the labels asked for: labels_from, or labels.npy of the analysis' clustering. Free with free(). */
deco_status subset_source_labels(char **path, const subset_source *s);

#endif
