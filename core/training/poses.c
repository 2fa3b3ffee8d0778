/* Where poses start: those of the input, as far as they are asked for. */
#include "training/train.h"

deco_status deco_poses_start(deco_model *m, const deco_particles *p, const deco_options *o)
{
    bool poses = !deco_searches_poses(o), shifts = poses || o->use_gt_trans;

    if ((poses && !p->R) || (shifts && !p->shift))
        return deco_fail(DECO_E_ARGUMENT, "%s: the input's %s (alignments3D) are asked for, and there are none", p->source,
                         poses ? "poses" : "shifts");
    if (m->N != p->N)
        return deco_fail(DECO_E_ARGUMENT, "%s: %lld particles; the model is for %lld", p->source, (long long)p->N, (long long)m->N);
    if (poses)
        return deco_poses_put(m, NULL, p->N, p->R, p->shift);
    return shifts ? deco_device_upload(m->dev, m->shifts.x, p->shift, (size_t)m->shifts.count * sizeof *p->shift) : DECO_OK;
}
