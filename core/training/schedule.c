/* How many epochs, and the learning rates inside them. METHOD.md section 5. */
#include "training/train.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

enum { PRETRAIN_BATCH = 64 };

deco_schedule deco_schedule_of(const deco_options *o, int64_t N)
{
    deco_schedule s = {.pretrain_batch = PRETRAIN_BATCH};
    int64_t asked = o->n_imgs_pretrain, passes = N > 0 ? o->n_imgs_pose_search / N + 1 : 0;

    s.search_epochs = passes > 2 ? passes : 2;
    s.sgd_epochs = o->epochs_sgd;
    s.total = s.search_epochs + s.sgd_epochs;
    if (asked > 0) /* whole batches until more than that are seen, at most one pass */
        s.pretrain_images = asked >= N ? N : (asked / PRETRAIN_BATCH + 1) * PRETRAIN_BATCH;
    if (s.pretrain_images > N)
        s.pretrain_images = N;
    return s;
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
