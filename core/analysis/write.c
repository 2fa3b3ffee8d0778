/* The whole of an analysis, into a directory that appears when it is done. METHOD.md section 7, docs/formats.md. */
#include "analysis/analysis.h"
#include "analysis/answers.h"
#include "analysis/cluster_count.h"
#include "analysis/clustering.h"
#include "analysis/gallery.h"
#include "analysis/hand.h"
#include "analysis/landscape.h"
#include "analysis/run_note.h"
#include "analysis/series.h"
#include "analysis/staging.h"
#include "analysis/subsets.h"
#include "analysis/umap.h"
#include "analysis/volumes.h"
#include "base/file.h"
#include "base/pages.h"
#include "formats/npy.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRAVERSE_POINTS = 10 };

typedef struct analysis {
    const deco_analysis_input *in;
    const deco_options *o;
    deco_options *settled; /* o with a number for k_num, where that is "auto" */
    deco_cluster_count count;
    deco_monitor *m;
    deco_pool *pool;
    int64_t N, Z;
    const char *name;       /* "analysis_99" */
    const float *R, *shift; /* poses in the hand of the maps; NULL: those of the input */
    float *mirrored;        /* [N,9] R, where it is not the input's */
    char *directory;        /* where it is made */
    deco_pca pca;
    float *scores; /* [N,Z] */
    float *plane;  /* [N,2] UMAP for the eye; NULL with Z below 2 */
    float *narrow; /* [N,umap_dim] UMAP to be clustered; NULL where the latents are narrow enough */
} analysis;

/* rotation.npy and shift.npy: the poses that belong to the maps beside them. */
static deco_status write_poses(analysis *a)
{
    deco_status st = DECO_OK;
    int64_t N = a->N;
    char *rotation = deco_path_join(a->directory, "rotation.npy"), *shift = deco_path_join(a->directory, "shift.npy");

    if (!rotation || !shift)
        TRY(deco_fail_memory(strlen(a->directory), "a file's name"));
    if (!a->R || !a->shift)
        goto out;
    if (a->o->flip_hand) {
        TRY(deco_alloc(&a->mirrored, 9 * (size_t)N, sizeof *a->mirrored, "rotations"));
        memcpy(a->mirrored, a->R, 9 * (size_t)N * sizeof *a->R);
        for (int64_t i = 0; i < N; i++)
            deco_pose_mirror(a->mirrored + 9 * i);
        a->R = a->mirrored;
    }
    TRY(deco_npy_write(rotation, "<f4", 3, (const int64_t[]){N, 3, 3}, a->R));
    TRY(deco_npy_write(shift, "<f4", 2, (const int64_t[]){N, 2}, a->shift));
out:
    free(rotation);
    free(shift);
    return st;
}

static deco_status check_latents(const float *z, int64_t N, int64_t Z)
{
    for (int64_t i = 0; i < N * Z; i++)
        if (!isfinite(z[i]))
            return deco_fail(DECO_E_DIVERGED,
                             "the latent of row %lld has %g in dimension %lld; training went astray, and there is nothing to analyse",
                             (long long)(i / Z), z[i], (long long)(i % Z));
    return DECO_OK;
}

static deco_status write_array(const char *directory, const char *name, const char *descr, int dims, int64_t a, int64_t b, const void *data)
{
    char *path = deco_path_join(directory, name);
    int64_t shape[2] = {a, b};
    deco_status st = path ? deco_npy_write(path, descr, dims, shape, data) : deco_fail_memory(strlen(directory), "a file's name");

    free(path);
    return st;
}

static deco_status find_components(analysis *a)
{
    deco_status st = DECO_OK;
    int64_t Z = a->Z;

    TRY(deco_alloc(&a->scores, (size_t)(a->N * Z), sizeof *a->scores, "principal components of the latents"));
    TRY(deco_pca_fit(&a->pca, a->scores, a->in->z, a->N, Z, a->pool));
    deco_info(a->m, "principal components of %lld latents: PC1 has %.1f %% of the variance%s", (long long)a->N, 100 * a->pca.ratio[0],
              a->pca.variance[0] > 0 ? "" : " (all latents are alike)");
    TRY(write_array(a->directory, "z_pca.npy", "<f4", 2, a->N, Z, a->scores));
    TRY(write_array(a->directory, "pca_mean.npy", "<f8", 1, Z, 0, a->pca.mean));
    TRY(write_array(a->directory, "pca_components.npy", "<f8", 2, Z, Z, a->pca.components));
    TRY(write_array(a->directory, "pca_variance.npy", "<f8", 1, Z, 0, a->pca.variance));
out:
    return st;
}

/* A UMAP of the latents to `dim` numbers, into umap.npy or umap_<dim>.npy. */
static deco_status find_layout(const analysis *a, float **out, const deco_neighbours *n, int64_t dim, const char *name)
{
    deco_status st = DECO_OK;
    deco_umap_plan plan = {dim, 0, a->in->seed};

    TRY(deco_alloc(out, (size_t)(a->N * dim), sizeof **out, "a layout of the latents"));
    TRY(deco_umap_fit(*out, &plan, n, a->scores, a->Z, a->pool, a->m));
    TRY(write_array(a->directory, name, "<f4", 2, a->N, dim, *out));
out:
    return st;
}

static deco_status find_layouts(analysis *a)
{
    deco_status st = DECO_OK;
    deco_neighbours n = {0};
    double begun = deco_seconds();
    char name[32];

    if (a->Z < 2)
        return DECO_OK;
    TRY(deco_neighbours_find(&n, a->in->z, a->N, a->Z, DECO_UMAP_NEIGHBOURS, a->in->seed, a->pool, a->m));
    TRY(find_layout(a, &a->plane, &n, 2, "umap.npy"));
    if (a->Z > a->o->umap_dim) {
        snprintf(name, sizeof name, "umap_%lld.npy", (long long)a->o->umap_dim);
        TRY(find_layout(a, &a->narrow, &n, a->o->umap_dim, name));
    }
    deco_info(a->m, "UMAP of %lld latents%s: %.1f s", (long long)a->N, a->narrow ? ", for the eye and for clustering" : "",
              deco_seconds() - begun);
out:
    deco_neighbours_free(&n);
    deco_pages_return(); /* of the neighbours' graphs */
    return st;
}

static deco_gallery gallery_of(const analysis *a)
{
    return (deco_gallery){.z = a->in->z, .scores = a->scores, .umap = a->plane, .pca = &a->pca, .N = a->N, .Z = a->Z, .m = a->m};
}

/* Flipped poses are no longer the input's, whoever found them. */
static deco_subset_input subset_of(const analysis *a)
{
    return (deco_subset_input){a->in->particles, a->in->poses_estimated || a->mirrored, a->R, a->shift, a->name};
}

/* The maps as a volume series, with the particles of each. */
static deco_status write_series(const analysis *a, const char *directory, int64_t component, const double *latent)
{
    deco_status st = DECO_OK;
    deco_subset_input subset = subset_of(a);
    double *place = NULL, end[2] = {0, 0};

    TRY(deco_alloc(&place, (size_t)a->N + 1, sizeof *place, "places along a component"));
    for (int e = 0; e < 2; e++) /* the scores of the first and the last latent */
        for (int64_t j = 0; j < a->Z; j++)
            end[e] += (latent[e * (TRAVERSE_POINTS - 1) * a->Z + j] - a->pca.mean[j]) * a->pca.components[component * a->Z + j];
    deco_places_along(place, a->scores, a->N, a->Z, component, end[0], end[1], TRAVERSE_POINTS);
    TRY(deco_series_write(directory, TRAVERSE_POINTS, a->m));
    TRY(deco_frames_write(directory, deco_path_name(directory), &subset, place, TRAVERSE_POINTS, a->m));
out:
    free(place);
    return st;
}

/* pc<i>_10/: ten maps along a component. */
static deco_status write_traversal(const analysis *a, int64_t component)
{
    deco_status st = DECO_OK;
    deco_gallery gallery = gallery_of(a);
    double *place = NULL;
    char *directory = deco_format("%s/pc%lld_%d", a->directory, (long long)component + 1, TRAVERSE_POINTS);

    if (!directory)
        TRY(deco_fail_memory(strlen(a->directory), "a file's name"));
    TRY(deco_alloc(&place, (size_t)(TRAVERSE_POINTS * a->Z), sizeof *place, "latents along a component"));
    TRY(deco_pca_traverse(place, &a->pca, a->scores, a->N, component, TRAVERSE_POINTS));
    TRY(deco_volumes_write(directory, a->in->model, place, TRAVERSE_POINTS, a->o->flip_hand, NULL, a->m));
    TRY(deco_latents_write(directory, "z_values.txt", place, TRAVERSE_POINTS, a->Z));
    TRY(deco_gallery_traversal(directory, &gallery, component, place, TRAVERSE_POINTS));
    if (a->o->series)
        TRY(write_series(a, directory, component, place));
out:
    free(place);
    free(directory);
    return st;
}

/* centers.txt and centers_ind.txt, and a map at each centre. */
static deco_status write_centres(const analysis *a, const char *directory, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    double *centre = NULL, *row = NULL;
    int64_t K = c->found.K;

    TRY(deco_alloc(&centre, (size_t)(K * a->Z), sizeof *centre, "cluster centres"));
    TRY(deco_alloc(&row, (size_t)K, sizeof *row, "cluster centres"));
    for (int64_t k = 0; k < K; k++) {
        row[k] = (double)c->row[k];
        for (int64_t j = 0; j < a->Z; j++)
            centre[k * a->Z + j] = a->in->z[c->row[k] * a->Z + j];
    }
    TRY(deco_volumes_write(directory, a->in->model, centre, K, a->o->flip_hand, NULL, a->m));
    TRY(deco_latents_write(directory, "centers.txt", centre, K, a->Z));
    TRY(deco_latents_write(directory, "centers_ind.txt", row, K, 1));
out:
    free(centre);
    free(row);
    return st;
}

static const float *what_is_clustered(const analysis *a, int64_t *dims)
{
    *dims = a->narrow ? a->o->umap_dim : a->Z;
    return a->narrow ? a->narrow : a->in->z;
}

/* A number in the place of k_num "auto", for all that follows. */
static deco_status settle_count(analysis *a)
{
    deco_status st = DECO_OK;
    int64_t dims;
    const float *x = what_is_clustered(a, &dims);

    if (a->o->k_num)
        return DECO_OK;
    TRY(deco_cluster_count_find(&a->count, x, a->N, dims, a->o, a->in->seed, a->pool, a->m));
    TRY(deco_cluster_count_write(&a->count, a->directory));
    TRY(deco_options_copy(&a->settled, a->o));
    a->settled->k_num = a->count.K;
    a->o = a->settled;
out:
    return st;
}

/* clustering<K>/, K as asked for. */
static deco_status write_clustering(const analysis *a, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    deco_subset_input subset = subset_of(a);
    char *directory = NULL, *subsets = NULL;
    deco_gallery gallery = gallery_of(a);

    TRY(deco_clustering_directory(&directory, NULL, a->directory, a->o));
    if (!(subsets = deco_path_join(directory, "clustering_cs_star")))
        TRY(deco_fail_memory(strlen(a->directory), "a file's name"));
    TRY(write_centres(a, directory, c));
    TRY(write_array(directory, "labels.npy", "<i4", 1, a->N, 0, c->found.label));
    TRY(write_array(directory, "probability.npy", "<f4", 2, a->N, c->found.K, c->found.probability));
    TRY(deco_gallery_clusters(directory, &gallery, c));
    TRY(deco_subsets_write(subsets, &subset, c));
    for (int64_t k = 0; k < c->found.K; k++)
        deco_info(a->m, "cluster %lld: %lld particles (%.1f %%), centre at row %lld", (long long)k, (long long)c->size[k],
                  100.0 * (double)c->size[k] / (double)a->N, (long long)c->row[k]);
out:
    free(directory);
    free(subsets);
    return st;
}

static deco_status write_maps(const analysis *a, const deco_clustering *c)
{
    int64_t walks = a->Z < 2 ? a->Z : 2;
    deco_status st;

    deco_progress_begin(a->m, "maps", c->found.K + walks * TRAVERSE_POINTS, "maps");
    st = write_clustering(a, c);
    for (int64_t i = 0; i < walks && !st; i++)
        st = write_traversal(a, i);
    deco_progress_end(a->m);
    return st;
}

/* What to believe of the maps in `directory`; `c` NULL: one map of all particles. */
static deco_status answer(const analysis *a, const char *directory, const deco_clustering *c)
{
    deco_answers found = {0};
    int64_t dims;
    const float *x = what_is_clustered(a, &dims);
    deco_answers_input in = {.check = {.particles = a->in->particles,
                                       .R = a->R,
                                       .shift = a->shift,
                                       .label = c ? c->found.label : NULL,
                                       .probability = c ? c->found.probability : NULL,
                                       .K = c ? c->found.K : 1,
                                       .radius = a->in->model->radius,
                                       .pose_radius = a->in->pose_radius,
                                       .poses_given = a->in->poses_given,
                                       .agreement = a->in->starts_agree,
                                       .psize_A = a->in->model->psize_A,
                                       .held_out = a->o->hold_out,
                                       .trained_seed = a->in->trained_seed,
                                       .seed = a->in->seed,
                                       .dev = a->in->model->dev,
                                       .images = a->in->images},
                             .scores = a->scores,
                             .Z = a->Z,
                             .x = x,
                             .dims = dims,
                             .count = a->count,
                             .latents_moved = a->in->latents_moved,
                             .o = a->o};
    deco_status st;

    for (int64_t j = 0; j < a->Z; j++)
        in.latents_spread += a->pca.variance[j];
    in.latents_spread = sqrt(in.latents_spread);
    st = deco_answers_write(&found, directory, &in, a->m);
    deco_answers_free(&found);
    return st;
}

static deco_status write_landscape(const analysis *a)
{
    int64_t D = a->in->model->D;
    deco_landscape_input in = {.model = a->in->model,
                               .z = a->in->z,
                               .N = a->N,
                               .Z = a->Z,
                               .maps = a->o->landscape,
                               .box = a->o->landscape_box < D ? a->o->landscape_box : D,
                               .states = a->o->k_num,
                               .mirror = a->o->flip_hand,
                               .seed = a->in->seed};

    return a->o->landscape ? deco_landscape_write(a->directory, &in, a->m) : DECO_OK;
}

static deco_status write_heterogeneous(analysis *a)
{
    deco_status st = DECO_OK;
    deco_clustering c = {0};
    deco_gallery gallery;
    char *directory = NULL;

    TRY(find_components(a));
    TRY(find_layouts(a));
    gallery = gallery_of(a);
    TRY(deco_gallery_planes(a->directory, &gallery));
    TRY(settle_count(a));
    TRY(deco_clustering_find(&c, a->in->z, a->narrow, a->N, a->Z, a->o, a->in->seed, a->pool, a->m));
    TRY(write_maps(a, &c));
    TRY(write_landscape(a));
    TRY(deco_clustering_directory(&directory, NULL, a->directory, a->o));
    TRY(answer(a, directory, &c));
out:
    free(directory);
    deco_clustering_free(&c);
    return st;
}

char *deco_analysis_directory(const char *outdir, int64_t epoch, const deco_options *o)
{
    return deco_format("%s/out/analysis_%lld%s", outdir, (long long)epoch, o->flip_hand ? "_flipped" : "");
}

deco_status deco_analysis_write(const char *directory, const deco_analysis_input *in, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_staging staging = {0};
    analysis a = {.in = in,
                  .o = o,
                  .m = m,
                  .pool = deco_device_pool(in->model->dev),
                  .N = in->particles->N,
                  .Z = in->model->shape.Z,
                  .name = deco_path_name(directory),
                  .R = in->R,
                  .shift = in->shift};
    deco_hand hand = {in->poses_estimated && deco_searches_poses(o), o->flip_hand};

    TRY(deco_analysis_check(o, a.N, a.Z));
    TRY(check_latents(in->z, a.N, a.Z));
    TRY(deco_staging_begin(&staging, directory, in->patient, m));
    a.directory = staging.path;
    TRY(deco_hand_write(staging.path, &hand, m));
    TRY(deco_run_note_write(staging.path, a.name, in->particles, in->seed));
    TRY(write_poses(&a));
    if (a.Z)
        TRY(write_heterogeneous(&a));
    else { /* one state: one map, nothing to cluster */
        TRY(deco_volumes_write(staging.path, in->model, NULL, 1, o->flip_hand, NULL, m));
        TRY(answer(&a, staging.path, NULL));
    }
    if (in->add)
        TRY(in->add(in->context, staging.path));
    TRY(deco_staging_publish(&staging));
out:
    deco_pca_free(&a.pca);
    free(a.scores);
    free(a.plane);
    free(a.narrow);
    free(a.mirrored);
    deco_options_free(a.settled);
    deco_staging_end(&staging);
    return st;
}
