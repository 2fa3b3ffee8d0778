/* OUTDIR/out/progress.html: what a run does, how far it is, and what it has found so far, for a browser. */
#ifndef DECO_JOB_PROGRESS_PAGE_H
#define DECO_JOB_PROGRESS_PAGE_H

#include "job/heavy.h"
#include "particles/particles.h"

typedef struct deco_progress_page deco_progress_page;

/* What the page says of the run. Only the first of these asks the browser to look again. */
typedef enum deco_page_state { DECO_PAGE_RUNNING, DECO_PAGE_STOPPED, DECO_PAGE_DONE, DECO_PAGE_FAILED } deco_page_state;

/* Keeps all it is given until it is freed; the log must be attached to outdir. `forecast`: seconds of the whole training, for the time left
 * before the first epoch is over. Fails: MEMORY. From here on nothing about the page fails the run: what goes wrong is said once in the log. */
deco_status deco_progress_page_create(deco_progress_page **out, const deco_options *o, const deco_particles *p, double forecast,
                                      deco_monitor *m);
void deco_progress_page_free(deco_progress_page *page); /* takes NULL */

/* Training begins at *at; an epoch is done, the model at rest; the analysis begins. */
void deco_progress_page_begin(deco_progress_page *page, const deco_position *at);
void deco_progress_page_epoch(deco_progress_page *page, deco_model *m, const deco_position *at);
void deco_progress_page_analysis(deco_progress_page *page);

/* The last page. `words`: the message of a failure, where to find the results of a success. Takes a NULL page. */
void deco_progress_page_end(deco_progress_page *page, deco_page_state state, const char *words);

#endif
