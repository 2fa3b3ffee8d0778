/* One place that knows the commands: each runs to its end and gives an exit code. */
#include "base/file.h"
#include "job/bench.h"
#include "job/job.h"
#include "job/outdir.h"
#include "particles/cache.h"
#include "particles/particles.h"
#include "particles/simulate.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
    const char *name;
    int applies; /* DECO_FOR_* whose options it takes */
    /* *wrote says whether something is on disk when it fails; text for stdout goes to *out */
    deco_status (*run)(const deco_options *o, deco_monitor *m, bool *wrote, char **out);
} command;

static deco_status run_job(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    if (o->slurm)
        return deco_job_slurm(out, o, m);
    return o->skip_train ? deco_job_analyze(o, m, wrote, out) : deco_job_run(o, m, wrote, out);
}

static deco_status run_info(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    (void)wrote;
    return o->forecast ? deco_job_forecast(out, o, m) : deco_particles_info(out, o, m);
}

static deco_status run_cache(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    for (int64_t i = 0; !strcmp(o->action, "build") && i < o->particles.count; i++) {
        deco_status st = deco_cache_dir_check(o->cache_dir, o->particles.items[i]);
        if (st)
            return st;
    }
    return deco_cache_command(out, o, m, wrote);
}

static deco_status run_simulate(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    (void)wrote; /* nothing stays when it fails */
    return deco_simulate(out, o, m);
}

static deco_status run_bench(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    deco_status st = deco_bench_run(out, o, m);
    *wrote = st != DECO_E_ARGUMENT; /* once it measures, a failure is one while running */
    return st;
}

static deco_status run_options(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    (void)m, (void)wrote;
    if (o->json)
        return deco_options_json(out, DECO_FOR_ALL);
    if (!strcmp(o->form, "man"))
        return deco_options_manual(out);
    return !strcmp(o->form, "bash") ? deco_options_completion(out) : deco_options_help(out, NULL, true);
}

static deco_status run_plugin(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    (void)o, (void)m, (void)wrote;
    return deco_plugin_describe(out);
}

static const command commands[] = {
    {"run", DECO_FOR_RUN, run_job},
    {"analyze", DECO_FOR_ANALYZE, deco_job_analyze},
    {"info", DECO_FOR_INFO, run_info},
    {"subset", DECO_FOR_SUBSET, deco_job_subset},
    {"encode", DECO_FOR_ENCODE, deco_job_encode},
    {"cache", DECO_FOR_CACHE, run_cache},
    {"decode", DECO_FOR_DECODE, deco_job_decode},
    {"score", DECO_FOR_SCORE, deco_job_score},
    {"simulate", DECO_FOR_SIMULATE, run_simulate},
    {"bench", DECO_FOR_BENCH, run_bench},
    {"selftest", DECO_FOR_SELFTEST, deco_job_selftest},
    {"options", 0, run_options},
    {"plugin", 0, run_plugin},
};

int deco_workers_wanted(const char *name, const deco_options *o)
{
    bool trains = !strcmp(name, "run") && !o->skip_train && !o->dry_run && !o->slurm;
    return trains && o->workers > 1 && !deco_options_check(o, DECO_FOR_RUN) ? (int)o->workers : 1; /* one says what is wrong with them */
}

bool deco_worker_speaks(void) { return deco_comm_speaks(); }

static int exit_code_of(deco_status st, bool wrote)
{
    if (!st)
        return DECO_EXIT_DONE;
    if (st == DECO_E_STOPPED)
        return wrote ? DECO_EXIT_CHECKPOINTED : DECO_EXIT_FAILED;
    return wrote ? DECO_EXIT_FAILED : DECO_EXIT_BAD_INPUT;
}

deco_status deco_command_run(const char *name, const deco_options *o, deco_monitor *monitor, char **out, int *exit_code)
{
    deco_status st;
    bool wrote = false;
    char *text = NULL;
    const command *c = NULL;

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(name, commands[i].name))
            c = &commands[i];
    /* Numbers in files have points, whatever the host's locale; of this thread alone, and only until the command ends. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = plain ? uselocale(plain) : (locale_t)0;
    if (!c)
        st = deco_fail(DECO_E_ARGUMENT, "there is no command '%s'; cryodeco --help lists them", name);
    else if (!(st = c->applies ? deco_options_check(o, c->applies) : DECO_OK))
        st = c->run(o, monitor, &wrote, &text);
    else if (monitor && !deco_comm_speaks())
        deco_monitor_mute(monitor, true);

    if (st)
        deco_log(monitor, st == DECO_E_STOPPED ? DECO_LOG_WARNING : DECO_LOG_ERROR, "%s", deco_error());
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    if (exit_code)
        *exit_code = exit_code_of(st, wrote);
    if (out)
        *out = text;
    else
        free(text);
    return st;
}
