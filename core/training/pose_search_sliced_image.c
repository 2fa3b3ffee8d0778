/* One image in a sliced pose search: its centroid, its CTF, and the levels after the first. */
#include "training/pose_search_sliced.h"

#include "formulas/rotation.h"
#include <string.h>

static int32_t nearest_centroid(const deco_search_sliced *s, int64_t image)
{
    int64_t Z = s->Z;
    int32_t nearest = 0;
    double least = INFINITY;

    for (int64_t c = 0; Z && c < s->config.centroids; c++) {
        double sum = 0;
        for (int64_t i = 0; i < Z; i++) {
            double d = (double)s->in->z[image * Z + i] - s->z[c * Z + i];
            sum += d * d;
        }
        if (sum < least)
            least = sum, nearest = (int32_t)c;
    }
    return nearest;
}

/* The CTF is even: half a plane of it is all. */
static void fill_ctf(const deco_search_sliced *s, int64_t image, const deco_sliced_level *widest)
{
    float *ctf = s->ctf + image * widest->half.padded;
    int64_t D = s->m->D;

    if (s->in->ctf_values) {
        for (int64_t j = 0; j < widest->half.points; j++)
            ctf[j] = s->in->ctf_values[image * s->P + widest->point[j]];
        return;
    }
    deco_ctf_phase phase = deco_ctf_prepare(s->in->ctf[image]);
    for (int64_t j = 0; j < widest->half.points; j++)
        ctf[j] = deco_ctf_at(phase, (float)((double)widest->half.kx[j] / (double)D), (float)((double)widest->half.ky[j] / (double)D));
}

void deco_sliced_image_load(const deco_search_sliced *s, int64_t image, int64_t level, bool with_ctf, deco_sliced_scratch *w)
{
    const deco_sliced_level *l = &s->level[level];
    const float *at = s->in->images + image * s->P, *ctf = s->ctf + image * s->level[s->widest].half.padded;

    for (int64_t j = 0; j < l->half.points; j++) {
        float c = ctf[l->widest[j]], by = with_ctf ? c : 1;
        w->plain.at[j] = by * at[l->point[j]];
        w->plain.opposite[j] = by * at[s->P - 1 - l->point[j]];
        w->ctf[j] = c;
        w->half_ctf2[j] = 0.5f * c * c;
    }
    for (int64_t j = l->half.points; j < l->half.padded; j++)
        w->plain.at[j] = w->plain.opposite[j] = w->ctf[j] = w->half_ctf2[j] = 0;
}

void deco_sliced_image_shift(const deco_search_sliced *s, int64_t level, const float t[2], deco_sliced_scratch *w)
{
    double per = DECO_TWO_PI / (double)s->m->D, phase[2] = {per * t[0], per * t[1]};

    s->kernels->shift(w->image, w->plain, &s->level[level].half, phase, w->phase);
}

/* Where the grid of level 0 has its middle. */
static void base_middle(float t[2], const deco_search_sliced *s, int64_t image)
{
    t[0] = t[1] = 0;
    if (s->in->shift)
        memcpy(t, s->in->shift + 2 * image, 2 * sizeof *t);
    else if (s->in->middle && !s->grid.no_trans)
        memcpy(t, s->in->middle + 2 * image, 2 * sizeof *t);
    else if (!s->grid.no_trans)
        t[0] = (float)s->searched.grid.x, t[1] = (float)s->searched.grid.y;
}

/* The prior's part of the shifts around an image's own middle. */
static void fill_bias(deco_search_sliced *s, int64_t image)
{
    deco_shift_grid grid = s->window.grid;
    int64_t count = deco_shift_grid_count(grid);

    grid.x = s->in->middle[2 * image], grid.y = s->in->middle[2 * image + 1];
    for (int64_t t = 0; t < count; t++) {
        double at[2];
        deco_shift_grid_at(at, grid, t);
        s->bias[image * count + t] = deco_sliced_shift_bias(s->config.shift_prior_px, at);
    }
}

void deco_sliced_image_begin(deco_search_sliced *s, int64_t image, deco_sliced_scratch *w)
{
    int64_t padded = s->level[0].half.padded;
    float middle[2], *to = s->level0 + image * 3 * padded;

    s->centroid[image] = s->in->snapshot ? s->in->snapshot[image] : nearest_centroid(s, image);
    fill_ctf(s, image, &s->level[s->widest]);
    deco_sliced_image_load(s, image, 0, true, w);
    base_middle(middle, s, image);
    if (s->in->middle)
        fill_bias(s, image);
    deco_sliced_image_shift(s, 0, middle, w);
    memcpy(to, w->image.at, (size_t)padded * sizeof *to);
    memcpy(to + padded, w->image.opposite, (size_t)padded * sizeof *to);
    memcpy(to + 2 * padded, w->half_ctf2, (size_t)padded * sizeof *to);
}

/* Offers the children of one kept pose. */
static void offer_children(deco_search_best *next, const deco_search_sliced *s, int64_t image, int64_t level,
                           const deco_search_pose *parent, deco_sliced_scratch *w)
{
    const deco_sliced_level *l = &s->level[level];
    const deco_sliced_shifts *around = deco_sliced_shift_known(s) ? &l->fixed : &l->around;
    deco_score_window window = {w->image, w->half_ctf2, around->table, around->pairs};
    int64_t rotation[DECO_SO3_NEIGHBOURS];
    double q[DECO_SO3_NEIGHBOURS][4], R[9], offset[2];
    float matrix[DECO_SO3_NEIGHBOURS][9], score[DECO_SO3_NEIGHBOURS];
    int32_t shift[DECO_SO3_NEIGHBOURS];

    deco_so3_neighbours(rotation, q, NULL, (int)(s->grid.base_healpy + level - 1), parent->rotation);
    for (int c = 0; c < DECO_SO3_NEIGHBOURS; c++) {
        deco_rotation_from_quaternion(R, q[c]);
        for (int i = 0; i < 9; i++)
            matrix[c][i] = (float)R[i];
    }
    deco_sliced_image_shift(s, level, parent->shift, w);
    s->kernels->candidates(score, shift, &s->snapshot[s->centroid[image]], matrix, DECO_SO3_NEIGHBOURS, &l->half, &window, around->shifts);
    for (int c = 0; c < DECO_SO3_NEIGHBOURS; c++) {
        deco_shift_grid_at(offset, around->grid, shift[c]);
        deco_search_pose pose = {rotation[c], {(float)(parent->shift[0] + offset[0]), (float)(parent->shift[1] + offset[1])}, score[c]};
        deco_search_offer(next, pose);
    }
}

/* For the log and for tests. */
static void show_level(const deco_search_sliced *s, int64_t image, int64_t level)
{
    deco_search_level *to = &s->kept_levels[level];
    const deco_search_best *best = &s->best[image];

    for (int64_t i = 0; i < to->kept; i++) {
        int64_t at = image * to->kept + i;
        deco_search_pose pose = i < best->kept ? best->pose[i] : (deco_search_pose){.rotation = -1, .score = INFINITY};
        to->rotation[at] = pose.rotation;
        memcpy(to->shift + 2 * at, pose.shift, sizeof pose.shift);
        to->score[at] = pose.score;
    }
}

void deco_sliced_image_levels(deco_search_sliced *s, int64_t image, deco_sliced_scratch *w)
{
    deco_search_best *best = &s->best[image];

    if (s->kept_levels)
        show_level(s, image, 0);
    for (int64_t level = 1; level < s->levels; level++) {
        deco_search_best next = {w->next, 0, level + 1 < s->levels ? s->grid.n_kept : s->room};
        deco_sliced_image_load(s, image, level, true, w);
        for (int64_t i = 0; i < best->kept && i < s->grid.n_kept; i++)
            offer_children(&next, s, image, level, &best->pose[i], w);
        memcpy(best->pose, next.pose, (size_t)next.kept * sizeof *next.pose);
        best->kept = next.kept;
        if (s->kept_levels)
            show_level(s, image, level);
    }
}
