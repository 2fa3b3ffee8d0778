#include "training/epoch_work.h"
#include "training/search_agreement.h"

#include <math.h>

/* A search decodes nothing but what it scores again; its time is that of level 0, the exact one's of all levels. Newton steps go through the
 * mask once each. */
static double pose_work(const deco_options *o, const deco_hypervolume *h, const deco_epoch_plan *e)
{
    deco_search_grid grid = {.base_healpy = o->base_healpy,
                             .n_iter = e->n_iter,
                             .n_kept = o->n_kept_poses,
                             .l_start = o->l_start < e->search_radius ? o->l_start : e->search_radius,
                             .l_end = e->search_radius};

    if (e->kind != DECO_EPOCH_SEARCH)
        return (double)(e->search_radius * e->search_radius);
    return e->exact ? deco_exact_points(&grid, h->L) : deco_sliced_points(&grid, h);
}

deco_epoch_work deco_epoch_work_of(const deco_options *o, const deco_hypervolume *h, const deco_epoch_plan *e, int64_t images)
{
    deco_epoch_work w = {{[DECO_WORK_READING] = (double)images, [DECO_WORK_STEPS] = (double)images * (double)(e->radius * e->radius)}};

    if (e->search_batch) {
        deco_search_sliced_config c = deco_mended_config(o, e->mended);
        double batches = ceil((double)images / (double)e->search_batch);
        w.part[DECO_WORK_SNAPSHOTS] = e->exact ? 0 : batches * deco_snapshot_points(&c, e->search_radius);
        w.part[DECO_WORK_POSES] = (double)images * pose_work(o, h, e);
    }
    return w;
}
