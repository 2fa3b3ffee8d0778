/* One model on all workers: what the first one has, for the others. */
#include "model/model.h"

static deco_status share_trained(deco_model *m, const deco_trained *t, const char *what)
{
    deco_status st = DECO_OK;

    if (!t->count)
        return DECO_OK;
    TRY(deco_comm_share_on(m->comm, m->dev, t->x, t->count, what));
    if (t->m) {
        TRY(deco_comm_share_on(m->comm, m->dev, t->m, t->count, what));
        TRY(deco_comm_share_on(m->comm, m->dev, t->v, t->count, what));
    }
out:
    return st;
}

static deco_status share_encoder(deco_model *m, deco_encoder *e)
{
    deco_status st = DECO_OK;
    int64_t trained = e->count - e->first, steps[2] = {e->batches, e->steps};

    TRY(deco_comm_share_on(m->comm, m->dev, e->x, e->count, "the encoder"));
    TRY(deco_comm_share_on(m->comm, m->dev, e->m, trained, "the encoder's moments"));
    TRY(deco_comm_share_on(m->comm, m->dev, e->v, trained, "the encoder's moments"));
    TRY(deco_comm_share_on(m->comm, m->dev, e->running, e->shape.depth * 2 * e->shape.C, "the encoder's statistics"));
    TRY(deco_comm_share(m->comm, steps, sizeof steps, "the encoder's steps"));
    e->batches = steps[0], e->steps = steps[1];
out:
    return st;
}

deco_status deco_model_share_poses(deco_model *m)
{
    deco_status st = share_trained(m, &m->rotations, "the rotations");
    return st ? st : share_trained(m, &m->shifts, "the shifts");
}

deco_status deco_model_share(deco_model *m)
{
    deco_status st = DECO_OK;
    int64_t steps[4] = {m->decoder_steps, m->latent_steps, m->pose_steps, m->radius};

    if (!m->comm)
        return DECO_OK;
    TRY(share_trained(m, &m->decoder, "the decoder"));
    TRY(deco_comm_share_on(m->comm, m->dev, m->mean, m->decoder.count, "the decoder's mean"));
    TRY(deco_comm_share_on(m->comm, m->dev, m->freqs, 9 * m->shape.pe_dim, "the decoder's frequencies"));
    TRY(share_trained(m, &m->latents, "the latents"));
    TRY(deco_model_share_poses(m));
    TRY(deco_comm_share(m->comm, steps, sizeof steps, "the model's steps"));
    m->decoder_steps = steps[0], m->latent_steps = steps[1], m->pose_steps = steps[2], m->radius = steps[3];
    if (m->encoder)
        TRY(share_encoder(m, m->encoder));
out:
    return st;
}
