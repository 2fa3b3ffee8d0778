/* The sliced pose search: level 0, and a batch's way through all levels. */
#include "training/pose_search_sliced.h"

#include "formulas/rotation.h"
#include <string.h>

enum { GROUP_IMAGES = 64 }; /* that share a block of slices: making one costs about as much as scoring it against one image */

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

/* Level 0's shifts of an image; `orbit`: the same with the image's own bias. */
static deco_shift_grid shifts_of(deco_orbit_grid *orbit, const deco_search_sliced *s, int64_t image)
{
    const deco_sliced_base *base = deco_sliced_shift_known(s) ? &s->fixed : s->in->middle ? &s->window : &s->searched;
    deco_shift_grid grid = base->grid;

    *orbit = base->orbit;
    if (base == &s->window) {
        orbit->bias = s->bias + image * deco_shift_grid_count(grid);
        grid.x = s->in->middle[2 * image], grid.y = s->in->middle[2 * image + 1];
    }
    return grid;
}

/* Offers what a block's slices and their turns score with one image. */
static void offer_block(const deco_search_sliced *s, int64_t index, int64_t image, deco_sliced_scratch *w)
{
    deco_orbit_grid orbit;
    deco_shift_grid grid = shifts_of(&orbit, s, image);
    int lanes = s->kernels->lanes;
    int64_t padded = s->level[0].half.padded;
    float *of = s->level0 + image * 3 * padded, score[4 * DECO_SNAPSHOT_LANES];
    int32_t shift[4 * DECO_SNAPSHOT_LANES];
    deco_search_best *best = &w->best[image];

    s->kernels->orbits(score, shift, w->slices, w->power, (deco_half_image){of, of + padded}, of + 2 * padded, &orbit, w->orbit);
    for (int i = 0; i < 4 * lanes; i++) {
        int64_t of_lane = index * lanes + i % lanes;
        if (of_lane >= s->orbits || (best->kept == best->room && score[i] > best->pose[best->kept - 1].score))
            continue;
        double t[2];
        deco_shift_grid_at(t, grid, shift[i]);
        deco_search_pose pose = {rotation_of(s, of_lane, i / lanes), {(float)t[0], (float)t[1]}, score[i]};
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
    deco_status st = deco_search_go_on(s->in);

    if (st)
        return st;
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

    TRY(deco_search_go_on(s->in));
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
    deco_status st = deco_search_go_on(t->s->in);

    if (st)
        return st;
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
    if (s->Z && !in->z)
        return deco_fail(DECO_E_ARGUMENT, "pose search: a batch without latents; the model has %lld", (long long)s->Z);
    if (!s->renewed)
        return deco_fail(DECO_E_ARGUMENT, "pose search: no snapshot has been taken yet");
    if (in->shift && in->middle)
        return deco_fail(DECO_E_ARGUMENT, "pose search: shifts that are known, and a middle to seek them around");
    for (int64_t i = 0; in->middle && i < 2 * in->B; i++)
        if (!isfinite(in->middle[i]))
            return deco_fail(DECO_E_ARGUMENT, "pose search: the shift that image %lld of the batch had before is %g", (long long)(i / 2),
                             (double)in->middle[i]);
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
