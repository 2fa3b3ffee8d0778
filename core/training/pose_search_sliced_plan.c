/* What a sliced pose search works out once: half planes, tables of shifts, quarter turns. */
#include "training/pose_search_sliced.h"

#include "geometry/levels.h"
#include "geometry/quarter_turn.h"
#include <math.h>
#include <stdlib.h>

enum { LEVEL_SHIFTS_AXIS = 4 }; /* of the grid around a kept shift only the middle is scored: the rest hardly ever wins */

/* ---- half planes ------------------------------------------------------------------------------------------------- */

static deco_status half_plane_create(deco_half_plane *half, const deco_mask *m)
{
    deco_status st = DECO_OK;
    int64_t centre = m->L / 2;

    half->radius = m->radius;
    half->points = m->P / 2;
    half->padded = (half->points + DECO_HALF_STEP - 1) / DECO_HALF_STEP * DECO_HALF_STEP;
    TRY(deco_alloc(&half->kx, (size_t)half->padded, sizeof *half->kx, "half plane"));
    TRY(deco_alloc(&half->ky, (size_t)half->padded, sizeof *half->ky, "half plane"));
    TRY(deco_alloc(&half->row, (size_t)m->radius + 1, sizeof *half->row, "half plane"));
    TRY(deco_alloc(&half->reach, (size_t)m->radius + 1, sizeof *half->reach, "half plane"));
    for (int64_t j = 0; j < half->points; j++) {
        int64_t index = m->index[half->points + j], x = index % m->L - centre, y = index / m->L - centre;
        half->kx[j] = (float)x;
        half->ky[j] = (float)y;
        half->reach[y] = (int32_t)x; /* the last of the row stays */
        if (j == 0 || half->ky[j - 1] < half->ky[j])
            half->row[y] = (int32_t)j;
    }
out:
    return st;
}

static void half_plane_free(deco_half_plane *half)
{
    free(half->kx);
    free(half->ky);
    free(half->row);
    free(half->reach);
}

/* Where the second half of `inner` stands in `outer`, both rising: places less `first` of the outer one. */
static deco_status places_create(int32_t **out, const deco_mask *inner, const deco_mask *outer, int64_t first)
{
    deco_status st = DECO_OK;
    int64_t half = inner->P / 2, at = 0;

    TRY(deco_alloc(out, (size_t)half, sizeof **out, "points of a level"));
    for (int64_t j = 0; j < half; j++) {
        while (outer->index[at] != inner->index[half + j])
            at++;
        (*out)[j] = (int32_t)(at - first);
    }
out:
    return st;
}

/* ---- shifts ------------------------------------------------------------------------------------------------------ */

/* cos and sin of 2π k·t for the first half of the shifts: those of the opposite ones differ in sign only. */
static deco_status shifts_create(deco_sliced_shifts *w, deco_shift_grid grid, const deco_half_plane *half, int64_t D)
{
    deco_status st = DECO_OK;

    w->grid = grid;
    w->shifts = (int)deco_shift_grid_count(grid);
    w->pairs = (w->shifts + 1) / 2;
    TRY(deco_alloc(&w->table, deco_score_table(half, w->pairs), sizeof *w->table, "shifts of a level"));
    for (int64_t j = 0; j < half->points; j++)
        for (int i = 0; i < w->pairs; i++) {
            double t[2];
            deco_shift_grid_at(t, grid, i);
            double phase = DECO_TWO_PI * (half->kx[j] * t[0] + half->ky[j] * t[1]) / (double)D;
            float *at = w->table + ((j / DECO_SCORE_TILE * w->pairs + i) * 2) * DECO_SCORE_TILE + j % DECO_SCORE_TILE;
            at[0] = (float)cos(phase);
            at[DECO_SCORE_TILE] = (float)sin(phase);
        }
out:
    return st;
}

/* σ of the prior in pixels, 0: none. Images are divided by their deviation, nearly all of which is noise: its variance is 1. The prior's
 * shifts are those from the image's own middle. */
float deco_sliced_shift_bias(double prior_px, const double t[2])
{
    return prior_px > 0 ? (float)((t[0] * t[0] + t[1] * t[1]) / (2 * prior_px * prior_px)) : 0;
}

static deco_status base_create(deco_sliced_base *b, deco_shift_grid grid, const deco_half_plane *half, const int32_t *turned, int64_t D,
                               double prior_px)
{
    deco_status st = DECO_OK;
    int64_t magnitudes = (grid.n + 1) / 2;

    b->grid = grid;
    TRY(deco_alloc(&b->cosine, (size_t)((half->radius + 1) * magnitudes), sizeof *b->cosine, "shifts of level 0"));
    TRY(deco_alloc(&b->sine, (size_t)((half->radius + 1) * magnitudes), sizeof *b->sine, "shifts of level 0"));
    TRY(deco_alloc(&b->bias, (size_t)deco_shift_grid_count(grid), sizeof *b->bias, "shifts of level 0"));
    for (int64_t k = 0; k <= half->radius; k++)
        for (int64_t i = 0; i < magnitudes; i++) {
            double t = ((double)i + (grid.n % 2 ? 0 : 0.5)) * grid.step, phase = DECO_TWO_PI * (double)k * t / (double)D;
            b->cosine[k * magnitudes + i] = (float)cos(phase);
            b->sine[k * magnitudes + i] = (float)sin(phase);
        }
    for (int64_t t = 0; t < deco_shift_grid_count(grid); t++) {
        double at[2];
        deco_shift_grid_at(at, grid, t);
        b->bias[t] = deco_sliced_shift_bias(prior_px, at);
    }
    b->orbit = (deco_orbit_grid){half, turned, b->cosine, b->sine, b->bias, (int)grid.n, (int)magnitudes};
out:
    return st;
}

static void base_free(deco_sliced_base *b)
{
    free(b->cosine);
    free(b->sine);
    free(b->bias);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Rows of a block of slices: the half plane's points, then those opposite. */
static int32_t row_of_point(const deco_half_plane *half, int64_t p)
{
    return (int32_t)(p >= half->points ? p - half->points : half->points + (half->points - 1 - p));
}

static deco_status turned_create(deco_search_sliced *s, const deco_mask *inner)
{
    deco_status st = DECO_OK;
    const deco_half_plane *half = &s->level[0].half;
    int32_t *turn = NULL;

    TRY(deco_mask_quarter_turn(&turn, inner));
    TRY(deco_alloc(&s->turned, (size_t)half->points, 4 * sizeof *s->turned, "quarter turns"));
    for (int64_t j = 0; j < half->points; j++) {
        int64_t p = half->points + j;
        for (int g = 0; g < 4; g++, p = turn[p])
            s->turned[g * half->points + j] = row_of_point(half, p);
    }
out:
    free(turn);
    return st;
}

static deco_status level_create(deco_search_sliced *s, int64_t i, const deco_mask *mask, const deco_mask *widest, deco_shift_grid base)
{
    deco_status st = DECO_OK;
    deco_sliced_level *l = &s->level[i];
    deco_mask *inner = NULL;
    int64_t radius = deco_level_radius((int)i, (int)s->grid.n_iter, s->grid.l_start, s->grid.l_end, mask->L);

    TRY(deco_mask_create(&inner, mask->L, radius));
    TRY(half_plane_create(&l->half, inner));
    TRY(places_create(&l->point, inner, mask, 0));
    TRY(places_create(&l->widest, inner, widest, widest->P / 2));
    if (i == 0) {
        TRY(turned_create(s, inner));
        goto out;
    }
    TRY(shifts_create(&l->around, deco_shift_grid_central(deco_shift_grid_level(base, (int)i), LEVEL_SHIFTS_AXIS), &l->half, s->m->D));
    TRY(shifts_create(&l->fixed, deco_shift_grid_none(), &l->half, s->m->D));
out:
    deco_mask_free(inner);
    return st;
}

deco_status deco_sliced_plan_create(deco_search_sliced *s, const deco_mask *mask)
{
    deco_status st = DECO_OK;
    const deco_search_grid *g = &s->grid;
    deco_mask *widest = NULL;
    int64_t axis = deco_shift_axis(g->t_n_grid, (int)g->base_healpy), first = s->config.base_shift_axis ? s->config.base_shift_axis : axis;
    deco_shift_grid base = deco_shift_grid_base(axis, g->t_extent, g->t_x_shift, g->t_y_shift),
                    searched = deco_shift_grid_base(first, g->t_extent, g->t_x_shift, g->t_y_shift),
                    window = deco_shift_grid_central(searched, s->config.window_axis ? s->config.window_axis : searched.n);

    s->levels = g->n_iter + 1;
    s->widest = g->l_start > g->l_end && g->n_iter > 0 ? 0 : g->n_iter;
    TRY(deco_mask_create(&widest, mask->L, deco_level_radius((int)s->widest, (int)g->n_iter, g->l_start, g->l_end, mask->L)));
    for (int64_t i = 0; i < s->levels; i++)
        TRY(level_create(s, i, mask, widest, base));
    window.x = window.y = 0;
    TRY(base_create(&s->searched, searched, &s->level[0].half, s->turned, s->m->D, s->config.shift_prior_px));
    TRY(base_create(&s->window, window, &s->level[0].half, s->turned, s->m->D, 0));
    TRY(base_create(&s->fixed, deco_shift_grid_none(), &s->level[0].half, s->turned, s->m->D, 0));
out:
    deco_mask_free(widest);
    return st;
}

void deco_sliced_plan_free(deco_search_sliced *s)
{
    for (int64_t i = 0; i < s->levels; i++) {
        deco_sliced_level *l = &s->level[i];
        half_plane_free(&l->half);
        free(l->point);
        free(l->widest);
        free(l->around.table);
        free(l->fixed.table);
    }
    base_free(&s->searched);
    base_free(&s->window);
    base_free(&s->fixed);
    free(s->turned);
}
