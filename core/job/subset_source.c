/* A run's particles, its analysis and a selection of it; or an input alone. */
#include "job/subset_source.h"
#include "analysis/cluster_count.h"
#include "analysis/run_note.h"
#include "base/file.h"
#include "job/job.h"
#include "job/record.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* The arrays of the run have its rows; an input that changed since would put them on other particles. */
static deco_status check_uids(const deco_particles *p, const char *path)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};

    TRY(deco_npy_read(&a, path));
    if (a.kind != 'u' || a.item != 8 || a.count != p->N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: the run had %" PRId64 " particles and its input has %" PRId64 " now; it changed since", path,
                      a.count, p->N));
    for (int64_t i = 0; i < p->N; i++) {
        uint64_t uid = ((const uint64_t *)a.data)[i], now = deco_particles_uid(p, i);
        if (uid != now)
            TRY(deco_fail(DECO_E_FORMAT,
                          "%s: row %" PRId64 " is uid %" PRIu64 ", but the input has %" PRIu64 " there now; it changed since the run", path,
                          i, uid, now));
    }
out:
    deco_npy_free(&a);
    return st;
}

static deco_status open_run(subset_source *s, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_record_paths path = {0};

    TRY(deco_job_options(&s->o, s->given));
    TRY(deco_record_paths_of(&path, s->o->outdir, 0));
    TRY(deco_job_open_particles(&s->p, s->o, 0, m));
    TRY(check_uids(s->p, path.uid));
out:
    deco_record_paths_free(&path);
    return st;
}

/* ---- its analysis ------------------------------------------------------------------------------------------------ */

/* The newer the higher. "analysis_99.1200" stands inside epoch 99, "analysis_99" at its end; of the same state "analysis_99_flipped" comes after:
 * the hand as trained is the usual one. -1: no analysis. */
static int64_t rank_of(const char *name)
{
    enum { BATCHES = 1 << 30 };
    int end = 0, more = 0;
    long epoch = -2, batch = BATCHES;

    if (sscanf(name, "analysis_%ld%n", &epoch, &end) != 1)
        return -1;
    if (sscanf(name + end, ".%ld%n", &batch, &more) == 1)
        end += more;
    if (name[end] && strcmp(name + end, "_flipped") != 0)
        return -1;
    return 2 * ((epoch + 2) * (2LL * BATCHES) + batch) + !name[end];
}

deco_status subset_newest_analysis(char **out, const char *directory)
{
    struct dirent *e;
    int64_t best = -1;
    DIR *d = opendir(directory);

    *out = NULL;
    if (!d)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be read", directory);
    while ((e = readdir(d))) {
        int64_t rank = rank_of(e->d_name);
        if (rank <= best)
            continue;
        best = rank;
        free(*out);
        *out = deco_path_join(directory, e->d_name);
        if (!*out)
            break;
    }
    closedir(d);
    if (best >= 0)
        return *out ? DECO_OK : deco_fail_memory(strlen(directory), "a folder's name");
    return deco_fail(DECO_E_FILE, "%s: holds no analysis_<epoch>; cryodeco analyze makes one", directory);
}

static deco_status find_analysis(subset_source *s)
{
    deco_status st = DECO_OK;
    const char *given = s->given->analysis, *drawn = s->selection.analysis, *name = given ? given : drawn;
    char *directory = deco_path_join(s->o->outdir, "out");

    if (!directory)
        TRY(deco_fail_memory(strlen(s->o->outdir), "a folder's name"));
    if (given && drawn && strcmp(deco_path_name(given), drawn) != 0)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s was made of %s, and analysis asks for %s: leave analysis out", s->selection.source, drawn,
                      given));
    if (!name) {
        TRY(subset_newest_analysis(&s->analysis, directory));
        goto out;
    }
    if (rank_of(deco_path_name(name)) < 0)
        TRY(deco_fail(DECO_E_ARGUMENT, "analysis is '%s'; it must be the name of one, as analysis_99", name));
    s->analysis = deco_path_join(directory, deco_path_name(name));
    if (!s->analysis)
        TRY(deco_fail_memory(strlen(name), "a folder's name"));
    if (!deco_path_is_directory(s->analysis))
        TRY(deco_fail(DECO_E_FILE, "%s: is not there; cryodeco analyze %s makes an analysis", s->analysis, s->o->outdir));
out:
    free(directory);
    return st;
}

static deco_status read_array(deco_npy *out, const char *directory, const char *name, int64_t N, int64_t cells)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(directory, name);

    if (!path)
        return deco_fail_memory(strlen(directory), "a file's name");
    TRY(deco_npy_read(out, path));
    if (out->kind != 'f' || out->item != 4 || out->count != N * cells || out->shape[0] != N)
        TRY(deco_fail(DECO_E_FORMAT, "%s: does not have the %" PRId64 " rows of this run", path, N));
out:
    free(path);
    return st;
}

/* Poses that are not the input's belong to the maps of the analysis, in its hand. */
static deco_status take_poses(subset_source *s)
{
    deco_status st = DECO_OK;
    const char *name = deco_path_name(s->analysis);

    s->estimated = !s->o->use_gt_poses || strstr(name, "_flipped");
    if (s->estimated) {
        TRY(read_array(&s->R, s->analysis, "rotation.npy", s->p->N, 9));
        TRY(read_array(&s->shift, s->analysis, "shift.npy", s->p->N, 2));
    }
out:
    return st;
}

static deco_status check_digest(const subset_source *s)
{
    deco_status st = DECO_OK;
    char digest[17];

    TRY(deco_run_note_read(digest, s->analysis, s->p, (uint64_t)s->o->seed));
    if (strcmp(digest, s->selection.run) != 0)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: was made of another run (its digest is %.40s, that of %s is %s)", s->selection.source,
                      s->selection.run, s->o->outdir, digest));
out:
    return st;
}

/* Labels, a selection, and poses that the run found need the analysis; everything else does without one. */
static deco_status open_analysis(subset_source *s)
{
    deco_status st = DECO_OK;
    bool labels = s->given->labels.count && !s->given->labels_from, poses = !s->o->use_gt_poses && !s->given->original;

    if (!labels && !poses && !s->selection.run && !s->given->analysis)
        return DECO_OK;
    TRY(find_analysis(s));
    if (s->selection.run)
        TRY(check_digest(s));
    if (!s->given->original)
        TRY(take_poses(s));
out:
    return st;
}

deco_status subset_source_open(subset_source *out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    subset_source s = {.given = o, .of_run = o->outdir != NULL};

    *out = s;
    if (o->selection)
        TRY(deco_selection_read(&s.selection, o->selection));
    if (s.of_run) {
        TRY(open_run(&s, m));
        TRY(open_analysis(&s));
    } else {
        TRY(deco_options_copy(&s.o, o));
        deco_input in = deco_input_of(o);
        TRY(deco_particles_open_input(&s.p, &in, 0, m));
    }
    *out = s;
    s = (subset_source){0};
out:
    subset_source_close(&s);
    return st;
}

void subset_source_close(subset_source *s)
{
    deco_particles_free(s->p);
    deco_options_free(s->o);
    deco_selection_free(&s->selection);
    deco_npy_free(&s->R);
    deco_npy_free(&s->shift);
    free(s->analysis);
    *s = (subset_source){0};
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* The one clustering<K> of an analysis. */
static deco_status only_clustering(char **out, const char *analysis)
{
    char all[512] = "";
    size_t used = 0;
    int64_t n = 0;
    struct dirent *e;
    DIR *d = opendir(analysis);

    *out = NULL;
    if (!d)
        return deco_fail_errno(DECO_E_FILE, "%s: cannot be read", analysis);
    while ((e = readdir(d))) {
        if (strncmp(e->d_name, "clustering", 10) != 0)
            continue;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", n ? ", " : "", e->d_name);
        if (n++ == 0)
            *out = deco_format("%s/%s/labels.npy", analysis, e->d_name);
    }
    closedir(d);
    if (n == 1)
        return *out ? DECO_OK : deco_fail_memory(strlen(analysis), "a file's name");
    free(*out);
    *out = NULL;
    return n ? deco_fail(DECO_E_ARGUMENT, "%s: holds several clusterings (%s): --k_num says which is meant", analysis, all)
             : deco_fail(DECO_E_ARGUMENT, "%s: holds no clustering, so there are no labels", analysis);
}

deco_status subset_source_labels(char **path, const subset_source *s)
{
    deco_status st = DECO_OK;
    char *clustering = NULL;

    if (s->given->labels_from) {
        if (!(*path = strdup(s->given->labels_from)))
            TRY(deco_fail_memory(64, "a file's name"));
    } else if (deco_option_given(s->given, DECO_OPT_k_num)) {
        TRY(deco_clustering_directory(&clustering, NULL, s->analysis, s->given));
        if (!clustering)
            TRY(deco_fail(DECO_E_ARGUMENT, "%s: no number of clusters was chosen there; cryodeco analyze %s --k_num auto makes it",
                          s->analysis, s->o->outdir));
        if (!(*path = deco_path_join(clustering, "labels.npy")))
            TRY(deco_fail_memory(64, "a file's name"));
        if (!deco_path_exists(*path))
            TRY(deco_fail(DECO_E_ARGUMENT, "%s: is not there; cryodeco analyze %s --k_num %" PRId64 " makes it", *path, s->o->outdir,
                          s->given->k_num));
    } else {
        TRY(only_clustering(path, s->analysis));
    }
out:
    free(clustering);
    if (st) {
        free(*path);
        *path = NULL;
    }
    return st;
}
