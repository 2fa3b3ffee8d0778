/* What the report carries beside its numbers: texts that stand in the library as they were when it was built. */
#ifndef DECO_JOB_REPORT_ASSETS_H
#define DECO_JOB_REPORT_ASSETS_H

#include "base/status.h"
#include <stdio.h>

/* Each from its first byte to one past its last. three.js (Expat licence) and its marching cubes' tables are empty where the build had none. */
extern const char report_css[], report_css_end[], report_js[], report_js_end[], report_three[], report_three_end[], report_cubes[],
    report_cubes_end[];

/* Every PNG of the analysis and of this clustering, one after another, each with its name. Fails: FILE, MEMORY. */
deco_status report_pictures(FILE *to, const char *directory, const char *clustering);

#endif
