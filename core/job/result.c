/* A run directory as cryodeco.h shows it: which state, which clustering, and the arrays that belong to them. */
#include "base/file.h"
#include "formats/npy_map.h"
#include "job/record.h"
#include "model/checkpoints.h"
#include "particles/network.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NEWEST = -2, ARRAYS = DECO_RESULT_PROBABILITY + 1 };

struct deco_result {
    char *outdir, *clustering;
    int64_t epoch;
    bool weights; /* of that epoch are there; otherwise the run stopped inside it */
    deco_npy_map map[ARRAYS];
};

/* "analysis_<epoch>", and nothing else. */
static bool is_analysis(int64_t *epoch, const char *name)
{
    char again[40];

    if (sscanf(name, "analysis_%" SCNd64, epoch) != 1)
        return false;
    snprintf(again, sizeof again, "analysis_%" PRId64, *epoch);
    return !strcmp(again, name);
}

/* The newest epoch with weights, or with an analysis of a state inside it. */
static deco_status find_epoch(deco_result *r)
{
    deco_status st = DECO_OK;
    deco_checkpoint *list = NULL;
    int64_t count = 0, epoch;
    char *out = NULL;
    DIR *dir = NULL;

    TRY(deco_checkpoints_list(&list, &count, r->outdir));
    for (int64_t i = 0; i < count; i++)
        if (list[i].phase_end && list[i].epoch > r->epoch)
            r->epoch = list[i].epoch;
    if (!(out = deco_path_join(r->outdir, "out")))
        TRY(deco_fail_memory(strlen(r->outdir), "a folder's name"));
    if ((dir = opendir(out)))
        for (struct dirent *e; (e = readdir(dir));)
            if (is_analysis(&epoch, e->d_name) && epoch > r->epoch)
                r->epoch = epoch;
    if (r->epoch == NEWEST)
        st = deco_fail(DECO_E_FILE,
                       "%s/out: there is no weights.<epoch>.safetensors here; train first, or name the output directory of a finished run",
                       r->outdir);
out:
    if (dir)
        closedir(dir);
    free(out);
    deco_checkpoints_free(list, count);
    return st;
}

/* The clustering<K> made last in analysis_<epoch>; r->clustering is "" where there is none. */
static deco_status find_clustering(deco_result *r)
{
    deco_status st = DECO_OK;
    char *analysis = deco_format("%s/out/analysis_%" PRId64, r->outdir, r->epoch), *name = strdup("");
    struct timespec newest = {0};
    DIR *dir = analysis ? opendir(analysis) : NULL;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat s;
        char *labels = strncmp(e->d_name, "clustering", 10) ? NULL : deco_format("%s/%s/labels.npy", analysis, e->d_name);
        bool newer = labels && !stat(labels, &s) &&
                     (s.st_mtim.tv_sec > newest.tv_sec || (s.st_mtim.tv_sec == newest.tv_sec && s.st_mtim.tv_nsec > newest.tv_nsec));
        free(labels);
        if (!newer)
            continue;
        newest = s.st_mtim;
        free(name);
        name = deco_format("analysis_%" PRId64 "/%s", r->epoch, e->d_name);
    }
    if (dir)
        closedir(dir);
    if (!analysis || !name)
        st = deco_fail_memory(strlen(r->outdir), "a folder's name");
    r->clustering = name;
    free(analysis);
    return st;
}

static deco_status take_clustering(deco_result *r, const char *given)
{
    deco_status st = DECO_OK;
    char *labels = deco_format("%s/out/%s/labels.npy", r->outdir, given);

    if (!labels || !(r->clustering = strdup(given)))
        st = deco_fail_memory(strlen(given), "a folder's name");
    else if (*given == '/' || strstr(given, ".."))
        st = deco_fail(DECO_E_ARGUMENT, "clustering is '%s'; name a folder below %s/out, as analysis_99/clustering8", given, r->outdir);
    else if (!deco_path_exists(labels))
        st = deco_fail(DECO_E_FILE, "%s: not found; clustering must name a folder below %s/out that holds one, as analysis_99/clustering8",
                       labels, r->outdir);
    free(labels);
    return st;
}

deco_status deco_result_open(deco_result **out, const char *outdir, int64_t epoch, const char *clustering)
{
    deco_status st = DECO_OK;
    deco_result *r = NULL;
    deco_record_paths path = {0};

    if (!out || !outdir)
        return deco_fail(DECO_E_ARGUMENT, "deco_result_open: %s is NULL", out ? "outdir" : "out");
    *out = NULL;
    TRY(deco_alloc(&r, 1, sizeof *r, "a result"));
    r->epoch = epoch;
    if (!(r->outdir = strdup(outdir)))
        TRY(deco_fail_memory(strlen(outdir), "a folder's name"));
    if (epoch == NEWEST)
        TRY(find_epoch(r));
    TRY(deco_record_paths_of(&path, outdir, r->epoch));
    r->weights = deco_path_exists(path.weights);
    if (epoch != NEWEST && !r->weights)
        TRY(deco_fail(DECO_E_FILE, "%s/out holds no weights of epoch %" PRId64, outdir, epoch));
    TRY(clustering ? take_clustering(r, clustering) : find_clustering(r));
    *out = r;
    r = NULL;
out:
    deco_record_paths_free(&path);
    deco_result_free(r);
    return st;
}

void deco_result_free(deco_result *r)
{
    if (!r)
        return;
    for (int i = 0; i < ARRAYS; i++)
        deco_npy_map_close(&r->map[i]);
    free(r->outdir);
    free(r->clustering);
    free(r);
}

int64_t deco_result_epoch(const deco_result *r) { return r->epoch; }
const char *deco_result_clustering(const deco_result *r) { return r->clustering; }

static const struct {
    const char *folder_file; /* beside the clustering (or its analysis), NULL: only in out/ */
    char dtype[4];
    int dims;
} arrays[ARRAYS] = {
    [DECO_RESULT_UID] = {NULL, "<u8", 1},
    [DECO_RESULT_LATENTS] = {NULL, "<f4", 2},
    [DECO_RESULT_ROTATION] = {"../rotation.npy", "<f4", 3},
    [DECO_RESULT_SHIFT] = {"../shift.npy", "<f4", 2},
    [DECO_RESULT_LABELS] = {"labels.npy", "<i4", 1},
    [DECO_RESULT_PROBABILITY] = {"probability.npy", "<f4", 2},
};

/* Where an array is; *path NULL, with success, when it needs a clustering and there is none. */
static deco_status place(char **path, const deco_result *r, deco_result_array which)
{
    deco_status st = DECO_OK;
    deco_record_paths p = {0};
    const char *file = arrays[which].folder_file;

    *path = NULL;
    TRY(deco_record_paths_of(&p, r->outdir, r->epoch));
    char **in_out[ARRAYS] = {&p.uid, &p.latents, &p.rotation, &p.shift};
    if (file && *r->clustering) {
        if (!(*path = deco_format("%s/out/%s/%s", r->outdir, r->clustering, file)))
            st = deco_fail_memory(strlen(r->outdir), "a file's name");
    } else if (in_out[which]) {
        *path = *in_out[which];
        *in_out[which] = NULL;
    }
out:
    deco_record_paths_free(&p);
    return st;
}

static deco_status check_array(const deco_npy_map *a, deco_result_array which, int64_t N, const char *path)
{
    if (strcmp(a->descr, arrays[which].dtype) != 0 || a->dims != arrays[which].dims)
        return deco_fail(DECO_E_FORMAT, "%s: is of type %s with %d dimensions; %s with %d are expected", path, a->descr, a->dims,
                         arrays[which].dtype, arrays[which].dims);
    if (N >= 0 && a->shape[0] != N)
        return deco_fail(DECO_E_FORMAT, "%s: has %" PRId64 " rows, and out/uid.npy names %" PRId64 " particles", path, a->shape[0], N);
    return DECO_OK;
}

static deco_status map(deco_result *r, deco_result_array which)
{
    deco_status st = DECO_OK;
    char *path = NULL;

    if (r->map[which].data)
        return DECO_OK;
    if (which != DECO_RESULT_UID)
        TRY(map(r, DECO_RESULT_UID));
    TRY(place(&path, r, which));
    if (!path)
        TRY(deco_fail(DECO_E_FILE, "%s/out/analysis_%" PRId64 ": holds no clustering; cryodeco analyze %s makes one", r->outdir, r->epoch,
                      r->outdir));
    if (!r->weights && !arrays[which].folder_file && which != DECO_RESULT_UID && !deco_path_exists(path))
        TRY(deco_fail(DECO_E_FILE,
                      "%s: not found, the run stopped inside epoch %" PRId64 "; cryodeco run --outdir %s --resume auto goes on", path,
                      r->epoch, r->outdir));
    TRY(deco_npy_map_open(&r->map[which], path, network_file_system(path)));
    st = check_array(&r->map[which], which, which == DECO_RESULT_UID ? -1 : r->map[DECO_RESULT_UID].shape[0], path);
    if (st)
        deco_npy_map_close(&r->map[which]);
out:
    free(path);
    return st;
}

deco_status deco_result_view(deco_view *out, deco_result *r, deco_result_array which)
{
    if (!out || !r || (int)which < 0 || (int)which >= ARRAYS)
        return deco_fail(DECO_E_ARGUMENT, "deco_result_view: %s", !out ? "out is NULL" : !r ? "r is NULL" : "there is no such array");
    deco_status st = map(r, which);
    const deco_npy_map *a = &r->map[which];

    *out = (deco_view){0};
    if (st)
        return st;
    out->data = a->data;
    out->dims = a->dims;
    memcpy(out->dtype, a->descr, sizeof out->dtype);
    for (int d = 0; d < a->dims; d++)
        out->shape[d] = (size_t)a->shape[d];
    return DECO_OK;
}

deco_status deco_result_model(deco_model **out, const deco_result *r, int threads)
{
    if (!r)
        return deco_fail(DECO_E_ARGUMENT, "deco_result_model: r is NULL");
    return deco_model_open(out, r->outdir, r->weights ? r->epoch : NEWEST, threads);
}
