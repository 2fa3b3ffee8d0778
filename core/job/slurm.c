/* `cryodeco run --slurm`: a batch script for Slurm that goes on after every warning until the run is done. INSTALL.md. */
#include "job/job.h"
#include "job/run_job.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WARNED_S = 120, HOURS = 24, CORES = 16 };

/* What there is beside the forecast: libraries' own, the page cache's least, a plot. */
static double megabytes_of(const deco_forecast *f) { return ceil(1.2 * f->memory_bytes / 1e6 + 500); }

static void write_head(FILE *to, const deco_options *o, const deco_forecast *f)
{
    int64_t minutes = o->max_hours > 0 ? (int64_t)ceil(60 * o->max_hours) : 60 * HOURS;
    bool gpu = o->device && !strncmp(o->device, "cuda", 4);

    fprintf(to, "#!/bin/bash\n");
    fprintf(to, "#SBATCH --job-name=cryodeco --output=cryodeco-%%j.log --open-mode=append\n");
    fprintf(to, "#SBATCH --nodes=%" PRId64 " --ntasks-per-node=%" PRId64 " --cpus-per-task=%" PRId64 "\n", o->nodes, o->tasks,
            o->threads ? o->threads * o->workers : (int64_t)CORES);
    fprintf(to, "#SBATCH --mem=%.0fM\n", megabytes_of(f) * (double)f->crew.here);
    if (gpu)
        fprintf(to, "#SBATCH --gres=gpu:%" PRId64 "\n", f->crew.here);
    fprintf(to, "#SBATCH --time=%" PRId64 ":%02" PRId64 ":00 --requeue\n", minutes / 60, minutes % 60);
    fprintf(to, "#SBATCH --signal=%sUSR1@%d\n", !strcmp(o->launcher, "mpirun") ? "B:" : "", WARNED_S);
}

/* Steps of srun get the warning themselves. Not all of mpirun's kin pass a signal on, so there it becomes a file, which every run looks for. */
static void write_step(FILE *to, const deco_options *o, const char *words)
{
    bool several = o->nodes * o->tasks > 1;

    if (!strcmp(o->launcher, "srun")) {
        fprintf(to, "srun %scryodeco run%s \\\n    --resume auto\ncode=$?\n", several ? "--mpi=pmix " : "", words);
        return;
    }
    fprintf(to, "trap 'touch \"$1/STOP\"' USR1\n");
    fprintf(to, "mpirun cryodeco run%s \\\n    --resume auto &\nstep=$!\n", words);
    fprintf(to, "while kill -0 \"$step\" 2>/dev/null; do # the warning ends a wait, not the run\n    wait \"$step\"\ndone\nwait "
                "\"$step\"\ncode=$?\n");
}

static void write_script(FILE *to, const deco_options *o, const deco_forecast *f, const char *here, const char *outdir, const char *words)
{
    write_head(to, o, f);
    fprintf(to, "# Printed by cryodeco %s run --slurm. Submit it with sbatch; account and partition are yours to add.\n", deco_version());
    fprintf(to, "cd %s || exit 1\nset -- %s # the run's directory\n", here, outdir);
    fprintf(to, "# The lock of a lost node: a run that lives touches its lock twice a minute.\n");
    fprintf(to, "find \"$1/run.lock\" -mmin +5 -delete 2>/dev/null\n");
    write_step(to, o, words);
    fprintf(to, "# 75: stopped in time with a whole checkpoint, from which the next turn goes on.\n");
    fprintf(to, "if [ \"$code\" -eq 75 ]; then\n    scontrol requeue \"$SLURM_JOB_ID\"\nfi\nexit \"$code\"\n");
}

static deco_status put_together(char **out, const deco_options *o, const deco_forecast *f)
{
    static const int but[] = {DECO_OPT_slurm,  DECO_OPT_nodes, DECO_OPT_tasks,     DECO_OPT_launcher,
                              DECO_OPT_resume, DECO_OPT_load,  DECO_OPT_max_hours, DECO_OPT_dry_run};
    deco_status st = DECO_OK;
    char *words = NULL, *cwd = getcwd(NULL, 0), *here = NULL, *outdir = deco_shell_word(o->outdir), *text = NULL;
    size_t size = 0;
    FILE *to = NULL;

    if (!cwd)
        TRY(deco_fail_errno(DECO_E_FILE, "the current directory"));
    TRY(deco_options_words(&words, o, DECO_FOR_RUN, but, sizeof but / sizeof *but));
    here = deco_shell_word(cwd);
    if (!here || !outdir || !(to = open_memstream(&text, &size)))
        TRY(deco_fail_memory(4096, "a batch script"));
    write_script(to, o, f, here, outdir, words);
    if (fclose(to)) {
        free(text);
        TRY(deco_fail_memory(size, "a batch script"));
    }
    *out = text;
out:
    free(words);
    free(cwd);
    free(here);
    free(outdir);
    return st;
}

deco_status deco_job_slurm(char **out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    run_job j = {.m = m};

    if (o->workers > 1 && o->nodes * o->tasks > 1)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "workers is %" PRId64 " beside %" PRId64 " nodes of %" PRId64
                      " tasks: tasks are workers already, started by %s; leave workers out, or nodes and tasks",
                      o->workers, o->nodes, o->tasks, o->launcher));
    TRY(run_job_look(&j, o));
    TRY(put_together(out, o, &j.forecast));
out:
    run_job_close(&j);
    return st;
}
