/* Epochs with a pose search or a refinement: for each search batch new snapshots, poses, then gradient steps on its images in an order
 * of their own. METHOD.md section 5, POSE_SEARCH.md sections 1 and 4. */
#include "geometry/shift_grid.h"
#include "training/hold_out.h"
#include "training/centroids.h"
#include "training/pose_search.h"
#include "training/search_agreement.h"
#include "training/search_stop.h"
#include "training/trainer.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct trainer_search {
    deco_search_exact *exact; /* one of them, as the plan says */
    deco_search_sliced *engine;
    deco_search_exact *judge; /* beside it, of the sample that is searched exactly too: from the first one on */
    deco_search_sliced_config config;
    float *table, *centroids; /* [N,Z] the latents on the host, [K,Z] */
    /* One search batch. */
    deco_ctf_row *ctf;
    float *z, *R, *shift, *score; /* [search_batch,Z], [..,9], [..,2], [..] */
    float *old_R, *old_shift;     /* its poses of before, where hps_stop asks */
    const int64_t *batch_row;     /* [n] rows of its images, of all workers */
    int64_t n;
    /* With workers. */
    int64_t *place, *all_row; /* [search_batch] of this worker's images, their numbers in it; rows of all, worker by worker */
    float *all;               /* [search_batch,11] R and shift of all, likewise */
    /* One gradient step, gathered from it. */
    int64_t *turn, *row; /* [search_batch] the order of its images; their rows in that order */
    float *images;       /* [batch,P] */
    uint8_t *pixels;     /* [batch,DECO_ENCODER_PIXELS] with an encoder */
};

static deco_search_grid grid_of(const trainer *t)
{
    const deco_options *o = t->o;
    const deco_epoch_plan *e = &t->plan;
    bool search = e->kind == DECO_EPOCH_SEARCH;

    return (deco_search_grid){.base_healpy = o->base_healpy,
                              .n_iter = search ? e->n_iter : 0,
                              .n_kept = o->n_kept_poses,
                              .l_start = search && o->l_start < e->search_radius ? o->l_start : e->search_radius,
                              .l_end = e->search_radius,
                              .t_n_grid = o->t_n_grid,
                              .t_extent = deco_option_given(o, DECO_OPT_t_extent) ? o->t_extent : deco_shift_extent(t->m->D),
                              .t_x_shift = o->t_x_shift,
                              .t_y_shift = o->t_y_shift,
                              .no_trans = o->no_trans};
}

deco_status trainer_search_create(trainer *t)
{
    deco_status st = DECO_OK;
    const deco_options *o = t->o;
    struct trainer_search *s = NULL;
    size_t f = sizeof(float), N = (size_t)t->p->N, Z = (size_t)t->m->shape.Z, S = (size_t)t->plan.search_batch, B = (size_t)t->plan.batch;
    deco_search_grid grid = grid_of(t);
    deco_search_sliced_config c = deco_mended_config(o, t->plan.mended);

    TRY(deco_alloc(&s, 1, sizeof *s, "a pose search"));
    t->search = s;
    s->config = c;
    if (t->plan.exact)
        TRY(deco_search_exact_create(&s->exact, t->m, t->mask, &grid, t->plan.search_batch));
    else
        TRY(deco_search_sliced_create(&s->engine, t->m, t->mask, &grid, &c, t->plan.search_batch));
    TRY(deco_alloc(&s->table, N * Z + 1, f, "latents"));
    TRY(deco_alloc(&s->centroids, (size_t)c.centroids * Z + 1, f, "centroids of the latents"));
    TRY(deco_alloc(&s->ctf, S, sizeof *s->ctf, "a search batch"));
    TRY(deco_alloc(&s->z, S * Z + 1, f, "a search batch"));
    TRY(deco_alloc(&s->R, S, 9 * f, "a search batch"));
    TRY(deco_alloc(&s->shift, S, 2 * f, "a search batch"));
    TRY(deco_alloc(&s->score, S, f, "a search batch"));
    TRY(deco_alloc(&s->old_R, S, 9 * f, "a search batch"));
    TRY(deco_alloc(&s->old_shift, S, 2 * f, "a search batch"));
    TRY(deco_alloc(&s->turn, S, sizeof *s->turn, "a search batch"));
    TRY(deco_alloc(&s->row, S, sizeof *s->row, "a batch"));
    if (t->m->comm) {
        TRY(deco_alloc(&s->place, S, sizeof *s->place, "a search batch"));
        TRY(deco_alloc(&s->all_row, S, sizeof *s->all_row, "a search batch"));
        TRY(deco_alloc(&s->all, S, 11 * f, "a search batch"));
    }
    TRY(deco_alloc(&s->images, B * (size_t)t->mask->P, f, "a batch of images"));
    if (t->m->encoder)
        TRY(deco_alloc(&s->pixels, B, DECO_ENCODER_PIXELS, "a batch of images"));
out:
    return st;
}

void trainer_search_free(trainer *t)
{
    struct trainer_search *s = t->search;

    if (!s)
        return;
    deco_search_exact_free(s->exact);
    deco_search_exact_free(s->judge);
    deco_search_sliced_free(s->engine);
    void *all[] = {s->old_R, s->old_shift, s->table, s->centroids, s->ctf,    s->z,     s->R,       s->shift,
                   s->score, s->turn,      s->row,   s->images,    s->pixels, s->place, s->all_row, s->all};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(s);
    t->search = NULL;
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

int64_t trainer_search_share(const trainer *t, int rank, int64_t n)
{
    int64_t sum = 0, from, each = t->plan.batch;

    for (int64_t at = 0; at < n; at += each)
        sum += deco_comm_part(&from, t->m->comm, rank, n - at < each ? n - at : each, each);
    return sum;
}

/* The order in which the search batch is trained on: a function of seed, epoch and number alone. */
static deco_status draw_turn(const trainer *t, int64_t step, const int64_t *row, int64_t n)
{
    deco_random draw = deco_random_at(t->at->seed, DECO_STREAM_MINIBATCH, (uint64_t)(t->at->epoch + 1) << 32 | (uint64_t)step);

    deco_random_permutation(&draw, t->search->turn, n);
    return deco_held_out_last(t->search->turn, row, n, t->at->seed, t->o->hold_out);
}

/* Numbers of a worker's images in a search batch of n, in the order in which it trains on them. `turn` is drawn. */
static int64_t list_images(int64_t *out, const trainer *t, int rank, int64_t n)
{
    int64_t count = 0, from, each = t->plan.batch;

    for (int64_t at = 0; at < n; at += each) {
        int64_t some = deco_comm_part(&from, t->m->comm, rank, n - at < each ? n - at : each, each);
        memcpy(out + count, t->search->turn + at + from, (size_t)some * sizeof *out);
        count += some;
    }
    return count;
}

/* Each worker reads and searches the images that it will train on. */
static deco_status choose_images(trainer *t, int64_t *count)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    int64_t each = t->plan.search_batch;

    *count = 0;
    for (int64_t step = t->at->step; step * each < t->plan.images; step++) {
        int64_t left = t->plan.images - step * each, n = left < each ? left : each;
        const int64_t *row = t->order + step * each;
        TRY(draw_turn(t, step, row, n));
        int64_t mine = list_images(s->place, t, deco_comm_rank(t->m->comm), n);
        for (int64_t i = 0; i < mine; i++)
            t->mine[(*count)++] = row[s->place[i]];
    }
out:
    return st;
}

/* Poses of all images of the search batch, from those who searched them. */
static deco_status join_poses(trainer *t)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    deco_comm *c = t->m->comm;
    int64_t bounds[DECO_WORKERS_MOST + 1] = {0}, *number = s->row, first = 0;
    size_t bytes[DECO_WORKERS_MOST + 1];

    for (int g = 0; g < deco_comm_size(c); g++) {
        int64_t n = list_images(number, t, g, s->n);
        for (int64_t i = 0; i < n; i++)
            s->all_row[bounds[g] + i] = s->batch_row[number[i]];
        bounds[g + 1] = bounds[g] + n;
    }
    for (int g = 0; g <= deco_comm_size(c); g++)
        bytes[g] = (size_t)bounds[g] * 11 * sizeof *s->all;
    first = bounds[deco_comm_rank(c)];
    for (int64_t i = 0; i < bounds[deco_comm_rank(c) + 1] - first; i++) {
        memcpy(s->all + 11 * (first + i), s->R + 9 * i, 9 * sizeof *s->all);
        memcpy(s->all + 11 * (first + i) + 9, s->shift + 2 * i, 2 * sizeof *s->all);
    }
    TRY(deco_comm_gather(c, s->all, bytes, "the poses of a search batch"));
    for (int64_t i = 0; i < s->n; i++) { /* apart again: this worker's own are written for the last time */
        memcpy(s->old_R + 9 * i, s->all + 11 * i, 9 * sizeof *s->all);
        memcpy(s->old_shift + 2 * i, s->all + 11 * i + 9, 2 * sizeof *s->all);
    }
    TRY(deco_poses_put(t->m, s->all_row, s->n, s->old_R, s->old_shift));
out:
    return st;
}

/* ---- poses ------------------------------------------------------------------------------------------------------- */

static uint64_t piece_of(const trainer *t) { return (uint64_t)(t->at->epoch + 1) << 32 | (uint64_t)t->at->step; }

/* Latents of the moment; snapshots of the decoder of the moment at their centroids. */
static deco_status renew(trainer *t)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    int64_t N = t->p->N, Z = t->m->shape.Z;
    deco_random draw = deco_random_at(t->at->seed, DECO_STREAM_CENTROIDS, piece_of(t));

    if (Z) {
        TRY(deco_device_download(t->m->dev, s->table, t->m->latents.x, (size_t)(N * Z) * sizeof *s->table));
        if (!t->plan.exact)
            TRY(deco_centroids(s->centroids, s->table, N, Z, s->config.centroids, &draw));
    }
    if (!t->plan.exact)
        TRY(deco_search_sliced_renew(s->engine, Z ? s->centroids : NULL));
out:
    return st;
}

/* New poses of a batch; a refinement starts from those that stand in `out`. */
static deco_status find_poses(const trainer *t, const deco_search_input *in, const deco_search_output *out)
{
    const struct trainer_search *s = t->search;

    if (t->plan.exact)
        return deco_search_exact_run(s->exact, in, out, NULL);
    if (t->plan.kind == DECO_EPOCH_REFINE)
        return deco_search_sliced_refine(s->engine, in, out, t->o->newton_steps);
    return deco_search_sliced_run(s->engine, in, out, NULL);
}

/* hps_stop: of the whole batch. */
static deco_status count_still(trainer *t, int64_t B)
{
    deco_status st = DECO_OK;
    const struct trainer_search *s = t->search;
    deco_position here = {0};

    deco_search_stop_count(&here, t->o, B, s->old_R, s->old_shift, s->R, s->shift);
    double sums[2] = {(double)here.turned_little, (double)here.moved_little};
    TRY(deco_comm_sum_doubles(t->m->comm, sums, 2, "how many poses rest"));
    t->at->turned_little += (int64_t)sums[0];
    t->at->moved_little += (int64_t)sums[1];
out:
    return st;
}

/* A search batch may take minutes, longer than one who stops a run can wait. Nothing of the run has changed yet: the one that goes on makes the
 * batch anew. Of several workers all give it up, or none. */
static deco_status find_or_abandon(trainer *t, const deco_search_input *in, const deco_search_output *out)
{
    deco_status st = in->B ? find_poses(t, in, out) : DECO_OK;
    unsigned abandoned = st == DECO_E_STOPPED;

    if (st && !abandoned)
        return st;
    TRY(deco_comm_any(t->m->comm, &abandoned, "whether a search was abandoned"));
    if (abandoned)
        TRY(trainer_stopped(t, (t->plan.images + t->plan.search_batch - 1) / t->plan.search_batch));
out:
    return st;
}

static deco_status search_poses(trainer *t, const deco_batch *b)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    int64_t Z = t->m->shape.Z;
    deco_search_input in = {.B = b->B, .images = b->images, .ctf = s->ctf, .z = Z ? s->z : NULL, .m = t->mon};
    deco_search_output out = {.R = s->R, .shift = s->shift, .score = s->score};

    for (int64_t i = 0; i < b->B; i++) {
        int64_t row = b->row[i];
        s->ctf[i] = t->p->ctf[row];
        memcpy(s->z + Z * i, s->table + Z * row, (size_t)Z * sizeof *s->z);
    }
    TRY(deco_poses_get(s->R, s->shift, t->m, b->row, b->B));
    if (t->plan.kind == DECO_EPOCH_SEARCH && t->o->use_gt_trans)
        in.shift = s->shift;
    memcpy(s->old_R, s->R, 9 * (size_t)b->B * sizeof *s->R);
    memcpy(s->old_shift, s->shift, 2 * (size_t)b->B * sizeof *s->shift);
    TRY(find_or_abandon(t, &in, &out));
    if (t->plan.kind == DECO_EPOCH_SEARCH && t->o->hps_stop > 0)
        TRY(count_still(t, b->B));
    TRY(t->m->comm ? join_poses(t) : deco_poses_put(t->m, b->row, b->B, s->R, s->shift));
out:
    return st;
}

/* ---- the sample that is searched exactly too --------------------------------------------------------------------- */

static bool is_sampled(const trainer *t) { return t->plan.kind == DECO_EPOCH_SEARCH && !t->plan.exact; }

/* Of the first `most` images of the batch, whose order is drawn anew each epoch, those that this worker has, put together at the front of
 * `images` [most,P]; which of its own they are. */
static int64_t pick_sample(const trainer *t, const deco_batch *b, int64_t most, float *images, int64_t *which)
{
    const struct trainer_search *s = t->search;
    int64_t n = 0, P = t->mask->P;

    for (int64_t i = 0; i < b->B; i++)
        if ((s->place ? s->place[i] : i) < most) {
            memcpy(images + n * P, b->images + i * P, (size_t)P * sizeof *images);
            which[n++] = i;
        }
    return n;
}

/* The exact search judges some images of the batch: of several workers each those that it has. */
static deco_status sample(trainer *t, const deco_batch *b)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    deco_search_grid grid = grid_of(t);
    double points = deco_exact_points(&grid, t->m->shape.L);
    int64_t most = deco_agreement_sample(t->at, points, s->n);
    size_t Z = (size_t)t->m->shape.Z, P = (size_t)t->mask->P;
    float R[9 * DECO_SAMPLE_MOST], found[9 * DECO_SAMPLE_MOST], shift[2 * DECO_SAMPLE_MOST], score[DECO_SAMPLE_MOST], *images = NULL, *z;
    float known[2 * DECO_SAMPLE_MOST];
    deco_ctf_row ctf[DECO_SAMPLE_MOST];
    int64_t which[DECO_SAMPLE_MOST];
    deco_position here = {0};

    if (!most)
        return DECO_OK;
    TRY(deco_alloc(&images, DECO_SAMPLE_MOST, (P + Z) * sizeof *images, "a sample of images"));
    z = images + DECO_SAMPLE_MOST * P;
    int64_t n = pick_sample(t, b, most, images, which);
    for (int64_t i = 0; i < n; i++) {
        ctf[i] = s->ctf[which[i]];
        memcpy(z + i * (int64_t)Z, s->z + which[i] * (int64_t)Z, Z * sizeof *z);
        memcpy(found + 9 * i, s->R + 9 * which[i], 9 * sizeof *found);
        memcpy(known + 2 * i, s->shift + 2 * which[i], 2 * sizeof *known);
    }
    const deco_search_input in = {.B = n, .images = images, .ctf = ctf, .z = Z ? z : NULL, .shift = t->o->use_gt_trans ? known : NULL};
    const deco_search_output out = {.R = R, .shift = shift, .score = score};
    if (n) {
        if (!s->judge)
            TRY(deco_search_exact_create(&s->judge, t->m, t->mask, &grid, DECO_SAMPLE_MOST));
        TRY(deco_search_exact_run(s->judge, &in, &out, NULL));
        deco_agreement_count(&here, R, found, n);
    }
    double sums[2] = {(double)here.sampled, (double)here.sampled_alike};
    TRY(deco_comm_sum_doubles(t->m->comm, sums, 2, "the sample that is searched exactly too"));
    t->at->sampled += (int64_t)sums[0];
    t->at->sampled_alike += (int64_t)sums[1];
    t->at->sample_work += (double)most * points;
out:
    free(images);
    return st;
}

/* Of an image of this epoch, beside the sample. */
static double points_each(const trainer *t)
{
    deco_search_grid grid = grid_of(t);
    double snapshots = deco_snapshot_points(&t->search->config, t->plan.search_radius) / (double)t->plan.search_batch;
    return snapshots + deco_sliced_points(&grid, &t->m->shape) + deco_step_points(t->mask->P);
}

static void tell_agreement(const trainer *t, int64_t sampled, int64_t alike, bool mends, bool low)
{
    cJSON *fields = cJSON_CreateObject();
    double share = (double)alike / (double)sampled;

    deco_info(t->mon, "the sliced search found %lld of %lld images as the exact one does, within %.0f deg (%.1f %% of the work)",
              (long long)alike, (long long)sampled, deco_agree_deg, 100 * t->at->sample_work / t->at->work);
    if (mends)
        deco_info(t->mon, "that is less than %.0f %%: from the next search epoch on %s", 100 * deco_agree_share,
                  deco_mending_name((deco_mending)t->at->mended));
    else if (low)
        deco_warn(t->mon,
                  "the sliced search agrees with the exact one on %.0f %% of the images only, and all that can be mended at its speed is; "
                  "--pose_search_engine exact would take longer",
                  100 * share);
    cJSON_AddNumberToObject(fields, "epoch", (double)t->at->epoch + 1);
    cJSON_AddNumberToObject(fields, "images", (double)sampled);
    cJSON_AddNumberToObject(fields, "alike", (double)alike);
    cJSON_AddNumberToObject(fields, "within_deg", deco_agree_deg);
    cJSON_AddNumberToObject(fields, "share_of_work", t->at->sample_work / t->at->work);
    cJSON_AddNumberToObject(fields, "mended", (double)t->at->mended);
    deco_metric(t->mon, "search_agreement", fields);
}

void trainer_search_judge(trainer *t)
{
    deco_position *at = t->at;
    deco_search_grid grid = grid_of(t);
    int64_t sampled = at->sampled, alike = at->sampled_alike, before = at->mended;

    if (!is_sampled(t) || !sampled)
        return;
    deco_agreement_mend(at, t->o, deco_exact_points(&grid, t->m->shape.L), points_each(t));
    bool low = sampled >= DECO_AGREE_LEAST && (double)alike < deco_agree_share * (double)sampled;
    tell_agreement(t, sampled, alike, at->mended > before, low);
}

/* ---- training on a search batch ---------------------------------------------------------------------------------- */

/* The images of a gradient step, gathered from those of the search batch. */
static deco_batch gather(trainer *t, const deco_batch *b, int64_t at, int64_t n)
{
    struct trainer_search *s = t->search;
    int64_t P = t->mask->P;

    for (int64_t i = 0; i < n && b->images; i++) {
        int64_t from = s->turn[at + i];
        memcpy(s->images + i * P, b->images + from * P, (size_t)P * sizeof *s->images);
        if (s->pixels)
            memcpy(s->pixels + i * DECO_ENCODER_PIXELS, b->pixels + from * DECO_ENCODER_PIXELS, DECO_ENCODER_PIXELS);
    }
    return (deco_batch){n, s->row + at, s->images, s->pixels};
}

/* Workers have read theirs in the order in which they train on them. */
static deco_batch next_part(const trainer *t, const deco_batch *b, int64_t *used, int64_t n)
{
    int64_t first = *used;

    *used += n;
    return (deco_batch){n, b->row + first, b->images + first * t->mask->P, b->pixels ? b->pixels + first * DECO_ENCODER_PIXELS : NULL};
}

static deco_status train_on(trainer *t, const deco_batch *b, double first, double share, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    int64_t used = 0, from;

    TRY(draw_turn(t, t->at->step, s->batch_row, s->n));
    for (int64_t i = 0; i < s->n; i++)
        s->row[i] = s->batch_row[s->turn[i]];
    for (int64_t at = 0; at < s->n; at += t->plan.batch) {
        int64_t n = s->n - at < t->plan.batch ? s->n - at : t->plan.batch;
        const deco_batch some = t->m->comm ? next_part(t, b, &used, trainer_part(&from, t, n, t->plan.batch)) : gather(t, b, at, n);
        const whole_batch all = {s->row + at, n};
        TRY(trainer_step(t, &some, &all, NULL, first + share * (double)at / (double)s->n, r));
    }
out:
    return st;
}

static deco_status run_batch(trainer *t, const deco_batch *b, double first, double share, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    double start = deco_seconds(), snapshots, searched;

    if (t->m->comm) { /* of this batch, for who has which image */
        TRY(draw_turn(t, t->at->step, s->batch_row, s->n));
        list_images(s->place, t, deco_comm_rank(t->m->comm), s->n);
    }
    TRY(renew(t));
    snapshots = deco_seconds();
    TRY(search_poses(t, b));
    if (is_sampled(t))
        TRY(sample(t, b));
    searched = deco_seconds();
    TRY(train_on(t, b, first, share, r));
    if (is_sampled(t))
        t->at->work += (double)s->n * points_each(t);
    r->seconds_snapshots += snapshots - start;
    r->seconds_search += searched - snapshots;
    r->seconds_step += deco_seconds() - searched;
    deco_progress_add(t->mon, s->n);
out:
    return st;
}

deco_status trainer_search_run(trainer *t, deco_epoch_record *r)
{
    deco_status st = DECO_OK;
    struct trainer_search *s = t->search;
    int64_t each = t->plan.search_batch, batches = (t->plan.images + each - 1) / each, done = t->at->step;
    int64_t count = t->plan.images - done * each;
    const int64_t *order = t->order + done * each;

    if (t->m->comm && done < batches) {
        TRY(choose_images(t, &count));
        order = t->mine;
    }
    if (done < batches && count)
        TRY(deco_loader_start(t->loader, order, count));
    for (; t->at->step < batches; t->at->step++) {
        deco_batch b = {0};
        s->batch_row = t->order + t->at->step * each;
        s->n = t->plan.images - t->at->step * each < each ? t->plan.images - t->at->step * each : each;
        TRY(trainer_between(t, batches));
        if (!t->m->comm || trainer_search_share(t, deco_comm_rank(t->m->comm), s->n))
            TRY(deco_loader_next(t->loader, &b, &r->seconds_waiting));
        TRY(run_batch(t, &b, (double)t->at->step / (double)batches, 1 / (double)batches, r));
        int64_t through = t->at->step * each + s->n;
        trainer_batch_done(t, r, through - done * each, t->plan.images - through);
    }
out:
    return st;
}

/* ---- forecast ---------------------------------------------------------------------------------------------------- */

enum { MEASURED_IMAGES = 32, MEASURED_EXACTLY = 1 }; /* the exact engine takes seconds an image */

deco_status deco_search_seconds(double *snapshots, double *image, deco_model *m, const deco_particles *p, const deco_options *o,
                                const deco_epoch_plan *e)
{
    deco_status st = DECO_OK;
    int64_t most = e->exact ? MEASURED_EXACTLY : MEASURED_IMAGES, B = e->search_batch < most ? e->search_batch : most;
    trainer t = {.m = m, .p = p, .o = o, .plan = *e};
    float *images = NULL;

    t.plan.search_batch = B;
    TRY(deco_mask_create(&t.mask, m->shape.L, e->radius));
    TRY(trainer_search_create(&t));
    TRY(deco_alloc(&images, (size_t)(B * t.mask->P), sizeof *images, "images"));
    memcpy(t.search->ctf, p->ctf, (size_t)B * sizeof *p->ctf);
    double start = deco_seconds();
    if (!e->exact)
        TRY(deco_search_sliced_renew(t.search->engine, m->shape.Z ? t.search->centroids : NULL));
    *snapshots = deco_seconds() - start;
    start = deco_seconds();
    deco_search_input in = {.B = B, .images = images, .ctf = t.search->ctf, .z = t.search->z};
    deco_search_output found = {t.search->R, t.search->shift, t.search->score};
    TRY(deco_poses_get(found.R, found.shift, m, NULL, B));
    TRY(find_poses(&t, &in, &found));
    *image = (deco_seconds() - start) / (double)B;
out:
    trainer_search_free(&t);
    deco_mask_free(t.mask);
    free(images);
    return st;
}

size_t trainer_search_bytes(const deco_options *o, const deco_epoch_plan *e, int64_t N, int64_t Z)
{
    size_t f = sizeof(float), S = (size_t)e->search_batch, P = (size_t)(3.1416 * (double)(e->radius * e->radius)) + 1;
    double reach = (double)(e->search_radius * o->snapshot_oversampling + 1), side = 2 * reach + 2;
    size_t snapshots = (size_t)(2 * side * side * (reach + 2)) * (size_t)(Z ? o->snapshot_centroids : 1) * f;

    size_t sample = e->kind == DECO_EPOCH_SEARCH ? deco_search_exact_bytes(o->n_kept_poses, e->search_radius, DECO_SAMPLE_MOST) : 0;

    return (e->exact ? deco_search_exact_bytes(o->n_kept_poses, e->search_radius, e->search_batch) : snapshots + sample) + 3 * S * P * f +
           (size_t)N * (size_t)Z * f + S * ((size_t)o->n_kept_poses * 64 + 128);
}
