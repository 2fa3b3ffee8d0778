/* `cryodeco score`: a run against the truth of a simulated set, or against labels that are known. */
#include "analysis/cluster_count.h"
#include "analysis/score.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "formats/npy.h"
#include "job/job.h"
#include "job/score_volumes.h"
#include "job/subset_source.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct score_job {
    deco_options *o;
    char *analysis; /* directory */
    int64_t N;
    deco_npy uid;
    int32_t *label;     /* [N] true classes; NULL: a continuous set, or none known */
    float *R, *shift;   /* [N,9], [N,2] pixels of the truth's box; NULL: none known */
    double box;         /* of the truth; 0: not known */
    double *coordinate; /* [N] of a continuous set */
    double Q[9];        /* the frame that the rotations fit best in */
    cJSON *info;        /* truth.json */
    cJSON *report;
    deco_pool *pool;
} score_job;

/* `name` in `directory`: N rows of `cells` numbers of that kind. */
static deco_status read_rows(deco_npy *out, const char *directory, const char *name, char kind, int64_t N, int64_t cells)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(directory, name);

    if (!path)
        return deco_fail_memory(strlen(directory), "a file's name");
    TRY(deco_npy_read(out, path));
    if (out->kind != kind || (N >= 0 && (out->shape[0] != N || (cells && out->count != N * cells))))
        TRY(deco_fail(DECO_E_FORMAT, "%s: does not have the %" PRId64 " rows of this run", path, N));
out:
    free(path);
    return st;
}

/* The truth's row of each particle, joined on uid. */
static deco_status join_truth(int64_t *row, const score_job *j, const deco_table *t)
{
    deco_status st = DECO_OK;
    deco_index *index = NULL;
    const uint64_t *uid = j->uid.data;

    TRY(deco_index_create(&index, t, "uid"));
    for (int64_t i = 0; i < j->N; i++)
        if ((row[i] = deco_index_row(index, uid[i])) < 0)
            TRY(deco_fail(DECO_E_ARGUMENT, "%s: does not know uid %" PRIu64 " of row %" PRId64 "; is it the truth of another set?",
                          t->source, uid[i], i));
out:
    deco_index_free(index);
    return st;
}

static deco_status take_poses(score_job *j, const deco_table *t, const int64_t *row)
{
    deco_status st = DECO_OK;
    const deco_column *R, *shift;

    TRY(deco_table_need(&R, t, "R", 'n', 9));
    TRY(deco_table_need(&shift, t, "shift_px", 'n', 2));
    TRY(deco_alloc(&j->R, (size_t)j->N + 1, 9 * sizeof *j->R, "true rotations"));
    TRY(deco_alloc(&j->shift, (size_t)j->N + 1, 2 * sizeof *j->shift, "true shifts"));
    for (int64_t i = 0; i < j->N; i++) {
        for (int k = 0; k < 9; k++)
            j->R[9 * i + k] = (float)deco_cell_real(R, row[i], k);
        for (int k = 0; k < 2; k++)
            j->shift[2 * i + k] = (float)deco_cell_real(shift, row[i], k);
    }
out:
    return st;
}

static deco_status take_labels(score_job *j, const deco_table *t, const int64_t *row)
{
    deco_status st = DECO_OK;
    const deco_column *label;

    TRY(deco_table_need(&label, t, "label", 'n', 1));
    TRY(deco_alloc(&j->label, (size_t)j->N + 1, sizeof *j->label, "true labels"));
    for (int64_t i = 0; i < j->N; i++)
        j->label[i] = (int32_t)deco_cell_real(label, row[i], 0);
out:
    return st;
}

static deco_status take_coordinates(score_job *j, const deco_table *t, const int64_t *row)
{
    deco_status st = DECO_OK;
    const deco_column *place;

    TRY(deco_table_need(&place, t, "t", 'n', 1));
    TRY(deco_alloc(&j->coordinate, (size_t)j->N + 1, sizeof *j->coordinate, "true coordinates"));
    for (int64_t i = 0; i < j->N; i++)
        j->coordinate[i] = deco_cell_real(place, row[i], 0);
out:
    return st;
}

/* truth.json and particles.npy of a simulated set. */
static deco_status read_truth(score_job *j, const char *directory)
{
    deco_status st = DECO_OK;
    char *info_path = deco_path_join(directory, "truth.json"), *path = deco_path_join(directory, "particles.npy"), *text = NULL;
    const cJSON *kind;
    deco_table *t = NULL;
    int64_t *row = NULL;

    if (!info_path || !path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_file_get(&text, &(size_t){0}, info_path, 1 << 24));
    j->info = cJSON_Parse(text);
    kind = cJSON_GetObjectItemCaseSensitive(j->info, "kind");
    if (!cJSON_IsString(kind))
        TRY(deco_fail(DECO_E_FORMAT, "%s: is not the truth of a simulated set (no \"kind\")", info_path));
    if (cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(j->info, "box_px")))
        j->box = cJSON_GetObjectItemCaseSensitive(j->info, "box_px")->valuedouble;
    TRY(deco_npy_read_table(&t, path));
    TRY(deco_alloc(&row, (size_t)j->N + 1, sizeof *row, "rows of the truth"));
    TRY(join_truth(row, j, t));
    TRY(take_poses(j, t, row));
    TRY(strcmp(kind->valuestring, "continuous") != 0 ? take_labels(j, t, row) : take_coordinates(j, t, row));
out:
    free(info_path);
    free(path);
    free(text);
    deco_table_free(t);
    free(row);
    return st;
}

/* True labels of a file of whole numbers, one a row of the run. */
static deco_status read_known_labels(score_job *j, const char *path)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};

    TRY(deco_npy_read(&a, path));
    if ((a.kind != 'i' && a.kind != 'u') || a.count != j->N || (a.item != 4 && a.item != 8))
        TRY(deco_fail(DECO_E_FORMAT, "%s: must hold a whole number (4 or 8 bytes) for each of the %" PRId64 " particles", path, j->N));
    TRY(deco_alloc(&j->label, (size_t)j->N + 1, sizeof *j->label, "true labels"));
    for (int64_t i = 0; i < j->N; i++)
        j->label[i] = a.item == 4 ? ((const int32_t *)a.data)[i] : (int32_t)((const int64_t *)a.data)[i];
out:
    deco_npy_free(&a);
    return st;
}

static deco_status clustering_of(char **directory, const score_job *j)
{
    deco_status st = deco_clustering_directory(directory, NULL, j->analysis, j->o);

    return st || *directory
               ? st
               : deco_fail(DECO_E_FILE, "%s: no number of clusters was chosen there; --k_num says which clustering is meant", j->analysis);
}

static deco_status score_clusters(score_job *j)
{
    deco_status st = DECO_OK;
    deco_npy found = {0};
    deco_label_score s = {0};
    cJSON *to, *names;
    char *directory = NULL, number[24];

    TRY(clustering_of(&directory, j));
    TRY(read_rows(&found, directory, "labels.npy", 'i', j->N, 1));
    if (found.item != 4)
        TRY(deco_fail(DECO_E_FORMAT, "%s/labels.npy: is not of 4-byte whole numbers", directory));
    TRY(deco_labels_score(&s, j->label, found.data, j->N));
    to = cJSON_AddObjectToObject(j->report, "clusters");
    cJSON_AddNumberToObject(to, "clusters", (double)s.clusters);
    cJSON_AddNumberToObject(to, "unassigned", (double)s.unassigned);
    cJSON_AddNumberToObject(to, "ari", s.ari);
    cJSON_AddNumberToObject(to, "nmi", s.nmi);
    cJSON_AddNumberToObject(to, "ami", s.ami);
    cJSON_AddNumberToObject(to, "accuracy", s.accuracy);
    cJSON_AddNumberToObject(to, "purity", s.purity);
    names = cJSON_AddObjectToObject(to, "assignment");
    for (int64_t i = 0; i < s.pairs; i++) {
        snprintf(number, sizeof number, "%d", s.cluster[i]);
        cJSON_AddNumberToObject(names, number, s.named[i]);
    }
out:
    free(directory);
    deco_npy_free(&found);
    deco_label_score_free(&s);
    return st;
}

/* Of a continuous set. */
static deco_status score_coordinates(score_job *j)
{
    deco_status st = DECO_OK;
    deco_npy found = {0};
    char *directory = NULL;
    double explained;
    int64_t clusters;
    cJSON *to;

    TRY(clustering_of(&directory, j));
    TRY(read_rows(&found, directory, "labels.npy", 'i', j->N, 1));
    if (found.item != 4)
        TRY(deco_fail(DECO_E_FORMAT, "%s/labels.npy: is not of 4-byte whole numbers", directory));
    TRY(deco_coordinates_score(&explained, &clusters, j->coordinate, found.data, j->N));
    to = cJSON_AddObjectToObject(j->report, "clusters");
    cJSON_AddNumberToObject(to, "clusters", (double)clusters);
    cJSON_AddNumberToObject(to, "coordinate_variance_explained", explained);
out:
    free(directory);
    deco_npy_free(&found);
    return st;
}

static deco_status score_rotations(score_job *j)
{
    deco_status st = DECO_OK;
    deco_npy found = {0};
    deco_rotation_score s;
    cJSON *to;

    TRY(read_rows(&found, j->analysis, "rotation.npy", 'f', j->N, 9));
    TRY(deco_rotations_score(&s, j->R, found.data, j->N));
    memcpy(j->Q, s.Q, sizeof j->Q);
    to = cJSON_AddObjectToObject(j->report, "rotations");
    cJSON_AddStringToObject(to, "hand", s.mirrored ? "mirrored" : "same");
    cJSON_AddNumberToObject(to, "median_deg", s.median_deg);
    cJSON_AddNumberToObject(to, "mean_deg", s.mean_deg);
    cJSON_AddNumberToObject(to, "within_5_deg", s.within_5);
    cJSON_AddNumberToObject(to, "within_10_deg", s.within_10);
    cJSON_AddNumberToObject(to, "within_30_deg", s.within_30);
    cJSON_AddNumberToObject(to, "other_hand_median_deg", s.other_hand_median_deg);
out:
    deco_npy_free(&found);
    return st;
}

/* The box that the run's shifts count in: that of its maps. */
static deco_status run_box(double *box, const score_job *j)
{
    deco_status st = DECO_OK;
    char *directory = NULL, *path = NULL;
    deco_mrc *map = NULL;

    TRY(clustering_of(&directory, j));
    if (!(path = deco_path_join(directory, "vol_000.mrc")))
        TRY(deco_fail_memory(64, "a file's name"));
    TRY(deco_mrc_open(&map, path));
    *box = (double)map->nx;
out:
    deco_mrc_close(map);
    free(directory);
    free(path);
    return st;
}

static deco_status score_shifts(score_job *j)
{
    deco_status st = DECO_OK;
    deco_npy found = {0};
    deco_shift_score s;
    double box = 0;
    cJSON *to;

    TRY(read_rows(&found, j->analysis, "shift.npy", 'f', j->N, 2));
    TRY(run_box(&box, j));
    for (int64_t i = 0; i < 2 * j->N && j->box > 0; i++)
        ((float *)found.data)[i] = (float)(((float *)found.data)[i] * j->box / box);
    TRY(deco_shifts_score(&s, j->shift, found.data, j->R, j->N));
    to = cJSON_AddObjectToObject(j->report, "shifts");
    cJSON_AddNumberToObject(to, "median_px", s.median_px);
    cJSON_AddNumberToObject(to, "mean_px", s.mean_px);
    cJSON_AddNumberToObject(to, "raw_median_px", s.raw_median_px);
    cJSON_AddNumberToObject(to, "raw_mean_px", s.raw_mean_px);
    cJSON_AddItemToObject(to, "map_displacement_px", cJSON_CreateDoubleArray(s.displacement_px, 3));
out:
    deco_npy_free(&found);
    return st;
}

/* After the rotations: these say how the maps lie. */
static deco_status score_maps(score_job *j)
{
    deco_status st = DECO_OK;
    deco_npy found = {0};
    char *directory = NULL;

    TRY(clustering_of(&directory, j));
    TRY(read_rows(&found, directory, "labels.npy", 'i', j->N, 1));
    TRY(deco_volumes_score(j->report, &(deco_volumes_input){j->o->truth, cJSON_GetObjectItemCaseSensitive(j->info, "maps"), directory, j->N,
                                                            found.data, j->label, j->coordinate, j->Q}));
out:
    free(directory);
    deco_npy_free(&found);
    return st;
}

static deco_status score_latents(score_job *j)
{
    deco_status st = DECO_OK;
    deco_npy z = {0};
    double purity, chance;
    cJSON *to;
    const char *number = deco_path_name(j->analysis) + strlen("analysis_");
    char *directory = deco_path_join(j->o->outdir, "out"), *name = deco_format("conf.%.*s.npy", (int)strcspn(number, "_"), number),
         *path = NULL;

    if (!directory || !name || !(path = deco_path_join(directory, name)))
        TRY(deco_fail_memory(64, "a file's name"));
    if (!deco_path_exists(path)) /* an analysis of a checkpoint on the way has none */
        goto out;
    TRY(read_rows(&z, directory, name, 'f', j->N, 0));
    if (z.item != 4 || z.dims != 2 || z.shape[1] < 1)
        goto out;
    TRY(deco_latents_score(&purity, &chance, z.data, j->label, j->N, z.shape[1], j->pool));
    to = cJSON_AddObjectToObject(j->report, "latent");
    cJSON_AddNumberToObject(to, "knn", purity);
    cJSON_AddNumberToObject(to, "knn_chance", chance);
out:
    free(directory);
    free(name);
    free(path);
    deco_npy_free(&z);
    return st;
}

static deco_status find_all(score_job *j, const deco_options *given)
{
    deco_status st = DECO_OK;
    char *directory = deco_path_join(j->o->outdir, "out");

    if (!directory)
        TRY(deco_fail_memory(strlen(j->o->outdir), "a folder's name"));
    TRY(read_rows(&j->uid, directory, "uid.npy", 'u', -1, 0));
    j->N = j->uid.count;
    if (j->uid.item != 8 || j->N < 2)
        TRY(deco_fail(DECO_E_FORMAT, "%s/uid.npy: holds no uids, or fewer than 2", directory));
    if (given->analysis)
        j->analysis = deco_path_join(directory, deco_path_name(given->analysis));
    else
        TRY(subset_newest_analysis(&j->analysis, directory));
    if (!j->analysis)
        TRY(deco_fail_memory(strlen(directory), "a folder's name"));
    if (strncmp(deco_path_name(j->analysis), "analysis_", 9) != 0 || !deco_path_is_directory(j->analysis))
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: is no analysis; cryodeco analyze makes one", j->analysis));
out:
    free(directory);
    return st;
}

deco_status deco_job_score(const deco_options *o, deco_monitor *m, bool *wrote, char **out)
{
    deco_status st = DECO_OK;
    score_job j = {0};
    char *text;

    (void)m, (void)wrote; /* nothing is written */
    TRY(deco_job_options(&j.o, o));
    TRY(deco_pool_create(&j.pool, (int)o->threads, NULL));
    TRY(find_all(&j, o));
    if (o->truth)
        TRY(read_truth(&j, o->truth));
    else
        TRY(read_known_labels(&j, o->labels_evaluate));
    j.report = cJSON_CreateObject();
    cJSON_AddStringToObject(j.report, "analysis", deco_path_name(j.analysis));
    cJSON_AddNumberToObject(j.report, "particles", (double)j.N);
    if (j.label) {
        TRY(score_clusters(&j));
        TRY(score_latents(&j));
    }
    if (j.coordinate)
        TRY(score_coordinates(&j));
    if (j.R) {
        TRY(score_rotations(&j));
        TRY(score_shifts(&j));
        TRY(score_maps(&j));
    }
    if (!(text = cJSON_Print(j.report)) || !(*out = deco_format("%s\n", text)))
        TRY(deco_fail_memory(4096, "a report"));
    cJSON_free(text);
out:
    deco_options_free(j.o);
    deco_pool_free(j.pool);
    free(j.analysis);
    deco_npy_free(&j.uid);
    free(j.label);
    free(j.R);
    free(j.shift);
    free(j.coordinate);
    cJSON_Delete(j.info);
    cJSON_Delete(j.report);
    return st;
}
