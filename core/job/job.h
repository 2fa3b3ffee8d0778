/* The life of a job: check, prepare the output directory, train, analyse, say where things are. */
#ifndef DECO_JOB_JOB_H
#define DECO_JOB_JOB_H

#include "base/monitor.h"
#include "config/options.h"
#include "model/model.h"
#include "particles/particles.h"

/* `cryodeco run`. *wrote becomes true once something is written (exit code 1 instead of 2 from there on); *summary is for stdout. */
deco_status deco_job_run(const deco_options *o, deco_monitor *m, bool *wrote, char **summary);

/* `cryodeco run --slurm`: the batch script, with the options that were given; the input is looked at, for the memory to ask for. */
deco_status deco_job_slurm(char **out, const deco_options *o, deco_monitor *m);

/* `cryodeco info JOB --forecast`: what a run with these options would take here, as text or JSON. Writes nothing. */
deco_status deco_job_forecast(char **out, const deco_options *o, deco_monitor *m);

/* `cryodeco analyze OUTDIR`, and run with skip_train: the analysis alone, of a run's newest or given epoch. */
deco_status deco_job_analyze(const deco_options *o, deco_monitor *m, bool *wrote, char **summary);

/* `cryodeco subset`: some particles of a run, or of an input, as .cs, .csg and .star. */
deco_status deco_job_subset(const deco_options *o, deco_monitor *m, bool *wrote, char **summary);

/* `cryodeco decode`: maps at any latents of a run, or on the way between them. */
deco_status deco_job_decode(const deco_options *o, deco_monitor *m, bool *wrote, char **out);

/* The weights of the given epoch, or the newest state there is: weights, or a checkpoint that a stopped or working run left. *epoch is that
 * of the file's name: the epoch that was done, or in which it stands. Fails: ARGUMENT, FILE, FORMAT, MEMORY. */
deco_status deco_job_read_model(deco_model **model, deco_position *at, int64_t *epoch, deco_device *dev, const deco_options *o,
                                deco_monitor *m);

/* `cryodeco score`: a run against the truth, as JSON. */
deco_status deco_job_score(const deco_options *o, deco_monitor *m, bool *wrote, char **out);

/* The parameters of the run in o->outdir (its job.yaml) under those given now: they stand where a preset would. Fails: FILE, FORMAT. */
deco_status deco_job_options(deco_options **out, const deco_options *o);

/* The particles of the run in o->outdir, its rows in its order, by what its options name. `need`: as of deco_particles_open_input. */
deco_status deco_job_open_particles(deco_particles **out, const deco_options *o, int need, deco_monitor *m);

/* `cryodeco selftest`: a line for each part of the installation, with a verdict, into *out also when it fails; nothing stays on disk. Fails: DEVICE
 * (something is not sound), FILE (the scratch), MEMORY, STOPPED. */
deco_status deco_job_selftest(const deco_options *o, deco_monitor *m, bool *wrote, char **out);

/* The analysis of a model with its tables, into `directory`. */
deco_status deco_job_analyze_model(char **summary, const char *directory, bool patient, deco_model *m, const deco_position *at,
                                   const deco_particles *p, const deco_options *o, deco_monitor *mon);

/* Where the maps, plots and subsets of an analysis are, a line each, and what their hand is; NULL without memory. Z: latent dimensions, 0 without states. */
char *deco_job_summary(const char *directory, const deco_options *o, int64_t Z);

/* `cryodeco encode OUTDIR --particles JOB --output DIR`: what a finished run's encoder makes of other particles, in evaluation mode; with the
 * input's poses also how far each image is from its slice. */
deco_status deco_job_encode(const deco_options *o, deco_monitor *m, bool *wrote, char **summary);

#endif
