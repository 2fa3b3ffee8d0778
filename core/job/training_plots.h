/* How a run went, over its epochs, as plots. */
#ifndef DECO_JOB_TRAINING_PLOTS_H
#define DECO_JOB_TRAINING_PLOTS_H

#include "base/monitor.h"

/* loss.png, learning_rates.png, pose_change.png, shift_change.png and latent_change.png into `directory`, each with its SVG, from OUTDIR/metrics.jsonl up to
 * `epoch`; those of which the run says nothing are left out. Fails: MEMORY, FILE. */
deco_status deco_training_plots_write(const char *directory, const char *outdir, int64_t epoch, deco_monitor *m);

/* The loss alone, as it is while the run works. */
deco_status deco_training_loss_write(const char *path, const char *outdir, int64_t epoch, deco_monitor *m);

#endif
