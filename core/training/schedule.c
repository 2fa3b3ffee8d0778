/* How many epochs, and the learning rates inside them. METHOD.md section 5. */
#include "training/search_agreement.h"
#include "training/train.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* Small sets need small batches to be seen often enough, larger ones are through sooner with larger ones: POSE_SEARCH.md section 4. */
enum { SMALL_BATCH = 8, LARGER_BATCH = 16, SMALL_SET = 4000 };

/* A pose search wants fresh snapshots about so often an epoch; the poses of a refinement hardly move. */
enum { SEARCH_RENEWALS = 20, REFINE_RENEWALS = 3 };

/* The images of a search batch wait in memory for their training. */
enum { SEARCH_BATCH_MOST = 4096 };
static const double search_batch_bytes = 5e8;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t batch_of(int64_t option, int64_t N) { return option ? option : N > SMALL_SET ? LARGER_BATCH : SMALL_BATCH; }

static int64_t box_radius(const deco_options *o, int64_t D) { return o->max_freq ? smaller(o->max_freq, D / 2) : D / 2; }

/* Larger radii at the end than the first that reaches the box's edge would only repeat its epochs. */
static int64_t refine_epochs(const deco_options *o, int64_t D)
{
    const deco_list *l = &o->refine_radii;
    int64_t edge = box_radius(o, D), first = 0, n = 0;

    for (int64_t i = 0; i < l->count; i++) {
        int64_t radius = (int64_t)deco_list_number(l, i);
        if (!first && radius >= edge)
            first = radius;
        if (!first || radius <= first)
            n = i + 1;
    }
    return n;
}

deco_schedule deco_schedule_of(const deco_options *o, int64_t N, int64_t D)
{
    deco_schedule s = {.pretrain_batch = batch_of(o->batch_size_pretrain, N)};
    int64_t asked = o->n_imgs_pretrain, passes = N > 0 ? o->n_imgs_pose_search / N + 1 : 0;
    bool listed = !o->use_gt_poses;

    s.search_epochs = listed && o->search_radii.count ? o->search_radii.count : larger(passes, 2);
    if (listed && o->initial_radii.count && !o->search_radii.count)
        s.search_epochs = 0; /* the initial model's poses are refined as they are */
    s.sgd_epochs = listed && o->refine_radii.count ? refine_epochs(o, D) : o->epochs_sgd;
    if (o->refine_gt_poses) { /* as many as with known poses, unless they are listed */
        s.sgd_epochs = o->refine_radii.count ? refine_epochs(o, D) : larger(passes, 2) + o->epochs_sgd;
        s.search_epochs = 0;
    }
    s.total = s.search_epochs + s.sgd_epochs;
    if (asked > 0) /* whole batches until more than that are seen, at most one pass */
        s.pretrain_images = asked >= N ? N : smaller(N, (asked / s.pretrain_batch + 1) * s.pretrain_batch);
    return s;
}

/* Entry i of a list whose last number stands for what follows; `otherwise` without a list. */
static int64_t entry(const deco_list *l, int64_t i, int64_t otherwise)
{
    return l->count ? (int64_t)deco_list_number(l, smaller(i, l->count - 1)) : otherwise;
}

/* Constant for half of the epochs, then along half a cosine to lr_end of it. */
static double decoder_rate(const deco_options *o, int64_t epoch, int64_t total)
{
    double at = total > 0 && epoch > 0 ? (double)epoch / (double)total : 0;
    return o->lr * (at < 0.5 ? 1 : o->lr_end + (1 - o->lr_end) * 0.5 * (1 + cos(pi * (2 * at - 1))));
}

static int64_t search_batch_of(const deco_options *o, int64_t N, int64_t radius, int64_t renewals)
{
    int64_t asked = o->search_batch ? o->search_batch : (N + SEARCH_RENEWALS - 1) / SEARCH_RENEWALS;
    int64_t fit = (int64_t)(search_batch_bytes / (pi * (double)(radius * radius) * sizeof(float)));
    return larger(1, smaller(smaller(larger(asked, renewals ? (N + renewals - 1) / renewals : 0), SEARCH_BATCH_MOST), smaller(N, fit)));
}

/* The largest radius of an epoch's mask. With frequency marching it follows the images of the epochs before, and no batch counter, so that a
 * run that goes on from inside an epoch has the mask it had. */
static int64_t largest_radius(const deco_options *o, const deco_schedule *s, int64_t N, int64_t D, int64_t epoch)
{
    int64_t most = box_radius(o, D), seen = epoch < 0 ? 0 : s->pretrain_images + epoch * N;
    return strcmp(o->output_mask, "frequency_marching") != 0 ? most : smaller(most, o->l_start_fm + seen / o->add_one_frequency_every);
}

/* The exact engine has no snapshots to renew: its poses are new for every gradient step. */
static int64_t exact_batch_of(const deco_options *o, const deco_epoch_plan *e, int64_t N)
{
    return o->search_batch ? search_batch_of(o, N, e->radius, 0) : smaller(e->batch, N);
}

/* `most`: the largest radius there may be. */
static void plan_search(deco_epoch_plan *e, const deco_options *o, int64_t N, int64_t most, int64_t epoch)
{
    e->kind = DECO_EPOCH_SEARCH;
    e->batch = batch_of(o->batch_size_hps, N);
    e->radius = smaller(entry(&o->search_radii, epoch, most), most);
    e->search_radius = smaller(o->search_radii.count ? e->radius : o->l_end, e->radius);
    e->exact = !strcmp(o->pose_search_engine, "exact");
    e->search_batch = e->exact ? exact_batch_of(o, e, N) : search_batch_of(o, N, e->radius, 0);
    e->n_iter = entry(&o->search_n_iter, epoch, o->n_iter);
}

static void plan_after_search(deco_epoch_plan *e, const deco_options *o, int64_t N, int64_t most, int64_t epoch)
{
    e->batch = batch_of(o->batch_size_sgd, N);
    e->radius = smaller(entry(&o->refine_radii, epoch, most), most);
    if (epoch < o->settle_epochs)
        return; /* poses as they stand */
    if (!strcmp(o->pose_refine, "table")) {
        e->kind = DECO_EPOCH_TABLE;
        e->lr_poses = o->lr_pose_table;
    } else if (!strcmp(o->pose_refine, "gauss_newton")) {
        e->kind = DECO_EPOCH_REFINE;
        e->search_radius = e->radius;
        e->search_batch = search_batch_of(o, N, e->radius, REFINE_RENEWALS);
    }
}

deco_epoch_plan deco_epoch_plan_of(const deco_options *o, int64_t N, int64_t D, int64_t epoch)
{
    deco_schedule s = deco_schedule_of(o, N, D);
    int64_t most = largest_radius(o, &s, N, D, epoch);
    deco_epoch_plan e = {.kind = DECO_EPOCH_FIXED, .images = N, .batch = o->batch_size_known_poses, .radius = most, .lr = o->lr};

    if (epoch < 0) {
        e.kind = DECO_EPOCH_PRETRAIN;
        e.images = s.pretrain_images;
        e.batch = s.pretrain_batch;
        e.initial_model = !o->use_gt_poses && !o->refine_gt_poses && o->initial_radii.count > 0;
        if (!o->use_gt_poses && o->pretrain_radius)
            e.radius = smaller(o->pretrain_radius, most);
        return e;
    }
    e.lr = decoder_rate(o, epoch, s.total);
    if (o->use_gt_poses)
        return e;
    e.latents_frozen = epoch < o->latents_frozen_epochs;
    if (epoch < s.search_epochs)
        plan_search(&e, o, N, most, epoch);
    else
        plan_after_search(&e, o, N, most, epoch - s.search_epochs);
    return e;
}

void deco_epoch_plan_mend(deco_epoch_plan *e, const deco_options *o, int64_t N, int64_t mended)
{
    if (!e->search_batch || e->exact)
        return;
    e->mended = mended;
    if (mended == DECO_MEND_EXACT && e->kind == DECO_EPOCH_SEARCH) {
        e->exact = true;
        e->search_batch = exact_batch_of(o, e, N);
    }
}

void deco_epoch_plan_follow(deco_epoch_plan *e, int64_t search_radius)
{
    if (e->kind == DECO_EPOCH_SEARCH && !e->exact && search_radius)
        e->search_radius = smaller(search_radius, e->radius);
}

void deco_epoch_plan_share(deco_epoch_plan *e, const deco_options *o, int64_t N, int workers)
{
    if (o->batch_is_global || workers == 1)
        return;
    e->batch *= workers;
    if (e->exact && !o->search_batch)
        e->search_batch = smaller(e->batch, N);
}

bool deco_trains_poses(const deco_options *o)
{
    return !o->use_gt_poses && !strcmp(o->pose_refine, "table") && (o->refine_gt_poses || o->epochs_sgd || o->refine_radii.count);
}

double deco_lr_latents(double lr, double min, double epochs, double e)
{
    if (e < 0)
        return lr;
    if (e < epochs)
        return (lr - min) * 0.5 * (1 + cos(pi * e / epochs)) + min;
    return min;
}

double deco_lr_encoder(double lr, double min, double warm_up, double total, double e)
{
    if (e < 0)
        return lr;
    if (e < warm_up)
        return lr * e / warm_up;
    if (e < total)
        return (lr - min) * 0.5 * (1 + cos(pi * (e - warm_up) / total)) + min;
    return min;
}
