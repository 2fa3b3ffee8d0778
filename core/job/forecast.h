/* What a run will take, told before it starts: time from steps measured on this machine, memory and disk from its sizes. */
#ifndef DECO_JOB_FORECAST_H
#define DECO_JOB_FORECAST_H

#include "config/options.h"
#include "model/model.h"
#include "particles/particles.h"

typedef struct deco_forecast {
    int64_t images;      /* of all epochs together */
    double seconds;      /* training; reading not counted */
    double memory_bytes; /* at its peak */
    double disk_bytes;   /* under outdir */
} deco_forecast;

/* The decoder that the options ask for, at the particles' box. Fails: ARGUMENT. */
deco_status deco_job_shape(deco_hypervolume *out, const deco_options *o, const deco_particles *p);

/* Times a few training steps of this shape on numbers made up for it; `encoder` NULL: there is none. */
deco_status deco_forecast_measure(deco_forecast *out, const deco_options *o, const deco_particles *p, const deco_vit *encoder,
                                  deco_device *dev);

/* "1 h 12 min", "35 s"; "1.2 GB". Static buffers of 4 rotating. */
const char *deco_time_text(double seconds);
const char *deco_size_text(double bytes);

#endif
