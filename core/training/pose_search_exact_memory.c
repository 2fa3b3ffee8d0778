/* Memory of the exact engine, made once: the levels, and room for a batch. */
#include "geometry/levels.h"
#include "geometry/quarter_turn.h"
#include "training/pose_search_exact.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of slices held at once (64 MB), and scores of level 0. More of them are worked on in turn. */
enum { SLICE_NUMBERS = 1 << 24, BASE_SCORES = 1 << 22 };

/* ---- levels ----------------------------------------------------------------------------------------------------- */

/* Where each point of `inner` stands in `outer`; both rise. */
static deco_status find_places(int64_t **place, const deco_mask *inner, const deco_mask *outer)
{
    deco_status st = deco_alloc(place, (size_t)inner->P, sizeof **place, "pose search");

    for (int64_t p = 0, at = 0; !st && p < inner->P; p++, at++) {
        while (outer->index[at] != inner->index[p])
            at++;
        (*place)[p] = at;
    }
    return st;
}

static deco_status to_device(deco_device *dev, void *out_pointer, const void *host, size_t bytes)
{
    void *p = NULL;
    deco_status st = deco_device_alloc(dev, &p, bytes, "pose search");

    memcpy(out_pointer, &p, sizeof p);
    return st ? st : deco_device_upload(dev, p, host, bytes);
}

static deco_status make_shifts(deco_search_exact *s, search_exact_level *l)
{
    deco_status st = DECO_OK;
    int64_t T = deco_shift_grid_count(l->offsets);
    float *shift = NULL;

    TRY(deco_alloc(&shift, (size_t)(2 * T), sizeof *shift, "pose search"));
    deco_shift_grid_fill(shift, l->offsets);
    TRY(to_device(s->dev, &l->shifts, shift, (size_t)(2 * T) * sizeof *shift));
out:
    free(shift);
    return st;
}

/* Level 0 decodes one slice of each orbit of quarter turns. */
static deco_status make_turns(deco_search_exact *s, const deco_mask *circle)
{
    deco_status st = DECO_OK;
    int32_t *turn = NULL;

    s->angles = deco_so3_quarter(s->level->order);
    TRY(deco_mask_quarter_turn(&turn, circle));
    TRY(to_device(s->dev, &s->turn, turn, (size_t)circle->P * sizeof *turn));
out:
    free(turn);
    return st;
}

static deco_status make_level(deco_search_exact *s, int64_t i, const deco_mask *mask, const deco_search_grid *grid, deco_shift_grid base)
{
    deco_status st = DECO_OK;
    search_exact_level *l = &s->level[i];
    deco_mask *circle = NULL;
    int64_t radius = deco_level_radius((int)i, (int)grid->n_iter, grid->l_start, grid->l_end, mask->L);

    if (radius < 1 || radius > mask->radius) {
        st = deco_fail(DECO_E_ARGUMENT, "pose search: level %lld has a radius of %lld; the images have points within 1 to %lld",
                       (long long)i, (long long)radius, (long long)mask->radius);
        goto out;
    }
    TRY(deco_mask_create(&circle, mask->L, radius));
    l->order = (int)(grid->base_healpy + i);
    l->P = circle->P;
    l->offsets = i ? deco_shift_grid_level(base, (int)i) : base;
    TRY(find_places(&l->place, circle, mask));
    TRY(to_device(s->dev, &l->k, circle->k, (size_t)(2 * circle->P) * sizeof *circle->k));
    TRY(make_shifts(s, l));
    if (i == 0)
        TRY(make_turns(s, circle));
    if (l->P > s->most_points)
        s->most_points = l->P;
out:
    deco_mask_free(circle);
    return st;
}

static deco_status make_levels(deco_search_exact *s, const deco_mask *mask, const deco_search_grid *grid)
{
    deco_status st = DECO_OK;
    deco_shift_grid base = deco_shift_grid_none();

    if (!grid->no_trans)
        base =
            deco_shift_grid_base(deco_shift_axis(grid->t_n_grid, (int)grid->base_healpy), grid->t_extent, grid->t_x_shift, grid->t_y_shift);
    TRY(deco_alloc(&s->level, (size_t)(grid->n_iter + 1), sizeof *s->level, "pose search"));
    s->levels = grid->n_iter + 1;
    for (int64_t i = 0; i < s->levels; i++)
        TRY(make_level(s, i, mask, grid, base));
out:
    return st;
}

/* ---- a batch ---------------------------------------------------------------------------------------------------- */

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* How much is worked on at once. An image's children stay together: their slices are shared. */
static void plan(deco_search_exact *s)
{
    int64_t children = DECO_SO3_NEIGHBOURS * s->n_kept, latents = s->Z ? s->batch : 1, P0 = s->level->P;

    s->base = at_most(search_exact_base_count(s), at_least(1, SLICE_NUMBERS / (latents * P0)));
    s->base = at_most(s->base, at_least(1, BASE_SCORES / (s->batch * SEARCH_TURNS)));
    s->images_at_once = at_most(s->batch, at_least(1, SLICE_NUMBERS / (children * s->most_points)));
    s->groups = s->images_at_once * s->n_kept;
    s->slices = at_least(s->base, s->images_at_once * children);
    s->scores = at_least(s->batch * s->base * SEARCH_TURNS, s->groups * DECO_SO3_NEIGHBOURS);
    s->row = at_least(s->Z ? 0 : s->batch * s->base, s->groups * DECO_SO3_NEIGHBOURS);
}

typedef struct piece {
    void *pointer; /* where its address goes */
    int64_t count;
    size_t item;
} piece;

enum { DEVICE_PIECES = 18 };

static size_t piece_bytes(const piece *p) { return ((size_t)p->count * p->item + 63) & ~(size_t)63; }

static deco_status make_device(deco_search_exact *s)
{
    deco_status st = DECO_OK;
    const size_t f = sizeof(float);
    int64_t P = s->most_points, BP = s->batch * P, GP = s->groups * P, latents = s->Z ? s->batch : 1;
    int64_t children = s->levels > 1 ? s->images_at_once * DECO_SO3_NEIGHBOURS * s->n_kept * P : 0;
    size_t sum = 0;
    const piece list[DEVICE_PIECES] = {
        {&s->images, BP, f},
        {&s->ctf, BP, f},
        {&s->ctf_row, s->batch, sizeof *s->ctf_row},
        {&s->z, s->batch * s->Z, f},
        {&s->centre, 2 * s->batch, f},
        {&s->none, 2, f},
        {&s->values, at_least(latents * s->base * s->level->P, children), f},
        {&s->R, 9 * s->slices, f},
        {&s->slice_z, s->slices * s->Z, f},
        {&s->slice_image, s->slices, sizeof *s->slice_image},
        {&s->group_image, s->groups, sizeof *s->group_image},
        {&s->group_shift, 2 * s->groups, f},
        {&s->group_y, GP, f},
        {&s->group_ctf, GP, f},
        {&s->shifted, at_least(s->batch * s->level->P, GP), f},
        {&s->numbers, s->row, sizeof *s->numbers},
        {&s->score, s->scores, f},
        {&s->best, s->scores, sizeof *s->best},
    };
    for (int i = 0; i < DEVICE_PIECES; i++)
        sum += piece_bytes(&list[i]);
    TRY(deco_device_alloc(s->dev, &s->block, sum, "pose search"));
    unsigned char *next = s->block;
    for (int i = 0; i < DEVICE_PIECES; i++) {
        memcpy(list[i].pointer, &next, sizeof next); /* pointers to numbers of several types, through one list */
        next += piece_bytes(&list[i]);
    }
out:
    return st;
}

static deco_status make_host(deco_search_exact *s)
{
    deco_status st = DECO_OK;
    size_t slices = (size_t)s->slices, groups = (size_t)s->groups, scores = (size_t)s->scores, kept = (size_t)(2 * s->batch);
    const char *what = "pose search";

    TRY(deco_alloc(&s->host_points, (size_t)(s->batch * s->most_points), sizeof *s->host_points, what));
    TRY(deco_alloc(&s->host_R, slices, 9 * sizeof *s->host_R, what));
    TRY(deco_alloc(&s->host_rotation, slices, sizeof *s->host_rotation, what));
    TRY(deco_alloc(&s->host_q, slices, sizeof *s->host_q, what));
    TRY(deco_alloc(&s->host_slice_image, slices, sizeof *s->host_slice_image, what));
    TRY(deco_alloc(&s->host_group_image, groups, sizeof *s->host_group_image, what));
    TRY(deco_alloc(&s->host_group_shift, groups, 2 * sizeof *s->host_group_shift, what));
    TRY(deco_alloc(&s->host_numbers, (size_t)s->row, sizeof *s->host_numbers, what));
    TRY(deco_alloc(&s->host_score, scores, sizeof *s->host_score, what));
    TRY(deco_alloc(&s->host_best, scores, sizeof *s->host_best, what));
    TRY(deco_alloc(&s->distinct, (size_t)s->batch, sizeof *s->distinct, what));
    TRY(deco_alloc(&s->kept, kept, sizeof *s->kept, what));
    TRY(deco_alloc(&s->pose, kept * (size_t)s->n_kept, sizeof *s->pose, what));
    for (int64_t i = 0; i < 2 * s->batch; i++)
        s->kept[i].pose = s->pose + i * s->n_kept;
out:
    return st;
}

static deco_status check(const deco_model *m, const deco_mask *mask, const deco_search_grid *g, int64_t batch)
{
    if (batch < 1 || batch > INT32_MAX / mask->P || mask->L != m->shape.L)
        return deco_fail(DECO_E_ARGUMENT, "a pose search of %lld images on a lattice of %lld with a model of %lld cannot be",
                         (long long)batch, (long long)mask->L, (long long)m->shape.L);
    if (g->base_healpy < 1 || g->n_iter < 0 || g->base_healpy + g->n_iter > DECO_SO3_ORDER_MAX || g->n_kept < 1 || g->n_kept > 1 << 16 ||
        g->t_n_grid < 1 || g->t_n_grid > 1024 || g->base_healpy > 8)
        return deco_fail(
            DECO_E_ARGUMENT,
            "a pose search with base_healpy %lld, n_iter %lld, n_kept_poses %lld and t_n_grid %lld: beyond what the grids have",
            (long long)g->base_healpy, (long long)g->n_iter, (long long)g->n_kept, (long long)g->t_n_grid);
    return DECO_OK;
}

deco_status deco_search_exact_create(deco_search_exact **out, deco_model *m, const deco_mask *mask, const deco_search_grid *grid,
                                     int64_t batch)
{
    deco_status st = DECO_OK;
    deco_search_exact *s = NULL;

    *out = NULL;
    TRY(check(m, mask, grid, batch));
    TRY(deco_alloc(&s, 1, sizeof *s, "pose search"));
    s->m = m;
    s->dev = m->dev;
    s->batch = batch;
    s->Z = m->shape.Z;
    s->n_kept = grid->n_kept;
    s->mask_points = mask->P;
    TRY(make_levels(s, mask, grid));
    plan(s);
    TRY(make_device(s));
    TRY(make_host(s));
    *out = s;
    s = NULL;
out:
    deco_search_exact_free(s);
    return st;
}

size_t deco_search_exact_bytes(int64_t n_kept, int64_t l_end, int64_t batch)
{
    size_t P = (size_t)(4 * l_end * l_end), children = (size_t)(DECO_SO3_NEIGHBOURS * n_kept) * P, groups = (size_t)(batch * n_kept) * P;
    size_t slices = children > SLICE_NUMBERS ? children : SLICE_NUMBERS, each = sizeof(float);

    /* Slices; three vectors of each parent and of each image; scores and shift numbers, on the host and on the device. */
    return (slices + 3 * groups + 3 * (size_t)batch * P + (size_t)4 * BASE_SCORES) * each;
}

void deco_search_exact_free(deco_search_exact *s)
{
    if (!s)
        return;
    for (int64_t i = 0; i < s->levels; i++) {
        free(s->level[i].place);
        deco_device_release(s->dev, s->level[i].k);
        deco_device_release(s->dev, s->level[i].shifts);
    }
    free(s->level);
    deco_device_release(s->dev, s->turn);
    deco_device_release(s->dev, s->block);
    free(s->host_points);
    free(s->host_R);
    free(s->host_rotation);
    free(s->host_q);
    free(s->host_slice_image);
    free(s->host_group_image);
    free(s->host_group_shift);
    free(s->host_numbers);
    free(s->host_score);
    free(s->host_best);
    free(s->distinct);
    free(s->kept);
    free(s->pose);
    free(s);
}
