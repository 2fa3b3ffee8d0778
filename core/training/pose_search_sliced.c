/* The sliced pose search: its memory, level 0, and a batch's way through all levels. */
#include "training/pose_search_sliced.h"

#include "formulas/rotation.h"
#include "geometry/quarter_turn.h"
#include <stdlib.h>
#include <string.h>

enum { GROUP_IMAGES = 64 }; /* that share a block of slices: making one costs about as much as scoring it against one image */

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static deco_status check_config(const deco_model *m, const deco_mask *mask, const deco_search_grid *g, const deco_search_sliced_config *c,
                                int64_t batch)
{
    if (m->shape.L != mask->L || m->D + 1 != mask->L)
        return deco_fail(DECO_E_ARGUMENT, "pose search: a mask on a lattice of %lld points and a model of %lld", (long long)mask->L,
                         (long long)m->shape.L);
    if (g->base_healpy < 1 || g->base_healpy > 6 || g->n_iter < 0 || g->n_iter >= DECO_SLICED_LEVELS)
        return deco_fail(DECO_E_ARGUMENT, "pose search: base_healpy %lld and n_iter %lld; there are 1 to 6 and 0 to %d",
                         (long long)g->base_healpy, (long long)g->n_iter, DECO_SLICED_LEVELS - 1);
    if (g->n_kept < 1 || g->t_n_grid < 1 || g->t_n_grid > 64 || g->l_start < 1 || g->l_end < 1 || batch < 1 || batch > INT32_MAX)
        return deco_fail(DECO_E_ARGUMENT,
                         "pose search: n_kept_poses %lld, t_n_grid %lld, l_start %lld, l_end %lld, a batch of %lld; all are above 0, "
                         "t_n_grid at most 64",
                         (long long)g->n_kept, (long long)g->t_n_grid, (long long)g->l_start, (long long)g->l_end, (long long)batch);
    if (mask->radius < (g->l_end < mask->L / 2 ? g->l_end : mask->L / 2) ||
        (g->n_iter > 0 && mask->radius < (g->l_start < mask->L / 2 ? g->l_start : mask->L / 2)))
        return deco_fail(DECO_E_ARGUMENT, "pose search: levels of radius %lld to %lld in a mask of radius %lld", (long long)g->l_start,
                         (long long)g->l_end, (long long)mask->radius);
    if (c->oversampling < 1 || c->oversampling > 4 || c->centroids < 1 || c->centroids > 4096 || c->rescore < 0 || c->rescore > 4096 ||
        c->newton_steps < 0 || c->base_shift_axis < 0 || c->base_shift_axis > 2048 || !(c->shift_prior_px >= 0))
        return deco_fail(DECO_E_ARGUMENT,
                         "pose search: oversampling %lld, %lld centroids, %lld finalists, %lld Gauss–Newton steps, %lld shifts an "
                         "axis, shift prior %g px are out of range",
                         (long long)c->oversampling, (long long)c->centroids, (long long)c->rescore, (long long)c->newton_steps,
                         (long long)c->base_shift_axis, c->shift_prior_px);
    return DECO_OK;
}

static size_t in_lines(int64_t numbers) { return ((size_t)numbers + 15) & ~(size_t)15; }

/* The worker's numbers out of one block whose parts begin on cache lines. */
static deco_status scratch_create(deco_sliced_scratch *w, const deco_search_sliced *s)
{
    deco_status st = DECO_OK;
    const deco_half_plane *base = &s->level[0].half, *widest = &s->level[s->widest].half;
    const deco_orbit_grid *grid = &s->searched.orbit;
    size_t wide = in_lines(widest->padded + DECO_HALF_STEP), narrow = in_lines(DECO_SNAPSHOT_LANES * base->points);
    float **part[] = {&w->slices,         &w->power,    &w->orbit,          &w->phase,     &w->plain.at,
                      &w->plain.opposite, &w->image.at, &w->image.opposite, &w->half_ctf2, &w->ctf};
    size_t size[] = {2 * narrow,
                     narrow,
                     in_lines((int64_t)deco_orbit_scratch(grid)),
                     in_lines((int64_t)deco_shift_scratch(widest)),
                     wide,
                     wide,
                     wide,
                     wide,
                     wide,
                     wide};
    size_t sum = 16, at = 0;

    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        sum += size[i];
    TRY(deco_alloc(&w->block, sum, sizeof *w->block, "pose search"));
    float *aligned = w->block + (64 - (uintptr_t)w->block % 64) % 64 / sizeof *w->block;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        *part[i] = aligned + at;
        at += size[i];
    }
    TRY(deco_alloc(&w->best, (size_t)s->batch, sizeof *w->best, "pose search"));
    TRY(deco_alloc(&w->poses, (size_t)(s->batch * s->grid.n_kept), sizeof *w->poses, "pose search"));
    TRY(deco_alloc(&w->next, (size_t)s->room, sizeof *w->next, "pose search"));
    for (int64_t b = 0; b < s->batch; b++)
        w->best[b] = (deco_search_best){w->poses + b * s->grid.n_kept, 0, s->grid.n_kept};
out:
    return st;
}

static deco_status batch_create(deco_search_sliced *s)
{
    deco_status st = DECO_OK;
    size_t B = (size_t)s->batch;

    TRY(deco_alloc(&s->centroid, B, sizeof *s->centroid, "pose search"));
    TRY(deco_alloc(&s->order, B, sizeof *s->order, "pose search"));
    TRY(deco_alloc(&s->group, B, sizeof *s->group, "pose search"));
    TRY(deco_alloc(&s->ctf, B, (size_t)s->level[s->widest].half.padded * sizeof *s->ctf, "pose search"));
    TRY(deco_alloc(&s->level0, B, 3 * (size_t)s->level[0].half.padded * sizeof *s->level0, "pose search"));
    TRY(deco_alloc(&s->best, B, sizeof *s->best, "pose search"));
    TRY(deco_alloc(&s->poses, B, (size_t)s->room * sizeof *s->poses, "pose search"));
    TRY(deco_alloc(&s->found_R, B, 9 * sizeof *s->found_R, "pose search"));
    TRY(deco_alloc(&s->found_shift, B, 2 * sizeof *s->found_shift, "pose search"));
    TRY(deco_alloc(&s->found_score, B, sizeof *s->found_score, "pose search"));
    for (int64_t b = 0; b < s->batch; b++)
        s->best[b] = (deco_search_best){s->poses + b * s->room, 0, s->room};
out:
    return st;
}

deco_status deco_search_sliced_create(deco_search_sliced **out, deco_model *m, const deco_mask *mask, const deco_search_grid *grid,
                                      const deco_search_sliced_config *c, int64_t batch)
{
    deco_status st = DECO_OK;
    deco_search_sliced *s = NULL;

    *out = NULL;
    TRY(check_config(m, mask, grid, c, batch));
    TRY(deco_alloc(&s, 1, sizeof *s, "pose search"));
    s->m = m;
    s->kernels = deco_snapshot_best();
    s->grid = *grid;
    s->config = *c;
    s->config.centroids = m->shape.Z ? c->centroids : 1;
    s->batch = batch;
    s->P = mask->P;
    s->room = grid->n_kept > c->rescore ? grid->n_kept : c->rescore;
    s->quarter = deco_so3_quarter((int)grid->base_healpy);
    s->orbits = deco_so3_directions((int)grid->base_healpy) * s->quarter;
    s->threads = deco_pool_threads(deco_device_pool(m->dev));
    TRY(deco_sliced_plan_create(s, mask));
    TRY(deco_sliced_snapshots_create(s));
    TRY(batch_create(s));
    TRY(deco_alloc(&s->scratch, (size_t)s->threads, sizeof *s->scratch, "pose search"));
    for (int64_t i = 0; i < s->threads; i++)
        TRY(scratch_create(&s->scratch[i], s));
    if (c->rescore)
        TRY(deco_sliced_exact_create(s));
    *out = s;
    s = NULL;
out:
    deco_search_sliced_free(s);
    return st;
}

void deco_search_sliced_free(deco_search_sliced *s)
{
    if (!s)
        return;
    for (int64_t i = 0; s->scratch && i < s->threads; i++) {
        free(s->scratch[i].block);
        free(s->scratch[i].best);
        free(s->scratch[i].poses);
        free(s->scratch[i].next);
    }
    void *all[] = {s->scratch, s->centroid, s->order,   s->group,       s->ctf,        s->level0,
                   s->best,    s->poses,    s->found_R, s->found_shift, s->found_score};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    deco_sliced_exact_free(s);
    deco_sliced_snapshots_free(s);
    deco_sliced_plan_free(s);
    free(s);
}

/* ---- level 0 ----------------------------------------------------------------------------------------------------- */

/* Orbits of the base grid are counted by direction and its first quarter of angles. */
static int64_t rotation_of(const deco_search_sliced *s, int64_t orbit, int turn)
{
    return deco_so3_number((int)s->grid.base_healpy, orbit / s->quarter, orbit % s->quarter + turn * s->quarter);
}

/* Images by centroid, at most GROUP_IMAGES a group; within one, in their order. */
static void group_images(deco_search_sliced *s, int64_t B)
{
    int64_t at = 0;

    s->groups = 0;
    for (int64_t c = 0; c < s->config.centroids; c++) {
        int64_t first = at;
        for (int64_t b = 0; b < B; b++)
            if (s->centroid[b] == c)
                s->order[at++] = b;
        for (int64_t i = first; i < at; i += GROUP_IMAGES)
            s->group[s->groups++] = (deco_sliced_group){i, at - i < GROUP_IMAGES ? at - i : GROUP_IMAGES, c};
    }
}

/* The slices at block `index` of the base grid; the last block ends with its last orbit again. */
static void slice_block(const deco_search_sliced *s, int64_t index, int64_t centroid, deco_sliced_scratch *w)
{
    int order = (int)s->grid.base_healpy, lanes = s->kernels->lanes;
    float R[DECO_SNAPSHOT_LANES][9];

    for (int i = 0; i < lanes; i++) {
        int64_t orbit = index * lanes + i;
        double q[4], matrix[9];
        deco_so3_quaternion(q, order, rotation_of(s, orbit < s->orbits ? orbit : s->orbits - 1, 0));
        deco_rotation_from_quaternion(matrix, q);
        for (int j = 0; j < 9; j++)
            R[i][j] = (float)matrix[j];
    }
    s->kernels->block(w->slices, w->power, &s->snapshot[centroid], (const float(*)[9])R, &s->level[0].half);
}

/* Offers what a block's slices and their turns score with one image. */
static void offer_block(const deco_search_sliced *s, int64_t index, int64_t image, deco_sliced_scratch *w)
{
    const deco_sliced_base *base = deco_sliced_shift_known(s) ? &s->fixed : &s->searched;
    int lanes = s->kernels->lanes;
    int64_t padded = s->level[0].half.padded;
    float *of = s->level0 + image * 3 * padded, score[4 * DECO_SNAPSHOT_LANES];
    int32_t shift[4 * DECO_SNAPSHOT_LANES];
    deco_search_best *best = &w->best[image];

    s->kernels->orbits(score, shift, w->slices, w->power, (deco_half_image){of, of + padded}, of + 2 * padded, &base->orbit, w->orbit);
    for (int i = 0; i < 4 * lanes; i++) {
        int64_t orbit = index * lanes + i % lanes;
        if (orbit >= s->orbits || (best->kept == best->room && score[i] > best->pose[best->kept - 1].score))
            continue;
        double t[2];
        deco_shift_grid_at(t, base->grid, shift[i]);
        deco_search_pose pose = {rotation_of(s, orbit, i / lanes), {(float)t[0], (float)t[1]}, score[i]};
        deco_search_offer(best, pose);
    }
}

static int64_t blocks_of(const deco_search_sliced *s)
{
    int64_t lanes = s->kernels->lanes;
    return (s->orbits + lanes - 1) / lanes;
}

static deco_status score_block(void *context, int64_t task, int worker)
{
    deco_search_sliced *s = context;
    const deco_sliced_group *g = &s->group[task / blocks_of(s)];
    deco_sliced_scratch *w = &s->scratch[worker];
    int64_t index = task % blocks_of(s);

    slice_block(s, index, g->centroid, w);
    for (int64_t i = 0; i < g->count; i++)
        offer_block(s, index, s->order[g->first + i], w);
    return DECO_OK;
}

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

static deco_status begin_image(void *context, int64_t image, int worker)
{
    deco_search_sliced *s = context;
    deco_sliced_image_begin(s, image, &s->scratch[worker]);
    return DECO_OK;
}

/* What the workers found, together: the order of offers changes nothing. Known shifts are in the images already. */
static void join_best(deco_search_sliced *s, int64_t image)
{
    deco_search_best *best = &s->best[image];

    best->kept = 0;
    best->room = s->levels > 1 ? s->grid.n_kept : s->room;
    for (int64_t i = 0; i < s->threads; i++)
        for (int64_t j = 0; j < s->scratch[i].best[image].kept; j++)
            deco_search_offer(best, s->scratch[i].best[image].pose[j]);
    for (int64_t j = 0; s->in->shift && j < best->kept; j++)
        memcpy(best->pose[j].shift, s->in->shift + 2 * image, 2 * sizeof *best->pose[j].shift);
}

/* The best pose as matrix, where the finish begins. */
static void take_best(deco_search_sliced *s, int64_t image)
{
    const deco_search_pose *pose = s->best[image].pose;
    double q[4], R[9];

    deco_so3_quaternion(q, (int)(s->grid.base_healpy + s->levels - 1), pose->rotation);
    deco_rotation_from_quaternion(R, q);
    for (int i = 0; i < 9; i++)
        s->found_R[9 * image + i] = (float)R[i];
    memcpy(s->found_shift + 2 * image, pose->shift, sizeof pose->shift);
    s->found_score[image] = pose->score;
}

static deco_status check_score(float score, int64_t image)
{
    if (!isfinite(score))
        return deco_fail(DECO_E_DIVERGED, "pose search: image %lld of the batch, or the decoder at its latent, is not finite",
                         (long long)image);
    return DECO_OK;
}

static deco_status check_found(const deco_search_sliced *s, int64_t image)
{
    return check_score(s->best[image].kept ? s->best[image].pose[0].score : NAN, image);
}

static deco_status search_image(void *context, int64_t image, int worker)
{
    deco_status st = DECO_OK;
    deco_search_sliced *s = context;

    join_best(s, image);
    TRY(check_found(s, image));
    deco_sliced_image_levels(s, image, &s->scratch[worker]);
    TRY(check_found(s, image));
    take_best(s, image);
out:
    return st;
}

typedef struct newton_task {
    deco_search_sliced *s;
    int64_t steps;
    bool fresh; /* CTF and centroid are still to be worked out */
} newton_task;

static deco_status newton_image(void *context, int64_t image, int worker)
{
    const newton_task *t = context;

    if (t->fresh)
        deco_sliced_image_begin(t->s, image, &t->s->scratch[worker]);
    deco_sliced_newton(t->s, image, t->steps, &t->s->scratch[worker]);
    return check_score(t->s->found_score[image], image);
}

static deco_status check_input(const deco_search_sliced *s, const deco_search_input *in)
{
    if (in->B < 1 || in->B > s->batch)
        return deco_fail(DECO_E_ARGUMENT, "pose search: a batch of %lld images; this search takes 1 to %lld", (long long)in->B,
                         (long long)s->batch);
    if (s->m->shape.Z && !in->z)
        return deco_fail(DECO_E_ARGUMENT, "pose search: a batch without latents; the model has %lld", (long long)s->m->shape.Z);
    if (!s->renewed)
        return deco_fail(DECO_E_ARGUMENT, "pose search: no snapshot has been taken yet");
    for (int64_t i = 0; in->shift && i < 2 * in->B; i++)
        if (!isfinite(in->shift[i]))
            return deco_fail(DECO_E_ARGUMENT, "pose search: the known shift of image %lld of the batch is %g", (long long)(i / 2),
                             (double)in->shift[i]);
    return DECO_OK;
}

static void hand_out(const deco_search_sliced *s)
{
    size_t B = (size_t)s->in->B;

    memcpy(s->out->R, s->found_R, B * 9 * sizeof *s->found_R);
    memcpy(s->out->shift, s->found_shift, B * 2 * sizeof *s->found_shift);
    if (s->out->score)
        memcpy(s->out->score, s->found_score, B * sizeof *s->found_score);
}

deco_status deco_search_sliced_run(deco_search_sliced *s, const deco_search_input *in, const deco_search_output *out,
                                   deco_search_level *levels)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(s->m->dev);

    TRY(check_input(s, in));
    s->in = in;
    s->out = out;
    s->kept_levels = levels;
    for (int64_t i = 0; levels && i < s->levels; i++)
        levels[i].kept = i + 1 < s->levels || s->config.rescore > s->grid.n_kept ? s->grid.n_kept
                         : s->config.rescore > 1                                 ? s->config.rescore
                                                                                 : 1;
    for (int64_t i = 0; i < s->threads; i++)
        for (int64_t b = 0; b < in->B; b++)
            s->scratch[i].best[b].kept = 0;
    TRY(deco_pool_run(pool, begin_image, s, in->B));
    group_images(s, in->B);
    TRY(deco_pool_run(pool, score_block, s, s->groups * blocks_of(s)));
    TRY(deco_pool_run(pool, search_image, s, in->B));
    if (s->config.rescore)
        TRY(deco_sliced_exact_run(s));
    if (s->config.newton_steps)
        TRY(deco_pool_run(pool, newton_image, &(newton_task){s, s->config.newton_steps, false}, in->B));
    hand_out(s);
out:
    return st;
}

/* ---- refinement of given poses ----------------------------------------------------------------------------------- */

/* Of anything but a rotation, a slice could leave the snapshot. */
static bool is_rotation(const float R[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j <= i; j++) {
            double dot = 0;
            for (int k = 0; k < 3; k++)
                dot += (double)R[3 * i + k] * R[3 * j + k];
            if (!(fabs(dot - (i == j)) < 1e-3))
                return false;
        }
    return true;
}

deco_status deco_search_sliced_refine(deco_search_sliced *s, const deco_search_input *in, const deco_search_output *out, int64_t steps)
{
    deco_status st = DECO_OK;
    newton_task task = {s, steps, true};

    TRY(check_input(s, in));
    for (int64_t b = 0; b < in->B; b++)
        if (!is_rotation(out->R + 9 * b) || !isfinite(out->shift[2 * b]) || !isfinite(out->shift[2 * b + 1])) {
            st = deco_fail(DECO_E_ARGUMENT, "pose search: the pose of image %lld of the batch is no rotation and shift", (long long)b);
            goto out;
        }
    s->in = in;
    s->out = out;
    memcpy(s->found_R, out->R, (size_t)in->B * 9 * sizeof *s->found_R);
    memcpy(s->found_shift, out->shift, (size_t)in->B * 2 * sizeof *s->found_shift);
    TRY(deco_pool_run(deco_device_pool(s->m->dev), newton_image, &task, in->B));
    hand_out(s);
out:
    return st;
}
