/* Reading the image of a row: a few stacks stay open, since neighbours in a batch often share one and a set may have 100,000. */
#include "particles/reader.h"
#include "particles/build.h"
#include "formats/mrc.h"

#include <math.h>
#include <stdlib.h>

typedef struct open_stack {
    deco_mrc *mrc; /* NULL: free */
    int32_t stack;
    uint64_t used; /* when last */
} open_stack;

struct image_reader {
    const deco_particles *p;
    const prepare *q;
    float *work;
    void *encoder_work; /* NULL without */
    uint64_t clock;
    int stacks;
    open_stack open[];
};

deco_status image_reader_create(image_reader **out, const deco_particles *p, const prepare *q, int stacks)
{
    deco_status st = DECO_OK;
    image_reader *r = NULL;

    *out = NULL;
    TRY(deco_alloc(&r, 1, sizeof *r + (size_t)stacks * sizeof *r->open, "image reader"));
    r->stacks = stacks;
    r->p = p;
    r->q = q;
    TRY(hartley_workspace(&r->work, prepare_largest_box(q)));
    TRY(prepare_encoder_workspace(&r->encoder_work, q));
    *out = r;
    r = NULL;
out:
    image_reader_free(r);
    return st;
}

void image_reader_free(image_reader *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->stacks; i++)
        deco_mrc_close(r->open[i].mrc);
    free(r->work);
    free(r->encoder_work);
    free(r);
}

size_t image_reader_bytes(int64_t box, int stacks, bool encoder)
{
    return sizeof(image_reader) + (size_t)stacks * sizeof(open_stack) + hartley_workspace_floats(box) * sizeof(float) +
           (encoder ? prepare_encoder_bytes(box) : 0);
}

/* The stack, open: as it is, or in the place of the one not used for longest. */
static deco_status open_one(const deco_mrc **out, image_reader *r, int32_t stack)
{
    deco_status st = DECO_OK;
    open_stack *s = &r->open[0];
    int64_t box = r->p->size[r->p->size_of[stack]].box;

    for (int i = 0; i < r->stacks; i++) {
        if (r->open[i].mrc && r->open[i].stack == stack) {
            s = &r->open[i];
            goto found;
        }
        if (s->mrc && (!r->open[i].mrc || r->open[i].used < s->used))
            s = &r->open[i];
    }
    deco_mrc_close(s->mrc);
    s->mrc = NULL;
    TRY(deco_mrc_open(&s->mrc, r->p->stack[stack]));
    s->stack = stack;
    if (s->mrc->nx != box || s->mrc->ny != box) {
        st = deco_fail(DECO_E_FORMAT,
                       "%s: its images have %lld×%lld px now, %lld×%lld when the particles were opened; do not change the input of a "
                       "running job",
                       s->mrc->path, (long long)s->mrc->nx, (long long)s->mrc->ny, (long long)box, (long long)box);
        deco_mrc_close(s->mrc);
        s->mrc = NULL;
        goto out;
    }
found:
    s->used = ++r->clock;
    *out = s->mrc;
out:
    return st;
}

static deco_status look_at_pixels(const image_reader *r, int64_t row, const char *path)
{
    int64_t D = deco_particles_size(r->p, row)->box;
    float least = r->work[0], most = least;

    for (int64_t i = 0; i < D * D; i++) {
        float v = r->work[i];
        if (!isfinite(v))
            return deco_fail(
                DECO_E_FORMAT, "%s: image %d (row %lld of %s): pixel (%lld, %lld) is %g. Leave this particle out, or make the stack again",
                path, r->p->image[row].index, file_row(r->p, row), file_path(r->p, row), (long long)(i % D), (long long)(i / D), (double)v);
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    if (least == most)
        return deco_fail(DECO_E_FORMAT,
                         "%s: image %d (row %lld of %s) is constant: all its pixels are %g. Leave this particle out, or make the stack "
                         "again",
                         path, r->p->image[row].index, file_row(r->p, row), file_path(r->p, row), (double)least);
    return DECO_OK;
}

deco_status image_reader_raw(float *out, image_reader *r, int64_t row)
{
    deco_status st = DECO_OK;
    const deco_mrc *mrc = NULL;

    TRY(open_one(&mrc, r, r->p->image[row].stack));
    TRY(deco_mrc_read(mrc, out, r->p->image[row].index, 1));
out:
    return st;
}

deco_status image_reader_hartley(const float **out, uint8_t *pixels, image_reader *r, int64_t row, bool look)
{
    deco_status st = DECO_OK;
    const deco_mrc *mrc = NULL;
    const deco_image_ref *image = &r->p->image[row];

    TRY(open_one(&mrc, r, image->stack));
    TRY(deco_mrc_read(mrc, r->work, image->index, 1));
    if (look)
        TRY(look_at_pixels(r, row, mrc->path));
    prepare_image(r->q, r->p->size_of[image->stack], r->work, pixels, r->encoder_work);
    *out = r->work;
out:
    return st;
}
