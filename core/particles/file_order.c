/* Rows sorted by the place of their image. */
#include "particles/file_order.h"

#include <stdlib.h>

typedef struct place {
    int64_t row;
    deco_image_ref image;
} place;

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;

    if (x->image.stack != y->image.stack)
        return x->image.stack < y->image.stack ? -1 : 1;
    if (x->image.index != y->image.index)
        return x->image.index < y->image.index ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

deco_status file_order_rows(int64_t **row, const deco_particles *p)
{
    deco_status st = DECO_OK;
    place *sorted = NULL;

    *row = NULL;
    TRY(deco_alloc(&sorted, (size_t)p->N, sizeof *sorted, "image order"));
    for (int64_t i = 0; i < p->N; i++)
        sorted[i] = (place){i, p->image[i]};
    qsort(sorted, (size_t)p->N, sizeof *sorted, by_place);
    TRY(deco_alloc(row, (size_t)p->N, sizeof **row, "image order"));
    for (int64_t i = 0; i < p->N; i++)
        (*row)[i] = sorted[i].row;
out:
    free(sorted);
    return st;
}

static bool same_image(const deco_particles *p, int64_t a, int64_t b)
{
    return p->image[a].stack == p->image[b].stack && p->image[a].index == p->image[b].index;
}

deco_status file_order_distinct(distinct_images *out, const deco_particles *p)
{
    deco_status st = DECO_OK;
    distinct_images d = {0};

    *out = d;
    TRY(file_order_rows(&d.row, p));
    TRY(deco_alloc(&d.number, (size_t)p->N, sizeof *d.number, "image order"));
    for (int64_t i = 0; i < p->N; i++) {
        int64_t row = d.row[i];
        if (!d.count || !same_image(p, row, d.row[d.count - 1]))
            d.row[d.count++] = row; /* never past the place it is read from */
        d.number[row] = d.count - 1;
    }
    *out = d;
    d = (distinct_images){0};
out:
    distinct_images_free(&d);
    return st;
}

void distinct_images_free(distinct_images *d)
{
    free(d->row);
    free(d->number);
    *d = (distinct_images){0};
}
