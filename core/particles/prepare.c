/* Cut or padded, window, and centred Hartley transform of one image. */
#include "particles/prepare.h"
#include "geometry/lattice.h"

#include <stdlib.h>
#include <string.h>

/* What is done to images of one size. */
typedef struct way {
    int64_t box, cut;
    float scale;
    float *window; /* [cut,cut]; with what follows, that of an earlier size with the same cut, where there is one */
    hartley_plan *transform;
    encoder_image *encoder; /* NULL: none looks at it */
    bool own;               /* these are this one's to free */
} way;

struct prepare {
    int64_t D, largest;
    int64_t ways;
    way way[];
};

static deco_status make_way(prepare *q, way *w, bool encoder)
{
    deco_status st = DECO_OK;

    for (const way *before = q->way; before < w; before++)
        if (before->cut == w->cut) {
            w->window = before->window;
            w->transform = before->transform;
            w->encoder = before->encoder;
            return DECO_OK;
        }
    w->own = true;
    TRY(deco_alloc(&w->window, (size_t)(w->cut * w->cut), sizeof *w->window, "window"));
    deco_window_fill(w->window, w->cut);
    TRY(hartley_create(&w->transform, w->cut));
    if (encoder)
        TRY(encoder_image_create(&w->encoder, w->cut));
out:
    return st;
}

deco_status prepare_create(prepare **out, const deco_particles *p, bool encoder)
{
    deco_status st = DECO_OK;
    prepare *q = NULL;

    *out = NULL;
    TRY(deco_alloc(&q, 1, sizeof *q + (size_t)p->sizes * sizeof *q->way, "image sizes"));
    q->D = p->D;
    for (int64_t k = 0; k < p->sizes; k++) {
        const deco_image_size *s = &p->size[k];
        q->largest = s->box > q->largest ? s->box : q->largest;
        q->largest = s->cut > q->largest ? s->cut : q->largest;
        q->way[k] = (way){.box = s->box, .cut = s->cut, .scale = s->scale};
        q->ways = k + 1; /* from here on what it holds is freed */
        TRY(make_way(q, &q->way[k], encoder));
    }
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
    for (int64_t k = 0; k < q->ways; k++)
        if (q->way[k].own) {
            hartley_free(q->way[k].transform);
            encoder_image_free(q->way[k].encoder);
            free(q->way[k].window);
        }
    free(q);
}

int64_t prepare_largest_box(const prepare *q) { return q->largest; }

deco_status prepare_encoder_workspace(void **out, const prepare *q)
{
    int64_t largest = 0, smallest = 0; /* a small image can need more than a large one */

    *out = NULL;
    for (int64_t k = 0; k < q->ways; k++) {
        int64_t cut = q->way[k].encoder ? q->way[k].cut : 0;
        largest = cut > largest ? cut : largest;
        smallest = cut && (!smallest || cut < smallest) ? cut : smallest;
    }
    if (!largest)
        return DECO_OK;
    bool by_smallest = encoder_image_workspace_bytes(smallest) > encoder_image_workspace_bytes(largest);
    return encoder_image_workspace(out, by_smallest ? smallest : largest);
}

size_t prepare_encoder_bytes(int64_t box)
{
    size_t small = encoder_image_workspace_bytes(2), large = encoder_image_workspace_bytes(box);
    return small > large ? small : large;
}

/* Pixel (box/2, box/2) stays the middle. */
static void cut_image(float *image, int64_t box, int64_t cut)
{
    int64_t off = box / 2 - cut / 2;

    for (int64_t y = 0; y < cut; y++)
        memmove(image + y * cut, image + (y + off) * box + off, (size_t)cut * sizeof *image);
}

/* The mean of the outermost pixels: what a particle's surroundings are like. */
static float border_mean(const float *image, int64_t box)
{
    double sum = 0;

    for (int64_t i = 0; i < box - 1; i++) /* along all four sides, each corner once */
        sum += (double)image[i] + (double)image[box * box - 1 - i] + (double)image[(i + 1) * box] + (double)image[(i + 1) * box - 1];
    return (float)(sum / (4 * (double)(box - 1)));
}

/* From the last row to the first, so that nothing is overwritten before it has moved. */
static void pad_image(float *image, int64_t box, int64_t cut)
{
    int64_t off = cut / 2 - box / 2, end = off + box;
    float around = border_mean(image, box);

    for (int64_t y = cut - 1; y >= 0; y--) {
        float *row = image + y * cut;
        bool inside = y >= off && y < end;
        if (inside)
            memmove(row + off, image + (y - off) * box, (size_t)box * sizeof *image);
        for (int64_t x = 0; x < cut; x++)
            if (!inside || x < off || x >= end)
                row[x] = around;
    }
}

void prepare_image(const prepare *q, int64_t size, float *work, uint8_t *pixels, void *encoder_work)
{
    const way *w = &q->way[size];

    if (w->cut < w->box)
        cut_image(work, w->box, w->cut);
    else if (w->cut > w->box)
        pad_image(work, w->box, w->cut);
    if (pixels)
        encoder_image_make(pixels, w->encoder, work, encoder_work);
    for (int64_t i = 0; i < w->cut * w->cut; i++)
        work[i] *= w->window[i];
    hartley_transform(w->transform, work, q->D);
    for (int64_t i = 0; w->scale != 1 && i < q->D * q->D; i++)
        work[i] *= w->scale;
}
