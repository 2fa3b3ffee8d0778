#include "analysis/series.h"
#include "analysis/figures.h"
#include "base/file.h"
#include "formats/npy.h"
#include "formats/zip.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_series_write(const char *directory, int64_t n, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_zip *zip = NULL;
    char *archive = deco_path_join(directory, "series.zip"), *path = NULL, name[32];

    if (!archive)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_zip_create(&zip, archive));
    for (int64_t i = 0; i < n; i++) {
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped while a volume series was made; what is whole in the run's directory stays"));
        snprintf(name, sizeof name, "vol_%03lld.mrc", (long long)i);
        if (!(path = deco_path_join(directory, name)))
            TRY(deco_fail_memory(strlen(directory), "a file's name"));
        TRY(deco_zip_add(zip, name, path));
        free(path);
        path = NULL;
    }
    st = deco_zip_commit(zip);
    zip = NULL;
out:
    deco_zip_abandon(zip);
    free(archive);
    free(path);
    return st;
}

void deco_places_along(double *place, const float *scores, int64_t N, int64_t Z, int64_t component, double first, double last, int64_t n)
{
    double a_frame = n > 1 ? (last - first) / (double)(n - 1) : 0;

    for (int64_t i = 0; i < N; i++)
        place[i] = a_frame != 0 ? ((double)scores[i * Z + component] - first) / a_frame : 0;
}

/* ---- along a way ------------------------------------------------------------------------------------------------- */

typedef struct way_search {
    double *place;
    const float *x;
    const double *way;
    int64_t N, Z, n;
    double reach2;
} way_search;

enum { ROWS = 256 };

/* Squared distance of x to the line from a to b, and how far along it the nearest point is, 0 to 1. */
static double to_line(double *t, const float *x, const double *a, const double *b, int64_t Z)
{
    double along = 0, length2 = 0, d2 = 0;

    for (int64_t j = 0; j < Z; j++) {
        double v = b[j] - a[j];
        along += (x[j] - a[j]) * v;
        length2 += v * v;
    }
    *t = length2 > 0 ? fmin(fmax(along / length2, 0), 1) : 0;
    for (int64_t j = 0; j < Z; j++) {
        double d = x[j] - (a[j] + *t * (b[j] - a[j]));
        d2 += d * d;
    }
    return d2;
}

static deco_status search_rows(void *context, int64_t tile, int worker)
{
    const way_search *s = context;
    int64_t end = (tile + 1) * ROWS < s->N ? (tile + 1) * ROWS : s->N;

    (void)worker;
    for (int64_t i = tile * ROWS; i < end; i++) {
        double least = INFINITY, t;
        for (int64_t f = 0; f + 1 < s->n; f++) {
            double d2 = to_line(&t, s->x + i * s->Z, s->way + f * s->Z, s->way + (f + 1) * s->Z, s->Z);
            if (d2 < least) {
                least = d2;
                s->place[i] = (double)f + t;
            }
        }
        if (!(least <= s->reach2))
            s->place[i] = NAN;
    }
    return DECO_OK;
}

deco_status deco_places_on_way(double *place, const float *x, int64_t N, int64_t Z, const double *way, int64_t n, int64_t lines,
                               deco_pool *pool)
{
    way_search s = {place, x, way, N, Z, n, 0};
    double length = 0;

    for (int64_t f = 0; f + 1 < n; f++) {
        double d2 = 0;
        for (int64_t j = 0; j < Z; j++)
            d2 += (way[(f + 1) * Z + j] - way[f * Z + j]) * (way[(f + 1) * Z + j] - way[f * Z + j]);
        length += sqrt(d2);
    }
    length /= 2.0 * (double)(lines > 1 ? lines : 1);
    s.reach2 = length * length;
    return deco_pool_run(pool, search_rows, &s, (N + ROWS - 1) / ROWS);
}

/* ---- the particles of each frame --------------------------------------------------------------------------------- */

static deco_status write_places(const char *directory, const double *place, int64_t N)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(directory, "frames.npy");
    float *as_float = NULL;

    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_alloc(&as_float, (size_t)N + 1, sizeof *as_float, "places on a way"));
    for (int64_t i = 0; i < N; i++)
        as_float[i] = (float)place[i];
    TRY(deco_npy_write(path, "<f4", 1, &N, as_float));
out:
    free(path);
    free(as_float);
    return st;
}

static deco_status write_frame(const char *directory, const char *name, const deco_subset_source *source, const int64_t *row, int64_t n,
                               int64_t frame, int64_t frames)
{
    deco_status st = DECO_OK;
    char grouped[32], all[32];
    char *stem = deco_format("%s/frame_%03lld", directory, (long long)frame);
    char *title = deco_format("Frame %lld of %s (%s particle%s)", (long long)frame, name, deco_grouped(grouped, n), n == 1 ? "" : "s");
    char *description = deco_format("%s of %s particles of %s: less than one frame from frame %lld of %lld of %s of %s; cryodeco %s",
                                    grouped, deco_grouped(all, source->in.particles->N), deco_path_name(source->in.particles->cs_path),
                                    (long long)frame, (long long)frames, name, source->in.analysis, deco_version());

    if (!stem || !title || !description)
        TRY(deco_fail_memory(256, "a subset's description"));
    TRY(deco_subset_write(stem, source,
                          &(deco_subset){.row = row, .n = n, .name = deco_path_name(stem), .title = title, .description = description}));
out:
    free(stem);
    free(title);
    free(description);
    return st;
}

deco_status deco_frames_write(const char *directory, const char *name, const deco_subset_input *in, const double *place, int64_t n,
                              deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_subset_source source = {0};
    int64_t N = in->particles->N, *row = NULL, empty = 0;
    char *subsets = deco_path_join(directory, "frames_cs");

    if (!subsets)
        TRY(deco_fail_memory(strlen(directory), "a folder's name"));
    TRY(write_places(directory, place, N));
    TRY(deco_directory_make(subsets));
    TRY(deco_subset_source_open(&source, in, DECO_SUBSET_CS | DECO_SUBSET_CSG));
    TRY(deco_alloc(&row, (size_t)N + 1, sizeof *row, "rows of a frame"));
    for (int64_t f = 0; f < n; f++) {
        int64_t count = 0;
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED,
                          "stopped while the particles of frames were written; what is whole in the run's directory stays"));
        for (int64_t i = 0; i < N; i++)
            if (fabs(place[i] - (double)f) < 1)
                row[count++] = i;
        empty += !count;
        if (count)
            TRY(write_frame(subsets, name, &source, row, count, f, n));
    }
    if (empty)
        deco_warn(m, "%s: %lld of %lld frames have no particles near them, and no subset", name, (long long)empty, (long long)n);
out:
    deco_subset_source_close(&source);
    free(row);
    free(subsets);
    return st;
}
