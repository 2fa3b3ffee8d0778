#include "analysis/validation.h"
#include "analysis/difference.h"
#include "analysis/figures.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "training/hold_out.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Clusters whose maps differ less are too much alike to hold a map against both. */
static const double told_apart = 0.1;
enum { FEWEST_UNSEEN = 20 };

typedef struct validation {
    const deco_validation_input *in;
    const char *maps; /* directory of vol_000.mrc … */
    char *directory;
    deco_monitor *m;
    deco_half_sets halves;
    deco_mask *mask;
    float *weight; /* [N] or NULL */
    int64_t *row;  /* [N] rows of the cluster at hand */
    int64_t n;
    deco_low_shells *low; /* [K] */
    deco_validation *out;
} validation;

void deco_validation_free(deco_validation *v)
{
    for (int64_t k = 0; v->check && k < v->K; k++)
        deco_cluster_check_free(&v->check[k]);
    free(v->check);
    *v = (deco_validation){0};
}

static bool is_member(const deco_validation_input *in, int64_t row, int64_t k) { return !in->label || in->label[row] == k; }

/* A particle counts by how sure it is of its cluster. */
static deco_status find_weights(validation *v)
{
    deco_status st = DECO_OK;
    const deco_validation_input *in = v->in;

    if (!in->probability || !in->label)
        return DECO_OK;
    TRY(deco_alloc(&v->weight, (size_t)in->particles->N, sizeof *v->weight, "weights of particles"));
    for (int64_t i = 0; i < in->particles->N; i++)
        v->weight[i] = in->label[i] >= 0 && in->label[i] < in->K ? in->probability[i * in->K + in->label[i]] : 0;
out:
    return st;
}

/* The decoder's map as the analysis wrote it; NULL where there is none (an analysis without maps). */
static deco_status read_decoded(float **out, const validation *v, int64_t k)
{
    deco_status st = DECO_OK;
    int64_t D = v->in->particles->D;
    deco_mrc *file = NULL;
    char *path = deco_format("%s/vol_%03lld.mrc", v->maps, (long long)k);

    *out = NULL;
    if (!path)
        TRY(deco_fail_memory(strlen(v->maps), "a file's name"));
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_mrc_open(&file, path));
    if (file->nx != D || file->ny != D || file->nz != D)
        goto out;
    TRY(deco_alloc(out, (size_t)(D * D * D), sizeof **out, "a map"));
    TRY(deco_mrc_read(file, *out, 0, D));
out:
    deco_mrc_close(file);
    free(path);
    return st;
}

static deco_status draw_curves(const validation *v, const deco_cluster_check *c)
{
    deco_status st = DECO_OK;
    int64_t D = v->in->particles->D;
    deco_fsc_line line[DECO_CURVES];
    int lines = 0;
    char title[160], at[64], *path = deco_format("%s/fsc_%03lld.png", v->directory, (long long)c->number);

    if (!path)
        TRY(deco_fail_memory(strlen(v->directory), "a file's name"));
    line[lines++] = (deco_fsc_line){"half maps, no mask", deco_check_curve_of(c, DECO_CURVE_HALF, D), 0};
    line[lines++] = (deco_fsc_line){"half maps, corrected", deco_check_curve_of(c, DECO_CURVE_CORRECTED, D), 1};
    line[lines++] = (deco_fsc_line){"random phases, masked", deco_check_curve_of(c, DECO_CURVE_RANDOMISED, D), 2};
    if (c->twin.made) {
        line[lines++] = (deco_fsc_line){"decoder and its twin", deco_check_curve_of(c, DECO_CURVE_DECODER, D), 4};
        line[lines++] = (deco_fsc_line){"expected of that", deco_check_curve_of(c, DECO_CURVE_EXPECTED, D), 5};
    }
    deco_resolution_text(at, sizeof at, c->masked_0143, v->out);
    if (v->in->label)
        snprintf(title, sizeof title, "Cluster %lld: half maps agree to %s (0.143)", (long long)c->number, at);
    else
        snprintf(title, sizeof title, "Half maps agree to %s (0.143)", at);
    TRY(deco_figure_optional(deco_figure_fsc(path, title, line, lines, c->last + 1, (double)D * v->in->psize_A), v->m));
out:
    free(path);
    return st;
}

static deco_status draw_views(const validation *v, int64_t k)
{
    deco_status st = DECO_OK;
    float *R = NULL;
    char *path = deco_format("%s/views_%03lld.png", v->directory, (long long)k);

    if (!path)
        TRY(deco_fail_memory(strlen(v->directory), "a file's name"));
    TRY(deco_alloc(&R, 9 * (size_t)v->n, sizeof *R, "rotations"));
    for (int64_t i = 0; i < v->n; i++)
        memcpy(R + 9 * i, v->in->R + 9 * v->row[i], 9 * sizeof *R);
    TRY(deco_figure_optional(deco_figure_views(path, R, v->n), v->m));
out:
    free(R);
    free(path);
    return st;
}

static double mean_membership(const validation *v)
{
    double sum = 0;

    for (int64_t i = 0; i < v->n; i++)
        sum += v->weight ? v->weight[v->row[i]] : 1;
    return v->n ? sum / (double)v->n : NAN;
}

/* The decoder map's mean FSC with the back-projection of some of the cluster's rows. */
static deco_status fsc_with(double *out, validation *v, const deco_twin *t, const float *decoded, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    const deco_validation_input *in = v->in;
    deco_back_projection b = {0};
    int64_t last = t->shells > 1 ? t->shells : 1;

    TRY(deco_back_project(
        &b, &(deco_back_projection_input){in->particles, v->mask, in->R, in->shift, v->weight, v->halves.of, row, n, in->images}, in->dev,
        v->m));
    TRY(deco_twin_fsc(out, decoded, &b, last, in->dev));
out:
    deco_back_projection_free(&b);
    return st;
}

/* What the decoder has not been trained on against as many that it has: the same but for its memory of their noise. */
static deco_status check_unseen(validation *v, deco_twin *t, const float *decoded)
{
    deco_status st = DECO_OK;
    const deco_validation_input *in = v->in;
    int64_t *row = NULL, unseen = 0, seen = 0;

    if (!(in->held_out > 0))
        return DECO_OK;
    TRY(deco_alloc(&row, (size_t)v->n + 1, sizeof *row, "particles held out"));
    for (int64_t i = 0; i < v->n; i++) /* those unseen from the front, the others from the back */
        if (deco_is_held_out(in->trained_seed, v->row[i], in->held_out))
            row[unseen++] = v->row[i];
        else
            row[v->n - ++seen] = v->row[i];
    if (unseen < FEWEST_UNSEEN || seen < unseen)
        goto out;
    TRY(fsc_with(&t->fsc_unseen, v, t, decoded, row, unseen));
    for (int64_t i = 0; i < unseen; i++) /* evenly from all that are seen */
        row[i] = row[v->n - 1 - i * seen / unseen];
    TRY(fsc_with(&t->fsc_seen, v, t, decoded, row, unseen));
    t->unseen = unseen;
out:
    free(row);
    return st;
}

static deco_status check_cluster(validation *v, int64_t k)
{
    deco_status st = DECO_OK;
    const deco_validation_input *in = v->in;
    deco_back_projection b = {0};
    float *decoded = NULL;

    v->n = 0;
    for (int64_t i = 0; i < in->particles->N; i++)
        if (is_member(in, i, k))
            v->row[v->n++] = i;
    TRY(deco_back_project(
        &b, &(deco_back_projection_input){in->particles, v->mask, in->R, in->shift, v->weight, v->halves.of, v->row, v->n, in->images},
        in->dev, v->m));
    TRY(read_decoded(&decoded, v, k));
    TRY(deco_low_shells_take(&v->low[k], &b, decoded, in->dev));
    TRY(deco_cluster_check_make(&v->out->check[k], v->directory, k, &b, decoded, in->psize_A, in->seed, in->dev));
    if (v->out->check[k].twin.made)
        TRY(check_unseen(v, &v->out->check[k].twin, decoded));
    v->out->check[k].membership = v->weight ? mean_membership(v) : NAN;
    if (v->out->check[k].compared)
        TRY(draw_curves(v, &v->out->check[k]));
    TRY(draw_views(v, k));
out:
    free(decoded);
    deco_back_projection_free(&b);
    return st;
}

/* Each two clusters' particles against each other, and each map against other clusters' particles. */
static void compare_clusters(validation *v)
{
    for (int64_t a = 0; a < v->in->K; a++)
        for (int64_t b = 0; b < v->in->K; b++) {
            deco_cluster_check *c = &v->out->check[a];
            double differ, way;
            if (a == b || !c->compared || !v->out->check[b].compared)
                continue;
            differ = deco_difference(&v->low[a], &v->low[b]);
            v->out->difference = fmax(v->out->difference, differ);
            way = differ >= told_apart && c->twin.made ? deco_way_from(&v->low[a], &v->low[b], c->twin.shells) : NAN;
            if (isfinite(way) && !(way > c->way)) {
                c->way = way;
                c->rival = b;
            }
        }
}

static deco_status check_all(validation *v)
{
    deco_status st = DECO_OK;
    const deco_validation_input *in = v->in;
    int64_t N = in->particles->N;

    TRY(deco_mask_create(&v->mask, in->particles->D + 1, in->particles->D / 2));
    TRY(deco_half_sets_find(&v->halves, in->particles, in->label, in->seed));
    TRY(find_weights(v));
    TRY(deco_alloc(&v->row, (size_t)N, sizeof *v->row, "rows of a cluster"));
    TRY(deco_alloc(&v->out->check, (size_t)in->K, sizeof *v->out->check, "checks"));
    TRY(deco_alloc(&v->low, (size_t)in->K, sizeof *v->low, "low shells"));
    v->out->K = in->K;
    v->out->halves_drawn = v->halves.drawn;
    TRY(deco_directory_make(v->directory));
    for (int64_t k = 0; k < in->K; k++)
        TRY(check_cluster(v, k));
    compare_clusters(v);
    TRY(deco_validation_write_json(v->out, v->directory));
out:
    return st;
}

deco_status deco_validation_write(deco_validation *out, const char *directory, const deco_validation_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    validation v = {.in = in, .maps = directory, .m = m, .out = out};

    *out = (deco_validation){.D = in->particles->D,
                             .radius = in->radius,
                             .pose_radius = in->pose_radius,
                             .poses_given = in->poses_given,
                             .psize_A = in->psize_A,
                             .agreement = in->agreement};
    if (!in->particles->stack) {
        deco_warn(m, "the images are not there, so no cluster was held against its own particles (no validation/); all else is whole");
        return DECO_OK;
    }
    if (!(v.directory = deco_path_join(directory, "validation")))
        TRY(deco_fail_memory(strlen(directory), "a folder's name"));
    deco_progress_begin(m, "back-projection", in->particles->N + (int64_t)(2 * in->held_out * (double)in->particles->N), "images");
    st = check_all(&v);
    deco_progress_end(m);
out:
    deco_half_sets_free(&v.halves);
    deco_mask_free(v.mask);
    for (int64_t k = 0; v.low && k < in->K; k++)
        deco_low_shells_free(&v.low[k]);
    free(v.low);
    free(v.weight);
    free(v.row);
    free(v.directory);
    if (st)
        deco_validation_free(out);
    return st;
}
