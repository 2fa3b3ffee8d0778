/* A run at work: what its parts share. run.c leads it, keep.c trains and keeps, resume.c finds what to go on from. */
#ifndef DECO_JOB_RUN_JOB_H
#define DECO_JOB_RUN_JOB_H

#include "base/monitor.h"
#include "config/options.h"
#include "job/forecast.h"
#include "job/lock.h"
#include "job/phases.h"
#include "job/progress_page.h"
#include "job/stop_watch.h"
#include "model/model.h"
#include "particles/loader.h"

typedef struct run_job {
    deco_options *o; /* resolved: the seed is in it */
    deco_monitor *m;
    deco_lock *lock; /* on outdir, from when it is there until the end */
    deco_comm *comm; /* NULL: this process alone */
    deco_device *dev;
    deco_particles *particles;
    deco_image_stats stats;
    deco_vit encoder;              /* its depth 0: there is none */
    deco_encoder_weights *weights; /* what it starts from; NULL: drawn, or in the checkpoint */
    deco_model *model;
    deco_position at;
    bool resumed;           /* outdir holds this run's job.yaml, from now or before */
    deco_forecast forecast; /* its seconds 0: not measured */
    deco_phases *phases;
    deco_progress_page *page;
    char *stop_file;        /* OUTDIR/STOP */
    deco_stop_watch *watch; /* for it, and for the end of the time */
    bool stale_stop;        /* it was there before the run began */
    bool rolled_back;       /* training diverged once, ... */
    deco_position back;     /* ... and went on from here */
    double last_checkpoint; /* deco_seconds() */
} run_job;

static inline const deco_vit *run_job_encoder(const run_job *j) { return j->encoder.depth ? &j->encoder : NULL; } /* NULL: none */

/* Device, encoder and particles, with all that can be said of them without reading pixels. */
deco_status run_job_open_input(run_job *j);

/* For what only asks: options copied, the input opened as a run would, memory and disk forecast. Then run_job_close, also when it fails. */
deco_status run_job_look(run_job *j, const deco_options *o);

/* Frees all but page, watch and workers, which end with words of their own. */
void run_job_close(run_job *j);

/* A fresh model and its position. */
deco_status run_job_begin_model(run_job *j);

/* The encoder's shape, and its weights, opened and looked at: as the options ask, or as j->model has it. The terms of the weights are told.
 * Fails: FILE, FORMAT, ARGUMENT. */
deco_status run_job_open_encoder(run_job *j);

/* From where j->model stands to the end, with checkpoints on the way; a training that diverged goes back to the last of them with half the
 * learning rates. Fails: STOPPED (a whole checkpoint is there), DIVERGED (for the fourth time), FILE, FORMAT, MEMORY, DEVICE. */
deco_status run_job_train(run_job *j);

/* The workers, as the environment names them; all but the first fall silent. Fails: as deco_comm_open; ARGUMENT (they are not as many as --workers). */
deco_status run_job_join_workers(run_job *j, const deco_options *o);

/* The life of a worker that is not the first: what is checked, read and made by that one comes from it. Fails: as run_job_train; quietly where
 * another worker ended the job. */
deco_status run_job_work(run_job *j, const deco_options *given, bool *wrote);

/* The first worker tells the others to begin, or, before the end, that there is nothing to do; and what a training begins from. */
deco_status run_job_tell_workers(run_job *j, bool trains);
deco_status run_job_share_model(run_job *j);

/* Opens the particles, with what the options need of them. */
deco_status run_job_open_particles(run_job *j);
/* Paths from any directory. */
void run_job_absolute_paths(deco_options *o);

/* What `given` asks to resume: its options with those of OUTDIR/job.yaml under them, the lock taken. Without such a file `auto` begins a run. */
deco_status run_job_resume_options(run_job *j, const deco_options *given);

/* The model and position to go on from, checked against input and options; j->model stays NULL where nothing is kept yet. `from`: as
 * deco_options_resume gives it. */
deco_status run_job_resume_model(run_job *j, const char *from);

#endif
