#include "analysis/landscape.h"
#include "analysis/block.h"
#include "analysis/clustering.h"
#include "analysis/clustering_kinds.h"
#include "analysis/figures.h"
#include "analysis/kmeans.h"
#include "analysis/landscape_maps.h"
#include "analysis/sample.h"
#include "analysis/starts.h"
#include "analysis/volumes.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "formats/npy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Particles looked at for each map, steps of k-means; maps that a particle's place is a mean of; components kept, and written as maps. */
enum { PARTICLES_A_MAP = 50, ITERATIONS = 20, NEAR = 4, COMPONENTS = 20, SHOWN = 3 };

typedef struct landscape {
    const deco_landscape_input *in;
    deco_monitor *m;
    deco_pool *pool;
    char *directory, *path; /* path: of the newest file */
    int64_t n;              /* maps */
    double *latent;         /* [n,Z] that they are decoded at: those of particles */
    int64_t *row;           /* [n] which */
    deco_map_set maps;
    int32_t *nearest;      /* [N] map of each particle's latent */
    double *count;         /* [n] particles of each map */
    float *place;          /* [N,components] of the particles */
    int32_t *state;        /* [n] */
    int64_t *standing;     /* [states] the map that stands for each */
    deco_clustering found; /* the particles, by the states of their maps */
} landscape;

static const char *path_of(landscape *l, const char *name)
{
    free(l->path);
    l->path = deco_path_join(l->directory, name);
    return l->path;
}

static deco_status no_path(const landscape *l) { return deco_fail_memory(strlen(l->directory), "a file's name"); }

/* ---- which latents are decoded ------------------------------------------------------------------------------------- */

/* The particles nearest to the centres that k-means finds among some of them. */
static deco_status choose_latents(landscape *l)
{
    deco_status st = DECO_OK;
    const deco_landscape_input *in = l->in;
    int64_t Z = in->Z, rows = PARTICLES_A_MAP * l->n < in->N ? PARTICLES_A_MAP * l->n : in->N;
    deco_random random = deco_random_at(in->seed, DECO_STREAM_SAMPLE, UINT64_MAX - 1);
    const float *x = NULL;
    float *own = NULL;
    double inertia;

    TRY(deco_alloc(&l->latent, (size_t)(l->n * Z), sizeof *l->latent, "latents of a landscape"));
    TRY(deco_alloc(&l->row, (size_t)l->n, sizeof *l->row, "latents of a landscape"));
    TRY(deco_rows_sample(&x, &own, in->z, in->N, Z, rows, &random));
    TRY(deco_start_centres(l->latent, x, rows, Z, l->n, 0, in->seed, l->pool));
    TRY(deco_kmeans_refine(l->latent, NULL, &inertia, x, rows, Z, l->n, ITERATIONS, l->pool));
    deco_nearest_to_places(l->row, l->latent, l->n, in->z, in->N, Z);
    for (int64_t k = 0; k < l->n; k++)
        for (int64_t j = 0; j < Z; j++)
            l->latent[k * Z + j] = in->z[l->row[k] * Z + j];
out:
    free(own);
    return st;
}

/* ---- where the particles are among the maps ------------------------------------------------------------------------ */

/* Row r of a block from its distances to all maps: nearer ones count for more. */
static void place_row(const landscape *l, int64_t row, const double *d2, double *count)
{
    int64_t near[NEAR] = {0}, C = l->maps.components, found = 0;
    double weight[NEAR] = {0}, all = 0;

    for (int64_t k = 0; k < l->n; k++) {
        int64_t at = found < NEAR ? found++ : NEAR;
        for (; at && d2[near[at - 1] * DECO_BLOCK] > d2[k * DECO_BLOCK]; at--)
            if (at < NEAR)
                near[at] = near[at - 1];
        if (at < NEAR)
            near[at] = k;
    }
    for (int64_t i = 0; i < found; i++)
        all += weight[i] = 1 / (d2[near[i] * DECO_BLOCK] + 1e-30);
    for (int64_t c = 0; c < C; c++) {
        double sum = 0;
        for (int64_t i = 0; i < found; i++)
            sum += weight[i] / all * l->maps.scores[near[i] * C + c];
        l->place[row * C + c] = (float)sum;
    }
    l->nearest[row] = (int32_t)near[0];
    count[near[0]]++;
}

static deco_status place_slab(void *context, const deco_slab *slab)
{
    const landscape *l = context;
    deco_status st = DECO_OK;
    int64_t Z = l->in->Z;
    double *block = NULL, *d2;

    TRY(deco_alloc(&block, (size_t)(Z + l->n) * DECO_BLOCK, sizeof *block, "a block of latents"));
    d2 = block + Z * DECO_BLOCK;
    for (int64_t i = slab->first; i < slab->end; i += DECO_BLOCK) {
        int64_t rows = deco_block_rows(i, slab->end);
        deco_block_load(block, l->in->z, i, rows, Z, NULL);
        for (int64_t k = 0; k < l->n; k++)
            deco_block_distance(d2 + k * DECO_BLOCK, block, l->latent + k * Z, Z);
        for (int64_t r = 0; r < rows; r++)
            place_row(l, i + r, d2 + r, slab->sums);
    }
out:
    free(block);
    return st;
}

static deco_status place_particles(landscape *l)
{
    deco_status st = DECO_OK;
    int64_t N = l->in->N;

    TRY(deco_alloc(&l->nearest, (size_t)N, sizeof *l->nearest, "a landscape"));
    TRY(deco_alloc(&l->place, (size_t)(N * l->maps.components), sizeof *l->place, "a landscape"));
    TRY(deco_alloc(&l->count, (size_t)l->n, sizeof *l->count, "a landscape"));
    TRY(deco_slabs_sum(l->count, l->n, N, place_slab, l, l->pool));
out:
    return st;
}

/* ---- states -------------------------------------------------------------------------------------------------------- */

/* Means [K,components] over each state's maps, by their particles. */
static void state_means(double *mean, const landscape *l, int64_t K)
{
    int64_t C = l->maps.components;

    for (int64_t k = 0; k < K; k++) {
        double all = 0;
        for (int64_t i = 0; i < l->n; i++) {
            double share = l->state[i] == k ? l->count[i] + 1e-9 : 0;
            all += share;
            for (int64_t c = 0; c < C; c++)
                mean[k * C + c] += share * l->maps.scores[i * C + c];
        }
        for (int64_t c = 0; c < C; c++)
            mean[k * C + c] /= all;
    }
}

/* Numbers the states along the dendrogram of their means, as clusters are. */
static deco_status number_states(landscape *l, int64_t K)
{
    deco_status st = DECO_OK;
    double *mean = NULL;
    int32_t *order = NULL, *number = NULL;

    TRY(deco_alloc(&mean, (size_t)(K * l->maps.components), sizeof *mean, "states"));
    TRY(deco_alloc(&order, (size_t)K, sizeof *order, "states"));
    TRY(deco_alloc(&number, (size_t)K, sizeof *number, "states"));
    state_means(mean, l, K);
    TRY(deco_dendrogram_order(order, NULL, mean, K, l->maps.components));
    for (int64_t k = 0; k < K; k++)
        number[order[k]] = (int32_t)k;
    for (int64_t i = 0; i < l->n; i++)
        l->state[i] = number[l->state[i]];
out:
    free(mean);
    free(order);
    free(number);
    return st;
}

/* For each state the map nearest to its mean, among those that particles are near to. */
static deco_status choose_standing(landscape *l, int64_t K)
{
    deco_status st = DECO_OK;
    int64_t C = l->maps.components;
    double *mean = NULL, *least = NULL;

    TRY(deco_alloc(&mean, (size_t)(K * C), sizeof *mean, "states"));
    TRY(deco_alloc(&least, (size_t)K, sizeof *least, "states"));
    TRY(deco_alloc(&l->standing, (size_t)K, sizeof *l->standing, "states"));
    state_means(mean, l, K);
    for (int64_t k = 0; k < K; k++)
        least[k] = INFINITY;
    for (int64_t i = 0; i < l->n; i++) {
        double d2 = l->count[i] > 0 ? 0 : 1e30;
        for (int64_t c = 0; c < C; c++) {
            double d = l->maps.scores[i * C + c] - mean[l->state[i] * C + c];
            d2 += d * d;
        }
        if (d2 < least[l->state[i]]) {
            least[l->state[i]] = d2;
            l->standing[l->state[i]] = i;
        }
    }
out:
    free(mean);
    free(least);
    return st;
}

static deco_status find_states(landscape *l)
{
    deco_status st = DECO_OK;
    int64_t K = l->in->states < l->n ? l->in->states : l->n, C = l->maps.components, N = l->in->N;
    double *centre = NULL, *count = NULL;
    deco_clustering *f = &l->found;

    TRY(deco_alloc(&centre, (size_t)(l->n * C), sizeof *centre, "states"));
    TRY(deco_alloc(&count, (size_t)l->n, sizeof *count, "states"));
    TRY(deco_alloc(&l->state, (size_t)l->n, sizeof *l->state, "states"));
    for (int64_t i = 0; i < l->n * C; i++)
        centre[i] = l->maps.scores[i];
    memcpy(count, l->count, (size_t)l->n * sizeof *count);
    TRY(deco_ward_merge(l->state, centre, count, l->n, K, C));
    TRY(number_states(l, K));
    TRY(choose_standing(l, K));
    f->found = (deco_clusters){.K = K, .N = N};
    f->method = "states of the maps, Ward";
    TRY(deco_alloc(&f->found.label, (size_t)N, sizeof *f->found.label, "states"));
    TRY(deco_alloc(&f->row, (size_t)K, sizeof *f->row, "states"));
    TRY(deco_alloc(&f->size, (size_t)K, sizeof *f->size, "states"));
    for (int64_t i = 0; i < N; i++)
        f->size[f->found.label[i] = l->state[l->nearest[i]]]++;
    for (int64_t k = 0; k < K; k++)
        f->row[k] = l->row[l->standing[k]];
out:
    free(centre);
    free(count);
    return st;
}

/* ---- what is written ----------------------------------------------------------------------------------------------- */

static deco_status put_array(landscape *l, const char *name, const char *descr, int64_t a, int64_t b, const void *data)
{
    const char *path = path_of(l, name);
    return path ? deco_npy_write(path, descr, b ? 2 : 1, (const int64_t[]){a, b}, data) : no_path(l);
}

static deco_status put_rows(const char *directory, const int64_t *row, const int64_t *of, int64_t n)
{
    deco_status st = DECO_OK;
    double *number = NULL;

    TRY(deco_alloc(&number, (size_t)n, sizeof *number, "row numbers"));
    for (int64_t i = 0; i < n; i++)
        number[i] = (double)row[of ? of[i] : i];
    TRY(deco_latents_write(directory, "centers_ind.txt", number, n, 1));
out:
    free(number);
    return st;
}

/* mask.mrc, mean.mrc, component_1.mrc … */
static deco_status put_maps(landscape *l)
{
    deco_status st = DECO_OK;
    const deco_map_set *s = &l->maps;
    int64_t box = s->box, shown = s->components < SHOWN ? s->components : SHOWN;
    float *map = NULL, *ones = NULL;

    TRY(deco_alloc(&map, (size_t)(box * box * box), sizeof *map, "a density map"));
    TRY(deco_alloc(&ones, (size_t)s->voxels, sizeof *ones, "a mask"));
    for (int64_t v = 0; v < s->voxels; v++)
        ones[v] = 1;
    for (int64_t k = -2; k < shown; k++) {
        char name[32];
        snprintf(name, sizeof name, k == -2 ? "mask.mrc" : k == -1 ? "mean.mrc" : "component_%lld.mrc", (long long)k + 1);
        deco_map_set_spread(map, s, k == -2 ? ones : k == -1 ? s->mean : s->direction + k * s->voxels);
        TRY(path_of(l, name) ? deco_mrc_write_volume(l->path, map, box, box, box, s->psize_A, "cryodeco") : no_path(l));
    }
out:
    free(map);
    free(ones);
    return st;
}

/* states/: the map that stands for each, at full size. */
static deco_status put_states(landscape *l)
{
    deco_status st = DECO_OK;
    int64_t K = l->found.found.K, Z = l->in->Z;
    char *states = deco_path_join(l->directory, "states");
    double *latent = NULL;

    if (!states)
        TRY(no_path(l));
    TRY(deco_alloc(&latent, (size_t)(K * Z), sizeof *latent, "latents of states"));
    for (int64_t k = 0; k < K; k++)
        memcpy(latent + k * Z, l->latent + l->standing[k] * Z, (size_t)Z * sizeof *latent);
    TRY(deco_volumes_write(states, l->in->model, latent, K, l->in->mirror, NULL, l->m));
    TRY(deco_latents_write(states, "centers.txt", latent, K, Z));
    TRY(put_rows(states, l->row, l->standing, K));
out:
    free(states);
    free(latent);
    return st;
}

static deco_status draw(landscape *l)
{
    deco_status st = DECO_OK;
    deco_plane plane = {.at = l->place, .N = l->in->N, .stride = l->maps.components, .what = "landscape of maps"};

    for (int i = 0; i < 2 && i < l->maps.components; i++)
        snprintf(plane.label[i], sizeof plane.label[i], "component %d of the maps (%.1f %% of variance)", i + 1, 100 * l->maps.ratio[i]);
    TRY(path_of(l, "landscape.png") ? deco_figure_optional(deco_figure_clusters(l->path, &plane, &l->found), l->m) : no_path(l));
    TRY(path_of(l, "landscape_density.png") ? deco_figure_optional(deco_figure_density(l->path, &plane), l->m) : no_path(l));
out:
    return st;
}

static deco_status put_numbers(landscape *l)
{
    deco_status st = DECO_OK;
    int64_t N = l->in->N, C = l->maps.components;

    TRY(put_array(l, "labels.npy", "<i4", N, 0, l->found.found.label));
    TRY(put_array(l, "nearest_map.npy", "<i4", N, 0, l->nearest));
    TRY(put_array(l, "place.npy", "<f4", N, C, l->place));
    TRY(put_array(l, "map_scores.npy", "<f4", l->n, C, l->maps.scores));
    TRY(put_array(l, "map_states.npy", "<i4", l->n, 0, l->state));
    TRY(put_array(l, "variance_ratio.npy", "<f8", C, 0, l->maps.ratio));
    TRY(deco_latents_write(l->directory, "centers.txt", l->latent, l->n, l->in->Z));
    TRY(put_rows(l->directory, l->row, NULL, l->n));
out:
    return st;
}

static void say(const landscape *l)
{
    const deco_map_set *s = &l->maps;
    double all = (double)s->box * (double)s->box * (double)s->box;

    deco_info(l->m,
              "landscape: %lld maps of %lld px (%.3g A), compared in %.0f %% of the box; %.0f %% of their variance is along the first "
              "component, %.0f %% along the second",
              (long long)s->n, (long long)s->box, s->psize_A, 100 * (double)s->voxels / all, 100 * s->ratio[0],
              s->components > 1 ? 100 * s->ratio[1] : 0);
    for (int64_t k = 0; k < l->found.found.K; k++)
        deco_info(l->m, "landscape: state %lld: %lld particles (%.1f %%), its map at row %lld", (long long)k, (long long)l->found.size[k],
                  100.0 * (double)l->found.size[k] / (double)l->in->N, (long long)l->found.row[k]);
}

deco_status deco_landscape_write(const char *directory, const deco_landscape_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    landscape l = {.in = in, .m = m, .pool = deco_device_pool(in->model->dev), .n = in->maps < in->N ? in->maps : in->N};

    if (l.n < 2)
        return deco_fail(DECO_E_ARGUMENT, "a landscape of %lld maps; at least 2 are needed, of as many particles", (long long)l.n);
    if (!(l.directory = deco_path_join(directory, "landscape")))
        return deco_fail_memory(strlen(directory), "a folder's name");
    TRY(deco_directory_make(l.directory));
    TRY(choose_latents(&l));
    deco_progress_begin(m, "landscape", l.n + (in->states < l.n ? in->states : l.n), "maps");
    TRY(deco_map_set_decode(&l.maps, in->model, l.latent, l.n, in->box, in->mirror, m));
    TRY(deco_map_set_components(&l.maps, COMPONENTS, l.pool));
    TRY(place_particles(&l));
    TRY(find_states(&l));
    TRY(put_numbers(&l));
    TRY(put_maps(&l));
    TRY(put_states(&l));
    TRY(draw(&l));
    deco_progress_end(m);
    say(&l);
out:
    deco_progress_end(m);
    deco_map_set_free(&l.maps);
    deco_clustering_free(&l.found);
    free(l.directory);
    free(l.path);
    free(l.latent);
    free(l.row);
    free(l.nearest);
    free(l.count);
    free(l.place);
    free(l.state);
    free(l.standing);
    return st;
}
