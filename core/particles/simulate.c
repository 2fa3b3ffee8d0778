/* `cryodeco simulate`: settings checked, everything made in a folder beside the final one, renamed when whole. */
#include "particles/simulate.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "particles/simulate_parts.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNR_SAMPLE 1000 /* particles at most that the noise is set by; the truth says the ratio over all of them */

/* ---- images ------------------------------------------------------------------------------------------------------ */

/* A set in the making: all of it, so that one function frees it. */
typedef struct making {
    sim_settings s;
    deco_device *dev;
    float **map, **transform;
    sim_particle *particle;
    sim_micrograph *micrograph;
    int64_t *by_uid, *row;
    double *signal;
    sim_imager *imager;
    sim_measured measured;
    double noise_variance; /* mean over the particles */
} making;

static void making_free(making *k)
{
    sim_imager_free(k->imager);
    for (int64_t i = 0; i < k->s.maps; i++) {
        free(k->map ? k->map[i] : NULL);
        free(k->transform ? k->transform[i] : NULL);
    }
    free(k->map);
    free(k->transform);
    free(k->particle);
    free(k->micrograph);
    free(k->by_uid);
    free(k->row);
    free(k->signal);
    free(k->s.share);
    deco_device_free(k->dev);
}

static deco_status make_states(making *k, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const sim_settings *s = &k->s;
    TRY(deco_alloc(&k->map, (size_t)s->maps, sizeof *k->map, "maps"));
    TRY(deco_alloc(&k->transform, (size_t)s->maps, sizeof *k->transform, "maps"));
    for (int64_t i = 0; i < s->maps; i++)
        TRY(deco_alloc(&k->map[i], (size_t)(s->D * s->D * s->D), sizeof *k->map[i], "map"));
    TRY(sim_densities_make(k->map, s, k->dev, m));
    for (int64_t i = 0; i < s->maps; i++)
        TRY(sim_transform_make(&k->transform[i], k->map[i], s->D, k->dev));
out:
    return st;
}

static deco_status make_views(making *k)
{
    deco_status st = DECO_OK;
    const sim_settings *s = &k->s;
    TRY(deco_alloc(&k->particle, (size_t)s->N, sizeof *k->particle, "particles"));
    TRY(deco_alloc(&k->micrograph, (size_t)s->micrographs, sizeof *k->micrograph, "micrographs"));
    TRY(deco_alloc(&k->by_uid, (size_t)s->N, sizeof *k->by_uid, "order of uids"));
    TRY(sim_draw(k->particle, k->micrograph, k->by_uid, s));
    for (int64_t i = 0; i < s->N; i++)
        k->noise_variance += (double)k->particle[i].noise_sigma * k->particle[i].noise_sigma / (double)s->N;
out:
    return st;
}

/* Scales the maps so that the signal, over particles evenly spread through the set, stands at the wanted ratio to the noise. */
static deco_status set_gain(making *k)
{
    deco_status st = DECO_OK;
    const sim_settings *s = &k->s;
    int64_t sample = s->N < SNR_SAMPLE ? s->N : SNR_SAMPLE, chunk = sim_imager_chunk(k->imager);
    const float *unused;
    double sum = 0;

    for (int64_t done = 0, n; done < sample; done += n) {
        n = sample - done < chunk ? sample - done : chunk;
        for (int64_t i = 0; i < n; i++)
            k->row[i] = (done + i) * s->N / sample;
        TRY(sim_images_make(&unused, k->signal, k->imager, k->row, n, false));
        for (int64_t i = 0; i < n; i++)
            sum += k->signal[i];
    }
    if (!(sum > 0))
        TRY(deco_fail(DECO_E_FORMAT, "%s: gives images without contrast; is the density empty?", s->o->from.items[0]));
    k->measured.gain = sqrt(s->o->snr * k->noise_variance * (double)sample / sum);
    for (int64_t i = 0; i < s->maps; i++) {
        sim_transform_scale(k->transform[i], s->D, k->measured.gain);
        for (int64_t p = 0; p < s->D * s->D * s->D; p++)
            k->map[i][p] *= (float)k->measured.gain;
    }
out:
    return st;
}

/* Images first .. end-1 into one stack. */
static deco_status write_stack(making *k, const char *path, int64_t first, int64_t end, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const sim_settings *s = &k->s;
    int64_t D = s->D, chunk = sim_imager_chunk(k->imager);
    deco_mrc_writer *w = NULL;
    const float *image;

    TRY(deco_mrc_stack_create(&w, path, D, D, end - first, s->psize_A, s->o->float16 ? 12 : 2));
    for (int64_t n; first < end; first += n) {
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED, "simulate: stopped on request; nothing is left of the unfinished set"));
        n = end - first < chunk ? end - first : chunk;
        for (int64_t i = 0; i < n; i++)
            k->row[i] = first + i;
        TRY(sim_images_make(&image, k->signal, k->imager, k->row, n, true));
        for (int64_t i = 0; i < n; i++) {
            TRY(deco_mrc_stack_append(w, image + i * D * D));
            k->measured.snr += k->signal[i] / ((double)s->N * k->noise_variance);
        }
        deco_progress_add(m, n);
    }
    st = deco_mrc_stack_commit(w);
    w = NULL;
out:
    deco_mrc_stack_abandon(w);
    return st;
}

static deco_status write_stacks(making *k, const char *root, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const sim_settings *s = &k->s;
    char name[64], *path = NULL;

    deco_progress_begin(m, "simulate", s->N, "particles");
    for (int64_t i = 0; i < s->stacks; i++) {
        TRY(sim_stack_path(name, sizeof name, i));
        free(path);
        path = deco_format("%s/project/%s", root, name);
        if (!path)
            TRY(deco_fail_memory(strlen(root), "path"));
        TRY(write_stack(k, path, sim_stack_first(s, i), sim_stack_first(s, i + 1), m));
    }
out:
    deco_progress_end(m);
    free(path);
    return st;
}

/* ---- the output -------------------------------------------------------------------------------------------------- */

static deco_status make_under(const char *root, const char *name)
{
    char *path = deco_path_join(root, name);
    deco_status st = path ? deco_directory_make(path) : deco_fail_memory(strlen(root), "path");
    free(path);
    return st;
}

static deco_status write_all(making *k, const char *root, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *json = deco_path_join(root, "project/" SIM_JOB "/job.json");

    if (!json)
        TRY(deco_fail_memory(strlen(root), "path"));
    TRY(make_under(root, "project/" SIM_JOB "/restack"));
    TRY(make_under(root, "truth/maps"));
    TRY(write_stacks(k, root, m));
    TRY(sim_job_write(root, &k->s, k->particle, k->micrograph));
    TRY(sim_job_json_write(json, k->s.N, k->s.o->with_poses));
    TRY(sim_truth_write(root, &k->s, k->map, k->particle, k->by_uid, k->measured));
out:
    free(json);
    return st;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    remove(path);
    return 0;
}

/* There, and something in it. */
static bool holds_something(const char *path)
{
    DIR *d = opendir(path);
    int entries = 0;
    if (!d)
        return deco_path_exists(path);
    while (readdir(d))
        entries++;
    closedir(d);
    return entries > 2; /* "." and ".." */
}

/* The output's name without slashes at its end. Fails when it is taken. */
static deco_status free_place(char **out, const char *outdir)
{
    size_t n = outdir ? strlen(outdir) : 0;
    *out = NULL;
    if (!n)
        return deco_fail(DECO_E_ARGUMENT, "simulate: --outdir is missing; name a directory that is to be made");
    while (n > 1 && outdir[n - 1] == '/')
        n--;
    *out = strndup(outdir, n);
    if (!*out)
        return deco_fail_memory(n, "path");
    if (holds_something(*out))
        return deco_fail(DECO_E_ARGUMENT, "%s: is there already and not empty; nothing is overwritten: choose another outdir", outdir);
    return DECO_OK;
}

static deco_status set_in_place(const char *made, const char *outdir)
{
    if (rename(made, outdir))
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be renamed to %s", made, outdir);
    return DECO_OK;
}

static char *summary_of(const making *k, const char *outdir)
{
    const sim_settings *s = &k->s;
    return deco_format("%lld particles of %lld×%lld pixels of %g Å, %s, in %lld stacks (%s); signal to noise %.4g\n"
                       "job    %s/project/" SIM_JOB "\ntruth  %s/truth\n",
                       (long long)s->N, (long long)s->D, (long long)s->D, s->psize_A,
                       s->continuous  ? "a continuous motion"
                       : s->maps == 1 ? "one state"
                                      : "several classes",
                       (long long)s->stacks, s->o->float16 ? "float16" : "float32", k->measured.snr, outdir, outdir);
}

deco_status deco_simulate(char **summary, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    making k = {0};
    char *outdir = NULL, *made = NULL;

    if (summary)
        *summary = NULL;
    TRY(free_place(&outdir, o->outdir));
    TRY(sim_settle(&k.s, o));
    TRY(deco_device_create(&k.dev, "cpu", (int)o->threads));
    TRY(make_states(&k, m));
    TRY(make_views(&k));
    TRY(sim_imager_create(&k.imager, &k.s, k.transform, k.particle, k.dev));
    TRY(deco_alloc(&k.row, (size_t)sim_imager_chunk(k.imager), sizeof *k.row, "rows"));
    TRY(deco_alloc(&k.signal, (size_t)sim_imager_chunk(k.imager), sizeof *k.signal, "signal"));
    TRY(set_gain(&k));
    made = deco_format("%s.part-%ld", outdir, (long)getpid());
    if (!made)
        TRY(deco_fail_memory(strlen(outdir), "path"));
    TRY(write_all(&k, made, m));
    TRY(set_in_place(made, outdir));
    if (summary && !(*summary = summary_of(&k, outdir)))
        TRY(deco_fail_memory(0, "summary"));
out:
    if (st && made)
        nftw(made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    making_free(&k);
    free(made);
    free(outdir);
    return st;
}
