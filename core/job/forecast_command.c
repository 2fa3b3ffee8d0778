/* `cryodeco info JOB --forecast`: everything that a run looks at before it begins, and nothing written. */
#include "job/job.h"
#include "job/run_job.h"

deco_status deco_job_forecast(char **out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    run_job j = {.m = m};
    const deco_vit *encoder = NULL;

    TRY(deco_options_copy(&j.o, o));
    TRY(run_job_open_input(&j));
    encoder = j.encoder.depth ? &j.encoder : NULL;
    TRY(deco_forecast_sizes(&j.forecast, j.o, j.particles, encoder, j.dev));
    if (!deco_forecast_check(&j.forecast, j.o, j.particles)) /* nothing is tried that cannot be */
        TRY(deco_forecast_times(&j.forecast, j.o, j.particles, encoder, j.dev));
    TRY(o->json ? deco_forecast_json(out, &j.forecast, j.o, j.particles) : deco_forecast_text(out, &j.forecast, j.o, j.particles));
out:
    deco_encoder_weights_free(j.weights);
    deco_particles_free(j.particles);
    deco_device_free(j.dev);
    deco_options_free(j.o);
    return st;
}
