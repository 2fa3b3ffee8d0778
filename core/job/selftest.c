/* `cryodeco selftest`: is this installation sound? A line for each thing, what was found and a plain verdict, in well under a minute. */
#include "base/file.h"
#include "compute/bench.h"
#include "compute/bf16_check.h"
#include "formats/mrc.h"
#include "job/job.h"
#include "model/model.h"

#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BOX = 32, IMAGES = 400 };

typedef struct selftest {
    const deco_options *o;
    deco_monitor *m;
    FILE *text;
    char *place; /* a folder of our own on the scratch that is tested */
    bool sound;
} selftest;

static void tell(selftest *t, const char *what, bool good, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void tell(selftest *t, const char *what, bool good, const char *format, ...)
{
    va_list args;

    fprintf(t->text, "%-6s %-9s ", good ? "ok" : "FAILED", what);
    va_start(args, format);
    /* clang-tidy 14 loses sight of a va_start one call above. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    vfprintf(t->text, format, args);
    va_end(args);
    putc('\n', t->text);
    t->sound = t->sound && good;
}

static deco_status test_device(selftest *t, deco_device **dev)
{
    deco_device *card = NULL;
    deco_status st = deco_device_create(dev, t->o->device, (int)t->o->threads);

    tell(t, "program", true, "cryodeco %s", deco_version());
    if (st)
        tell(t, "device", false, "%s", deco_error());
    else
        tell(t, "device", true, "%s, %d threads; %s", deco_device_name(*dev), deco_pool_threads(deco_device_pool(*dev)),
             deco_device_libraries(*dev));
    if (!st && strncmp(deco_device_name(*dev), "cuda", 4) != 0 && deco_device_create(&card, "cuda", 1))
        fprintf(t->text, "-      cuda      not used: %s\n", deco_error()); /* a machine without a card is no unsound one */
    deco_device_free(card);
    return st;
}

/* The map of a small model with drawn weights, at a fixed latent. */
static deco_status decode_small(float map[16 * 16 * 16], deco_device *dev)
{
    deco_model *model = NULL;
    const float z[2] = {0.5f, -0.25f};
    const deco_model_config c = {.shape = {.L = 17, .pe_dim = 4, .H = 32, .n = 1, .Z = 2, .layer_norm = true},
                                 .feat_sigma = 0.5,
                                 .psize_A = 4,
                                 .std = 1,
                                 .D = 16,
                                 .radius = 8,
                                 .N = 1,
                                 .seed = 1};
    deco_status st = deco_model_create(&model, dev, &c);

    if (!st)
        st = deco_model_decode(map, model, model->D, z);
    deco_model_free(model);
    return st;
}

/* Numbers where this version was tested: every kernel that a processor's features choose must come to the same. */
static deco_status test_numbers(selftest *t, deco_device *dev)
{
    static const struct {
        int at;
        double value;
    } known[] = {{0, -0.000520600006}, {1234, -0.000142695848}, {2184, -0.0205125771}, {4000, -3.58983525e-05}};
    deco_status st = DECO_OK;
    deco_device *one = NULL;
    float *map = NULL, *again = NULL;
    double worst = 0;

    TRY(deco_alloc(&map, 16 * 16 * 16, sizeof *map, "a map"));
    TRY(deco_alloc(&again, 16 * 16 * 16, sizeof *again, "a map"));
    TRY(decode_small(map, dev));
    TRY(deco_device_create(&one, "cpu", 1));
    TRY(decode_small(again, one));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        worst = fmax(worst, fabs(map[known[i].at] - known[i].value));
    /* the map's largest value is 0.1; what sums of float32 in another order, and bf16 on a GPU's fastest path, may differ by */
    tell(t, "numbers", worst < (strncmp(deco_device_name(dev), "cuda", 4) ? 1e-6 : 1e-3),
         "a small model's map is as where this version was tested, to %.1e", worst);
    bool same = true;
    for (int i = 0; !strcmp(deco_device_name(dev), "cpu") && i < 16 * 16 * 16; i++)
        same = same && map[i] == again[i];
    tell(t, "threads", same, "one thread and all give the same bits");
out:
    deco_device_free(one);
    free(map);
    free(again);
    return st;
}

/* A card's tensor cores against its other units; a CPU has no bf16, and nothing is said. */
static deco_status test_bf16(selftest *t, deco_device *dev)
{
    double decoder = 0, encoder = 0;
    deco_status st = deco_bf16_check(&decoder, &encoder, dev);

    if (!st && (decoder != 0 || encoder != 0))
        tell(t, "bf16", decoder < 0.03 && encoder < 0.03, "products in bf16 are those in float32 to %.1e (decoder) and %.1e (encoder)",
             decoder, encoder);
    return st;
}

static deco_status set_all(deco_options **out, const char *const (*words)[2])
{
    deco_status st = deco_options_create(out);

    for (; !st && (*words)[0]; words++)
        if ((*words)[1])
            st = deco_options_set(*out, (*words)[0], (*words)[1]);
    return st;
}

static deco_status command(const char *name, const char *const (*words)[2])
{
    deco_options *o = NULL;
    deco_status st = set_all(&o, words);

    if (!st)
        st = deco_command_run(name, o, NULL, NULL, NULL);
    deco_options_free(o);
    return st;
}

/* Three balls of unlike size, in no symmetry. */
static deco_status write_truth(const char *path)
{
    static const float ball[3][5] = {{16, 16, 12, 5, 1}, {22, 14, 18, 3, 1.5f}, {12, 21, 21, 2.5f, 2}}; /* x, y, z, radius, density */
    float *map = NULL;
    deco_status st = deco_alloc(&map, (size_t)BOX * BOX * BOX, sizeof *map, "a map");

    for (int i = 0; !st && i < BOX * BOX * BOX; i++)
        for (int b = 0; b < 3; b++) {
            int at[3] = {i % BOX, i / BOX % BOX, i / BOX / BOX};
            float x = (float)at[0] - ball[b][0], y = (float)at[1] - ball[b][1], z = (float)at[2] - ball[b][2];
            map[i] += ball[b][4] * expf(-(x * x + y * y + z * z) / (ball[b][3] * ball[b][3]));
        }
    if (!st)
        st = deco_mrc_write_volume(path, map, BOX, BOX, BOX, 4, "cryodeco selftest");
    free(map);
    return st;
}

static deco_status read_map(float **out, const char *path)
{
    deco_mrc *f = NULL;
    deco_status st = deco_mrc_open(&f, path);

    if (!st && (f->nx != BOX || f->ny != BOX || f->nz != BOX))
        st = deco_fail(DECO_E_FORMAT, "%s: is not of %d voxels a side", path, BOX);
    if (!st)
        st = deco_alloc(out, (size_t)BOX * BOX * BOX, sizeof **out, "a map");
    if (!st)
        st = deco_mrc_read(f, *out, 0, BOX);
    deco_mrc_close(f);
    return st;
}

static double correlation(const float *a, const float *b)
{
    double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0, n = (double)BOX * BOX * BOX;

    for (int i = 0; i < BOX * BOX * BOX; i++)
        sa += a[i], sb += b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i], ab += (double)a[i] * b[i];
    return (ab - sa * sb / n) / sqrt((aa - sa * sa / n) * (bb - sb * sb / n));
}

/* Simulates a small job on the scratch and solves it, once from the cache: files are written, read back and mapped there. */
static deco_status test_run(selftest *t)
{
    deco_status st = DECO_OK;
    double began = deco_seconds();
    float *truth = NULL, *found = NULL;
    char *set = deco_path_join(t->place, "set"), *job = deco_path_join(t->place, "set/project/J1"), *run = deco_path_join(t->place, "run"),
         *cache = deco_path_join(t->place, "cache"), *map = deco_path_join(t->place, "truth.mrc"),
         *vol = deco_path_join(t->place, "run/out/analysis_2/vol_000.mrc"), threads[24];

    if (!set || !job || !run || !cache || !map || !vol)
        TRY(deco_fail_memory(strlen(t->place), "files' names"));
    snprintf(threads, sizeof threads, "%" PRId64, t->o->threads);
    TRY(write_truth(map));
    TRY(command("simulate", (const char *const[][2]){{"from", map},
                                                     {"outdir", set},
                                                     {"n_particles", "400"},
                                                     {"box", "32"},
                                                     {"psize_A", "4"},
                                                     {"snr", "1"},
                                                     {"seed", "1"},
                                                     {"threads", threads},
                                                     {NULL, NULL}}));
    TRY(deco_directory_make(cache));
    TRY(command("run", (const char *const[][2]){{"particles", job},
                                                {"outdir", run},
                                                {"cache_dir", cache},
                                                {"use_gt_poses", "true"},
                                                {"threads", threads},
                                                {"use_conf_encoder", "false"},
                                                {"conf_table_dim", "0"},
                                                {"k_num", "1"},
                                                {"seed", "1"},
                                                {"device", t->o->device},
                                                {"n_imgs_pretrain", "0"},
                                                {"n_imgs_pose_search", "0"},
                                                {"epochs_sgd", "1"},
                                                {"lr", "2e-3"},
                                                {"hypervolume_dim", "64"},
                                                {"hypervolume_layers", "2"},
                                                {"pe_dim", "32"},
                                                {"feat_sigma", "1.25"},
                                                {"batch_size_known_poses", "8"},
                                                {"log_heavy_interval", "0"},
                                                {NULL, NULL}}));
    TRY(read_map(&truth, map));
    TRY(read_map(&found, vol));
    double alike = correlation(truth, found);
    tell(t, "run", alike > 0.8, "%d simulated images solved in %.0f s, correlation with the truth %.2f", IMAGES, deco_seconds() - began,
         alike);
    tell(t, "scratch", true, "%s: a cache was written there and read", t->o->cache_dir ? t->o->cache_dir : t->place);
out:
    if (st)
        tell(t, "run", false, "%s", deco_error());
    free(truth);
    free(found);
    free(set);
    free(job);
    free(run);
    free(cache);
    free(map);
    free(vol);
    return st == DECO_E_MEMORY ? st : DECO_OK;
}

static deco_status test_speed(selftest *t, deco_device *dev)
{
    deco_bench_rate rate = {0};
    const deco_bench_case *c = &deco_decoder_cases[0];
    deco_status st = c->run(&rate, c, dev, 1, t->m);

    if (st && st != DECO_E_STOPPED)
        tell(t, "speed", false, "%s", deco_error());
    else if (!st)
        tell(t, "speed", rate.value > 0, "%s: %.1f %s", c->name, rate.value, rate.unit);
    return st == DECO_E_STOPPED ? st : DECO_OK;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s, (void)kind, (void)at;
    return remove(path);
}

static deco_status make_place(selftest *t)
{
    const char *given = t->o->cache_dir, *tmp = getenv("TMPDIR");

    if (!(t->place = deco_format("%s/cryodeco-selftest-XXXXXX", given ? given : tmp && *tmp ? tmp : "/tmp")))
        return deco_fail_memory(64, "a folder's name");
    if (mkdtemp(t->place))
        return DECO_OK;
    deco_status st = deco_fail_errno(DECO_E_FILE, "%s: cannot be made", t->place);
    free(t->place);
    t->place = NULL;
    return st;
}

deco_status deco_job_selftest(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    deco_status st = DECO_OK;
    selftest t = {.o = o, .m = m, .sound = true};
    deco_device *dev = NULL;
    char *text = NULL;
    size_t size = 0;

    if (!(t.text = open_memstream(&text, &size)))
        return deco_fail_memory(0, "the test's text");
    TRY(make_place(&t));
    *wrote = true; /* what fails from here on is the machine's or the program's fault, not the caller's */
    TRY(test_device(&t, &dev));
    TRY(test_numbers(&t, dev));
    TRY(test_bf16(&t, dev));
    TRY(test_run(&t));
    TRY(test_speed(&t, dev));
    fprintf(t.text, t.sound ? "sound\n" : "NOT SOUND\n");
out:
    if (t.place)
        nftw(t.place, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(t.place);
    deco_device_free(dev);
    if (fclose(t.text) && !st)
        st = deco_fail_memory(size, "the test's text");
    *out = text;
    if (!st && !t.sound)
        st = deco_fail(DECO_E_DEVICE, "this installation is not sound: see the lines that say FAILED");
    return st;
}
