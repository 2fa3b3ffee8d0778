/* `cryodeco info JOB --forecast`: everything that a run looks at before it begins, and nothing written. */
#include "job/job.h"
#include "job/run_job.h"

deco_status deco_job_forecast(char **out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    run_job j = {.m = m};

    TRY(run_job_look(&j, o));
    if (!deco_forecast_check(&j.forecast, j.o, j.particles)) /* nothing is tried that cannot be */
        TRY(deco_forecast_times(&j.forecast, j.o, j.particles, run_job_encoder(&j), j.dev));
    TRY(o->json ? deco_forecast_json(out, &j.forecast, j.o, j.particles) : deco_forecast_text(out, &j.forecast, j.o, j.particles));
out:
    run_job_close(&j);
    return st;
}
