/* A sliced pose search's memory: all of it is made before the first batch. */
#include "training/pose_search_sliced.h"

#include "geometry/quarter_turn.h"
#include <stdlib.h>

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
        c->newton_steps < 0 || c->base_shift_axis < 0 || c->base_shift_axis > 2048 || c->window_axis < 0 || !(c->shift_prior_px >= 0))
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
    TRY(deco_alloc(&s->bias, B, (size_t)deco_shift_grid_count(s->window.grid) * sizeof *s->bias, "pose search"));
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
    s->Z = c->chosen ? 0 : m->shape.Z;
    s->config.centroids = s->Z || c->chosen ? c->centroids : 1;
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
    void *all[] = {s->scratch, s->centroid, s->order,   s->group,       s->ctf,         s->level0,
                   s->best,    s->poses,    s->found_R, s->found_shift, s->found_score, s->bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    deco_sliced_exact_free(s);
    deco_sliced_snapshots_free(s);
    deco_sliced_plan_free(s);
    free(s);
}
