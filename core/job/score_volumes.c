#include "job/score_volumes.h"
#include "analysis/map_frame.h"
#include "analysis/score.h"
#include "analysis/score_maps.h"
#include "analysis/spectrum.h"
#include "base/file.h"
#include "formats/mrc.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 100 };

typedef struct volumes {
    const deco_volumes_input *in;
    int64_t D; /* of the true maps */
    double psize_A;
    int64_t n, m; /* maps of the run, true ones */
    float **map, **true_map;
    deco_map_score *score; /* [n,m]; auc below 0: not made yet */
    deco_map_frame frame;
} volumes;

static deco_status read_cube(float **out, int64_t *D, double *psize_A, const char *path)
{
    deco_status st = DECO_OK;
    deco_mrc *file = NULL;
    float *map = NULL;

    *out = NULL;
    TRY(deco_mrc_open(&file, path));
    if (file->nx != file->ny || file->nx != file->nz || file->nx % 2)
        TRY(deco_fail(DECO_E_FORMAT, "%s: is %lld x %lld x %lld; a map with an even number of voxels, the same each way, is expected", path,
                      (long long)file->nx, (long long)file->ny, (long long)file->nz));
    TRY(deco_alloc(&map, (size_t)(file->nx * file->nx * file->nx), sizeof *map, "a density map"));
    TRY(deco_mrc_read(file, map, 0, file->nz));
    *D = file->nx;
    *psize_A = file->psize_A;
    *out = map;
    map = NULL;
out:
    deco_mrc_close(file);
    free(map);
    return st;
}

static const char *name_of(const volumes *v, int64_t m)
{
    const cJSON *file = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(v->in->maps, (int)m), "file");
    return cJSON_IsString(file) ? file->valuestring : NULL;
}

static double place_of(const volumes *v, int64_t m)
{
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(v->in->maps, (int)m), "t");
    return cJSON_IsNumber(t) ? t->valuedouble : NAN;
}

static deco_status read_truth(volumes *v)
{
    deco_status st = DECO_OK;
    char *path = NULL;
    int64_t D;
    double psize_A;

    v->m = cJSON_GetArraySize(v->in->maps);
    TRY(deco_alloc(&v->true_map, (size_t)v->m, sizeof(float *), "maps"));
    for (int64_t i = 0; i < v->m; i++) {
        if (!name_of(v, i))
            TRY(deco_fail(DECO_E_FORMAT, "%s/truth.json: map %lld has no \"file\"", v->in->truth, (long long)i));
        if (!(path = deco_path_join(v->in->truth, name_of(v, i))))
            TRY(deco_fail_memory(64, "a file's name"));
        TRY(read_cube(&v->true_map[i], &D, &psize_A, path));
        if (i && D != v->D)
            TRY(deco_fail(DECO_E_FORMAT, "%s: has %lld voxels a side, the map before it %lld", path, (long long)D, (long long)v->D));
        v->D = D;
        v->psize_A = psize_A;
        free(path);
        path = NULL;
    }
out:
    free(path);
    return st;
}

/* vol_000.mrc and on, brought to the truth's box. */
static deco_status read_maps(volumes *v)
{
    deco_status st = DECO_OK;
    char *path = NULL;
    float *map = NULL, **more;
    int64_t D;
    double psize_A;

    for (;; v->n++) {
        free(path);
        if (!(path = deco_format("%s/vol_%03lld.mrc", v->in->clustering, (long long)v->n)))
            TRY(deco_fail_memory(64, "a file's name"));
        if (!deco_path_exists(path))
            break;
        if (!(more = realloc(v->map, (size_t)(v->n + 1) * sizeof *more)))
            TRY(deco_fail_memory(64, "maps"));
        v->map = more;
        TRY(read_cube(&map, &D, &psize_A, path));
        TRY(deco_map_resize(&v->map[v->n], map, D, v->D));
        free(map);
        map = NULL;
    }
out:
    free(path);
    free(map);
    return st;
}

static deco_status score_of(deco_map_score **out, volumes *v, int64_t n, int64_t m)
{
    *out = v->score + n * v->m + m;
    return (*out)->auc >= 0 ? DECO_OK : deco_map_score_of(*out, v->map[n], v->true_map[m], v->D, v->psize_A);
}

static int64_t nearest_map(const volumes *v, double t)
{
    int64_t best = 0;

    for (int64_t m = 1; m < v->m; m++)
        if (fabs(place_of(v, m) - t) < fabs(place_of(v, best) - t))
            best = m;
    return best;
}

/* The true map of each of the run's, -1: there are more of these. One to one by class; of a continuous set at its cluster's mean coordinate. */
static deco_status pair_maps(int64_t *pair, double *mean_t, volumes *v)
{
    deco_status st = DECO_OK;
    double *gain = NULL;
    int64_t *column_row = NULL;
    bool turned = v->n > v->m;
    deco_map_score *s;

    for (int64_t n = 0; n < v->n && !v->in->label; n++) {
        double sum = 0, count = 0;
        for (int64_t i = 0; i < v->in->N; i++)
            if (v->in->found[i] == n) {
                sum += v->in->coordinate[i];
                count++;
            }
        mean_t[n] = count > 0 ? sum / count : NAN;
        pair[n] = nearest_map(v, mean_t[n]);
    }
    if (!v->in->label)
        return DECO_OK;
    TRY(deco_alloc(&gain, (size_t)(v->n * v->m), sizeof *gain, "an assignment"));
    TRY(deco_alloc(&column_row, (size_t)(turned ? v->n : v->m), sizeof *column_row, "an assignment"));
    for (int64_t n = 0; n < v->n; n++)
        for (int64_t m = 0; m < v->m; m++) {
            TRY(score_of(&s, v, n, m));
            gain[turned ? m * v->n + n : n * v->m + m] = fmax(s->corr, 0) + 1e-3 * s->auc;
        }
    TRY(deco_assign(column_row, gain, turned ? v->m : v->n, turned ? v->n : v->m));
    for (int64_t n = 0; n < v->n; n++) {
        mean_t[n] = NAN;
        pair[n] = turned ? column_row[n] : -1;
    }
    for (int64_t m = 0; m < v->m && !turned; m++)
        if (column_row[m] >= 0)
            pair[column_row[m]] = m;
out:
    free(gain);
    free(column_row);
    return st;
}

static void add_numbers(cJSON *to, const deco_map_score *s)
{
    cJSON_AddNumberToObject(to, "corr", s->corr);
    cJSON_AddNumberToObject(to, "fsc05_A", s->fsc05_A);
    cJSON_AddNumberToObject(to, "fsc0143_A", s->fsc0143_A);
    cJSON_AddNumberToObject(to, "masked_fsc05_A", s->masked_fsc05_A);
    cJSON_AddNumberToObject(to, "masked_fsc0143_A", s->masked_fsc0143_A);
    cJSON_AddNumberToObject(to, "auc", s->auc);
}

static deco_status add_volumes(cJSON *report, volumes *v)
{
    deco_status st = DECO_OK;
    cJSON *to = cJSON_AddObjectToObject(report, "volumes"), *all, *each;
    int64_t *pair = NULL, count = 0;
    double *mean_t = NULL, det;
    const double *Q = v->frame.Q;
    deco_map_score sum = {0}, *s;
    char name[32];

    TRY(deco_alloc(&pair, (size_t)v->n, sizeof *pair, "maps"));
    TRY(deco_alloc(&mean_t, (size_t)v->n, sizeof *mean_t, "maps"));
    TRY(pair_maps(pair, mean_t, v));
    det = Q[0] * (Q[4] * Q[8] - Q[5] * Q[7]) - Q[1] * (Q[3] * Q[8] - Q[5] * Q[6]) + Q[2] * (Q[3] * Q[7] - Q[4] * Q[6]);
    cJSON_AddStringToObject(to, "hand", det < 0 ? "mirrored" : "same");
    all = cJSON_AddObjectToObject(to, "mean");
    each = cJSON_AddArrayToObject(to, "each");
    for (int64_t n = 0; n < v->n; n++) {
        cJSON *one;
        if (pair[n] < 0)
            continue;
        TRY(score_of(&s, v, n, pair[n]));
        one = cJSON_CreateObject();
        cJSON_AddItemToArray(each, one);
        snprintf(name, sizeof name, "vol_%03lld.mrc", (long long)n);
        cJSON_AddStringToObject(one, "volume", name);
        cJSON_AddStringToObject(one, "truth", name_of(v, pair[n]));
        if (v->in->label)
            cJSON_AddNumberToObject(one, "label", (double)pair[n]);
        else if (isfinite(mean_t[n]))
            cJSON_AddNumberToObject(one, "mean_t", mean_t[n]);
        add_numbers(one, s);
        sum.corr += s->corr, sum.auc += s->auc;
        sum.fsc05_A += s->fsc05_A, sum.fsc0143_A += s->fsc0143_A;
        sum.masked_fsc05_A += s->masked_fsc05_A, sum.masked_fsc0143_A += s->masked_fsc0143_A;
        count++;
    }
    add_numbers(all, &(deco_map_score){sum.corr / (double)count, sum.fsc05_A / (double)count, sum.fsc0143_A / (double)count,
                                       sum.masked_fsc05_A / (double)count, sum.masked_fsc0143_A / (double)count, sum.auc / (double)count});
out:
    free(pair);
    free(mean_t);
    return st;
}

static int by_value(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* About a hundred particles, evenly spaced: the map of each one's cluster against the true map of its state. */
static deco_status add_images(cJSON *report, volumes *v)
{
    deco_status st = DECO_OK;
    int64_t step = v->in->N > IMAGES ? v->in->N / IMAGES : 1, n = 0;
    double *area = NULL, perfect = deco_fsc_area_perfect(v->D), mean = 0, square = 0;
    deco_map_score *s;
    cJSON *to;

    TRY(deco_alloc(&area, (size_t)(v->in->N / step) + 2, sizeof *area, "areas"));
    for (int64_t i = 0; i < v->in->N; i += step) {
        int64_t k = v->in->found[i], m = v->in->label ? v->in->label[i] : nearest_map(v, v->in->coordinate[i]);
        if (k < 0 || k >= v->n || m < 0 || m >= v->m)
            continue;
        TRY(score_of(&s, v, k, m));
        area[n++] = s->auc * perfect;
    }
    if (!n)
        goto out;
    for (int64_t i = 0; i < n; i++)
        mean += area[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (area[i] - mean) * (area[i] - mean) / (double)n;
    qsort(area, (size_t)n, sizeof *area, by_value);
    to = cJSON_AddObjectToObject(report, "per_image");
    cJSON_AddNumberToObject(to, "images", (double)n);
    cJSON_AddNumberToObject(to, "auc_mean", mean);
    cJSON_AddNumberToObject(to, "auc_std", sqrt(square));
    cJSON_AddNumberToObject(to, "auc_median", (area[(n - 1) / 2] + area[n / 2]) / 2);
    cJSON_AddNumberToObject(to, "normalised", mean / perfect);
out:
    free(area);
    return st;
}

deco_status deco_volumes_score(cJSON *report, const deco_volumes_input *in)
{
    deco_status st = DECO_OK;
    volumes v = {.in = in};

    TRY(read_truth(&v));
    if (!v.m)
        goto out;
    TRY(read_maps(&v));
    if (!v.n)
        goto out;
    TRY(deco_alloc(&v.score, (size_t)(v.n * v.m), sizeof *v.score, "scores of maps"));
    for (int64_t i = 0; i < v.n * v.m; i++)
        v.score[i].auc = -1;
    memcpy(v.frame.Q, in->Q, sizeof v.frame.Q);
    TRY(deco_map_frame_find(&v.frame, v.map, v.n, v.true_map, v.m, v.D));
    for (int64_t i = 0; i < v.n; i++)
        TRY(deco_map_into_frame(v.map[i], v.map[i], &v.frame, v.D));
    TRY(add_volumes(report, &v));
    TRY(add_images(report, &v));
out:
    for (int64_t i = 0; i < v.n; i++)
        free(v.map[i]);
    for (int64_t i = 0; v.true_map && i < v.m; i++)
        free(v.true_map[i]);
    free(v.map);
    free(v.true_map);
    free(v.score);
    return st;
}
