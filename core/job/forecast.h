/* What a run will take, told before it starts: time from steps measured on this machine, memory and disk from its sizes. */
#ifndef DECO_JOB_FORECAST_H
#define DECO_JOB_FORECAST_H

#include "config/options.h"
#include "model/model.h"
#include "particles/particles.h"
#include "training/train.h"

/* Workers that train together, and those of them on this machine, which share its memory. */
typedef struct deco_crew {
    int64_t all, here;
} deco_crew;

enum { DECO_EPOCH_KINDS = DECO_EPOCH_TABLE + 1 };

/* The epochs of one kind: of a training they follow one another. */
typedef struct deco_forecast_phase {
    int64_t epochs, images;
    double seconds; /* reading not counted */
} deco_forecast_phase;

typedef struct deco_forecast {
    deco_crew crew;
    deco_forecast_phase phase[DECO_EPOCH_KINDS];
    double initial_seconds; /* of the initial model, before all of them */
    double encode_seconds;  /* of passes with the encoder alone, before a search and behind the last epoch */
    int64_t images;         /* of all epochs together */
    double seconds;         /* of all of that */
    /* Of each worker at its peak, with all that is the CPU's; what there is for all of them here; particles with which it would fit, 0: not with any; and the largest batch with
     * which all of them fit, 0: batches are not the reason, or it fits. */
    double memory_bytes, memory_allowed;
    int64_t memory_fits, batch_fits;
    /* Under outdir; free there (INFINITY: not known); particles with which it would fit. */
    double disk_bytes, disk_free;
    int64_t disk_fits;
    double checkpoint_bytes, cache_bytes; /* of one; of prepared images, where cache_dir asks for them */
} deco_forecast;

/* The decoder that the options ask for, at the particles' box. Fails: ARGUMENT. */
deco_status deco_job_shape(deco_hypervolume *out, const deco_options *o, const deco_particles *p);

/* Memory and disk, from sizes alone; `encoder` NULL: there is none. Fails: ARGUMENT, MEMORY. */
deco_status deco_forecast_sizes(deco_forecast *out, const deco_options *o, const deco_particles *p, const deco_vit *encoder,
                                deco_device *dev, deco_crew crew);

/* Adds the times, from a few steps of this shape on numbers made up for it, made with the threads of one of the workers. */
deco_status deco_forecast_times(deco_forecast *f, const deco_options *o, const deco_particles *p, const deco_vit *encoder,
                                deco_device *dev);

/* Fails where memory or disk cannot do, with what would fit: MEMORY, FILE. */
deco_status deco_forecast_check(const deco_forecast *f, const deco_options *o, const deco_particles *p);

/* Lines for people, and JSON. Free with free(). Fails: MEMORY. */
deco_status deco_forecast_text(char **out, const deco_forecast *f, const deco_options *o, const deco_particles *p);
deco_status deco_forecast_json(char **out, const deco_forecast *f, const deco_options *o, const deco_particles *p);

/* "pose search" */
const char *deco_phase_name(deco_epoch_kind kind);

/* "1 h 12 min", "35 s"; "1.2 GB". Static buffers of 4 rotating. */
const char *deco_time_text(double seconds);
/* "1.2 GB", "2.4 GB (2 workers)": of all that are here. Static. */
const char *deco_forecast_memory_text(const deco_forecast *f);
const char *deco_size_text(double bytes);

#endif
