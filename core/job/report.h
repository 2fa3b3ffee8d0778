/* analysis_<epoch>/report.html: one file, offline, with all that an analysis found. */
#ifndef DECO_JOB_REPORT_H
#define DECO_JOB_REPORT_H

#include "base/monitor.h"
#include "config/options.h"
#include "particles/particles.h"

/* More particles than this are drawn as an evenly spread sample, and the report says so. */
enum { DECO_REPORT_POINTS = 1000000 };

/* From the files of the analysis in `directory` (its clustering<k_num>), which will be called `name`, the run's in `outdir`, and the
 * particles' columns. `shift` [N,2] or NULL. Whole or absent. Fails: FILE, MEMORY. */
deco_status deco_report_write(const char *outdir, const char *directory, const char *name, const deco_particles *p, const float *shift,
                              const deco_options *o, deco_monitor *m);

#endif
