/* What a job says while it works: log lines, metrics, progress; and how it is asked to stop.
 *
 * Every function takes a NULL monitor and then does nothing. Lines go to the host's sink, and from `attach` on to
 * OUTDIR/run.log as well; metrics go to OUTDIR/metrics.jsonl, one JSON object a line. */
#ifndef DECO_BASE_MONITOR_H
#define DECO_BASE_MONITOR_H

#include "base/status.h"

struct cJSON;

/* Appends to outdir/run.log and outdir/metrics.jsonl from now on; what was logged before is put at the log's head. */
deco_status deco_monitor_attach(deco_monitor *m, const char *outdir);

void deco_log(deco_monitor *m, deco_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define deco_info(m, ...) deco_log((m), DECO_LOG_INFO, __VA_ARGS__)
#define deco_warn(m, ...) deco_log((m), DECO_LOG_WARNING, __VA_ARGS__)

/* One line of metrics.jsonl: `fields` (taken, freed here) with "time" (Unix seconds) and "event" put in front. */
void deco_metric(deco_monitor *m, const char *event, struct cJSON *fields);

/* A progress line with rate and time left: "epoch 3/12  45 %  123 images/s  0:12 left". The first within 10 s, then at most
 * one a second on a terminal, one in 30 s otherwise (the sink says which by deco_monitor_terminal). */
void deco_progress_begin(deco_monitor *m, const char *what, int64_t total, const char *unit);
void deco_progress_add(deco_monitor *m, int64_t done);
void deco_progress_end(deco_monitor *m);

/* Nothing is said and kept from now on, or is again: of several workers one speaks. */
void deco_monitor_mute(deco_monitor *m, bool mute);

bool deco_monitor_stopped(const deco_monitor *m);

/* Was a checkpoint asked for since the last call? */
bool deco_monitor_checkpoint_asked(deco_monitor *m);

/* Seconds on the monotonic clock. */
double deco_seconds(void);

#endif
