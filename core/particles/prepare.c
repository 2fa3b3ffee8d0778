/* Window and centred Hartley transform of one image. */
#include "particles/prepare.h"
#include "geometry/lattice.h"

#include <stdlib.h>

struct prepare {
    int64_t D;
    float *window;
    hartley_plan *transform;
};

deco_status prepare_create(prepare **out, int64_t D)
{
    deco_status st = DECO_OK;
    prepare *q = NULL;

    *out = NULL;
    TRY(deco_alloc(&q, 1, sizeof *q, "window"));
    q->D = D;
    TRY(deco_alloc(&q->window, (size_t)(D * D), sizeof *q->window, "window"));
    deco_window_fill(q->window, D);
    TRY(hartley_create(&q->transform, D));
    *out = q;
    q = NULL;
out:
    prepare_free(q);
    return st;
}

void prepare_free(prepare *q)
{
    if (!q)
        return;
    hartley_free(q->transform);
    free(q->window);
    free(q);
}

void prepare_image(const prepare *q, float *work)
{
    for (int64_t i = 0; i < q->D * q->D; i++)
        work[i] *= q->window[i];
    hartley_transform(q->transform, work);
}
