/* From rows of one job to the same particles' rows of another. */
#include "analysis/subset_original.h"
#include "particles/image_match.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is compared. from[i]: which of the n chosen rows the original's row i is, or -1. */
typedef struct match {
    const deco_particles *original, *small;
    const int64_t *row; /* [n] of small */
    int64_t n;
    int64_t *from;  /* [original->N] the best way's */
    int64_t *tried; /* [original->N] the way's in work */
    int64_t found;
    const char *how;
} match;

/* A way that finds more than those before it is the one taken. */
static void keep_if_better(match *m, int64_t found, const char *how)
{
    if (found > m->found || !m->how) {
        int64_t *swap = m->from;
        m->from = m->tried;
        m->tried = swap;
        m->found = found;
        m->how = how;
    }
    for (int64_t i = 0; i < m->original->N; i++)
        m->tried[i] = -1;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

typedef struct pair {
    uint64_t uid, copy;
    int64_t at;
} pair;

static int by_pair(const void *a, const void *b)
{
    const pair *x = a, *y = b;

    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    if (x->copy != y->copy)
        return x->copy < y->copy ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static bool same_pair(const pair *x, const pair *y) { return x->uid == y->uid && x->copy == y->copy; }

/* The rows `row` (NULL: all n) with their keys, sorted. `copy` may be NULL. */
static deco_status sorted_pairs(pair **out, const deco_column *uid, const deco_column *copy, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(out, (size_t)n + 1, sizeof **out, "keys of rows"));
    for (int64_t i = 0; i < n; i++) {
        int64_t r = row ? row[i] : i;
        (*out)[i] = (pair){deco_cell_u64(uid, r, 0), copy ? deco_cell_u64(copy, r, 0) : 0, i};
    }
    qsort(*out, (size_t)n, sizeof **out, by_pair);
out:
    return st;
}

/* Both sides sorted, gone through side by side. One side may have a key several times: copies of one particle. */
static deco_status match_keys(match *m, const deco_column *there, const deco_column *there_copy, const deco_column *here,
                              const deco_column *here_copy, const char *how)
{
    deco_status st = DECO_OK;
    pair *a = NULL, *b = NULL;
    int64_t N = m->original->N, found = 0, i = 0;

    TRY(sorted_pairs(&a, there, there_copy, NULL, N));
    TRY(sorted_pairs(&b, here, here_copy, m->row, m->n));
    for (int64_t k = 0; k < m->n; k++) {
        while (i < N && (a[i].uid < b[k].uid || (a[i].uid == b[k].uid && a[i].copy < b[k].copy)))
            i++;
        found += i < N && same_pair(&a[i], &b[k]);
        for (int64_t r = i; r < N && same_pair(&a[r], &b[k]) && m->tried[a[r].at] < 0; r++)
            m->tried[a[r].at] = b[k].at;
    }
    keep_if_better(m, found, how);
out:
    free(a);
    free(b);
    return st;
}

static const deco_column *whole_column(const deco_table *t, const char *name)
{
    const deco_column *c = deco_table_find(t, name);
    return c && (c->kind == 'u' || c->kind == 'i') && c->cells == 1 ? c : NULL;
}

static deco_status match_uids(match *m)
{
    deco_status st = DECO_OK;
    const deco_table *there = m->original->rows, *here = m->small->rows;
    const deco_column *there_source = whole_column(there, "sym_expand/src_uid"), *here_source = whole_column(here, "sym_expand/src_uid");
    const deco_column *there_copy = whole_column(there, "sym_expand/idx"), *here_copy = whole_column(here, "sym_expand/idx");

    TRY(match_keys(m, m->original->uid, NULL, m->small->uid, NULL, "uid"));
    if (m->found < m->n && there_source && here_source && there_copy && here_copy)
        TRY(match_keys(m, there_source, there_copy, here_source, here_copy, "sym_expand/src_uid and idx"));
    if (m->found < m->n && here_source)
        TRY(match_keys(m, m->original->uid, NULL, here_source, NULL, "the uid that sym_expand/src_uid has"));
    if (m->found < m->n && there_source)
        TRY(match_keys(m, there_source, NULL, m->small->uid, NULL, "the uid that the original's sym_expand/src_uid has"));
out:
    return st;
}

static deco_status match_images(match *m)
{
    deco_status st = DECO_OK;
    const deco_particles *p = m->small;
    deco_image_list there = {m->original->source, m->original->N, m->original->stacks, m->original->stack_name, m->original->image};
    deco_image_list wanted = {p->source, m->n, p->stacks, p->stack_name, NULL};
    int64_t found;
    const char *how = "";

    TRY(deco_alloc(&wanted.image, (size_t)m->n + 1, sizeof *wanted.image, "images"));
    for (int64_t i = 0; i < m->n; i++)
        wanted.image[i] = p->image[m->row[i]];
    TRY(deco_images_match(m->tried, &found, &how, &there, &wanted));
    keep_if_better(m, found, how);
out:
    free(wanted.image);
    return st;
}

/* ---- what is said of it ------------------------------------------------------------------------------------------ */

static deco_status refuse_none(match *m, bool by_image)
{
    const char *small = m->small->source, *original = m->original->source;
    uint64_t uid = deco_particles_uid(m->small, m->row[0]);

    if (by_image)
        return deco_fail(
            DECO_E_ARGUMENT,
            "original %s: has none of the %" PRId64 " images chosen from %s; the first is %d@%s. Paths and indices change when "
            "particles are downsampled or restacked: join on uid then (leave match out)",
            original, m->n, small, m->small->image[m->row[0]].index + 1, m->small->stack_name[m->small->image[m->row[0]].stack]);
    deco_status st = match_images(m);
    if (st)
        return st;
    if (m->found)
        return deco_fail(DECO_E_ARGUMENT,
                         "original %s: has none of the %" PRId64 " uids chosen from %s (the first is %" PRIu64 "), but %" PRId64
                         " of their images, by %s and index: the uids were made anew on the way. --match image joins on images",
                         original, m->n, small, uid, m->found, m->how);
    return deco_fail(DECO_E_ARGUMENT,
                     "original %s: none of its %" PRId64 " particles is one of the %" PRId64
                     " chosen from %s, by uid, sym_expand/src_uid, or image; the first chosen uid is %" PRIu64
                     ". It is not the job that these particles come from, or they were imported or picked anew in between",
                     original, m->original->N, m->n, small, uid);
}

/* The first chosen row that no row of the original answers to. */
static int64_t first_missing(const match *m, bool *seen)
{
    int64_t i = 0;

    for (int64_t r = 0; r < m->original->N; r++)
        if (m->from[r] >= 0)
            seen[m->from[r]] = true;
    while (i + 1 < m->n && seen[i])
        i++;
    return m->row[i];
}

static deco_status check_counts(match *m, bool by_image, bool partial, deco_monitor *monitor)
{
    deco_status st = DECO_OK;
    bool *seen = NULL;

    if (!m->found)
        return refuse_none(m, by_image);
    if (m->found == m->n)
        return DECO_OK;
    TRY(deco_alloc(&seen, (size_t)m->n, sizeof *seen, "rows"));
    uint64_t uid = deco_particles_uid(m->small, first_missing(m, seen));
    if (!partial)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "original %s: has %" PRId64 " of the %" PRId64 " particles chosen from %s, and %" PRId64
                      " not (by %s; the first of those has uid %" PRIu64 "). --partial True writes those that are there",
                      m->original->source, m->found, m->n, m->small->source, m->n - m->found, m->how, uid));
    deco_warn(monitor, "original %s: has %" PRId64 " of the %" PRId64 " particles chosen from %s; %" PRId64 " are passed over",
              m->original->source, m->found, m->n, m->small->source, m->n - m->found);
out:
    free(seen);
    return st;
}

/* Counts rows whose column differs from that of the row they belong to: positions by more than a hundredth of a pixel. */
static int64_t count_differing(const deco_original *o, const deco_particles *small, const char *const *name, int names, double tolerance)
{
    int64_t n = 0;

    for (int64_t i = 0; i < o->n; i++)
        for (int k = 0; k < names; k++) {
            const deco_column *there = deco_table_find(o->particles->rows, name[k]), *here = deco_table_find(small->rows, name[k]);
            if (there && here && fabs(deco_cell_real(there, o->row[i], 0) - deco_cell_real(here, o->chosen[i], 0)) > tolerance) {
                n++;
                break;
            }
        }
    return n;
}

static void compare(deco_original *o, const deco_particles *small, deco_monitor *m)
{
    /* A fraction of a micrograph of some thousand pixels; float32 holds it to 6e-8. */
    static const char *const centre[] = {"location/center_x_frac", "location/center_y_frac"}, *const split[] = {"alignments3D/split"};

    o->recentred = count_differing(o, small, centre, 2, 1e-6);
    o->resplit = count_differing(o, small, split, 1, 0);
    deco_info(m, "original %s: %" PRId64 " rows joined on %s; their images, poses and half sets are those of the original job",
              o->particles->source, o->n, o->how);
    if (o->n != o->matched)
        deco_info(m, "%" PRId64 " particles chosen are %" PRId64 " rows there: symmetry expansion made copies on one side", o->matched,
                  o->n);
    if (o->recentred)
        deco_info(m,
                  "%" PRId64 " of the %" PRId64
                  " particles have another centre there: they were recentred when they were made small, so no "
                  "shift found on the small images would hold on the large ones, and none is carried over",
                  o->recentred, o->n);
    if (o->resplit)
        deco_warn(m,
                  "%" PRId64 " of the %" PRId64
                  " particles are in the other half set (alignments3D/split) in the original job; its own is kept",
                  o->resplit, o->n);
}

deco_status deco_original_find(deco_original *out, const deco_particles *original, const deco_particles *small, const int64_t *row,
                               int64_t n, bool by_image, bool partial, deco_monitor *monitor)
{
    deco_status st = DECO_OK;
    match m = {.original = original, .small = small, .row = row, .n = n};
    deco_original o = {.particles = original};
    int64_t N = original->N;

    *out = o;
    TRY(deco_alloc(&m.from, (size_t)N, sizeof *m.from, "rows"));
    TRY(deco_alloc(&m.tried, (size_t)N, sizeof *m.tried, "rows"));
    for (int64_t i = 0; i < N; i++)
        m.from[i] = m.tried[i] = -1;
    TRY((by_image ? match_images : match_uids)(&m));
    TRY(check_counts(&m, by_image, partial, monitor));
    o.matched = m.found;
    o.how = m.how;
    TRY(deco_alloc(&o.row, (size_t)N, sizeof *o.row, "rows"));
    TRY(deco_alloc(&o.chosen, (size_t)N, sizeof *o.chosen, "rows"));
    for (int64_t i = 0; i < N; i++)
        if (m.from[i] >= 0) {
            o.row[o.n] = i;
            o.chosen[o.n++] = row[m.from[i]];
        }
    compare(&o, small, monitor);
    *out = o;
    o = (deco_original){0};
out:
    free(m.from);
    free(m.tried);
    deco_original_free(&o);
    return st;
}

deco_status deco_original_make_room(deco_particles *small)
{
    static const char *const name[] = {
        "uid", "sym_expand/src_uid", "sym_expand/idx", "location/center_x_frac", "location/center_y_frac", "alignments3D/split"};
    deco_status st = DECO_OK;
    deco_table *kept = NULL;
    deco_column *to;

    TRY(deco_table_create(&kept, small->N, small->rows->source));
    for (size_t k = 0; k < sizeof name / sizeof *name; k++) {
        const deco_column *from = deco_table_find(small->rows, name[k]);
        if (!from)
            continue;
        TRY(deco_table_add(kept, &to, name[k], from->kind, from->item, from->dims, from->shape));
        for (int64_t i = 0; i < small->N; i++)
            memcpy(to->data + (size_t)i * to->stride, from->data + (size_t)i * from->stride, to->stride);
    }
    deco_table_free(small->rows);
    small->rows = kept;
    small->uid = deco_table_find(kept, "uid");
    kept = NULL;
    free(small->ctf);
    free(small->R);
    free(small->shift);
    small->ctf = NULL;
    small->R = small->shift = NULL;
out:
    deco_table_free(kept);
    return st;
}

void deco_original_free(deco_original *o)
{
    free(o->row);
    free(o->chosen);
    *o = (deco_original){0};
}
