/* Images of several boxes and pixel sizes brought to one: METHOD.md 1.2. The field of view is made equal in real space, by cutting or
 * padding, and the rest is a crop of the transform. */
#include "base/file.h"
#include "particles/build.h"

#include <math.h>
#include <stdlib.h>

/* Rows whose pixel sizes differ by less are one set: half a box of 256 px is then off by an eighth of a pixel. Merged imports differ in the
 * last digits; different magnifications by a percent. */
static const double psize_tolerance = 1e-3;

enum { DEFAULT_BOX = 128, MOST_SIZES = 1024 };

static bool differ(double a, double b) { return fabs(a - b) > psize_tolerance * b; }

static deco_status find_size(int32_t *out, deco_particles *p, int64_t row, int64_t box, double psize_A)
{
    deco_image_size *grown;

    for (int64_t k = 0; k < p->sizes; k++)
        if (p->size[k].box == box && !differ(psize_A, p->size[k].psize_A)) {
            *out = (int32_t)k;
            return DECO_OK;
        }
    if (p->sizes == MOST_SIZES)
        return deco_fail(DECO_E_UNSUPPORTED, "%s: row %lld: its images have more than %d different boxes and pixel sizes",
                         file_path(p, row), file_row(p, row), MOST_SIZES);
    if (!(grown = realloc(p->size, (size_t)(p->sizes + 1) * sizeof *grown)))
        return deco_fail_memory((size_t)(p->sizes + 1) * sizeof *grown, "image sizes");
    p->size = grown;
    grown[p->sizes] = (deco_image_size){.box = box, .psize_A = psize_A, .cut = box, .scale = 1, .first = row};
    *out = (int32_t)p->sizes++;
    return DECO_OK;
}

/* The second size that comes up, where no box says what to do about it. */
static deco_status two_sizes(const deco_particles *p, const deco_image_size *here, const deco_image_size *first)
{
    static const char advice[] = "--box N brings all to N px of one size in the program, or CryoSPARC's Downsample Particles beforehand";

    if (here->box != first->box)
        return deco_fail(DECO_E_FORMAT,
                         "%s: row %lld: the box is %lld px, that of row %lld is %lld px; images of one set must have one box: %s",
                         file_path(p, here->first), file_row(p, here->first), (long long)here->box, file_row(p, first->first),
                         (long long)first->box, advice);
    return deco_fail(DECO_E_FORMAT,
                     "%s: row %lld: blob/psize_A is %.7g Å, that of row %lld is %.7g Å; images of one set may differ by %g %%: %s",
                     file_path(p, here->first), file_row(p, here->first), here->psize_A, file_row(p, first->first), first->psize_A,
                     100 * psize_tolerance, advice);
}

static deco_status gather(deco_particles *p, const deco_column *shape, const deco_column *psize, bool one)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&p->size_of, (size_t)p->stacks, sizeof *p->size_of, "image sizes"));
    for (int64_t s = 0; s < p->stacks; s++)
        p->size_of[s] = -1;
    for (int64_t i = 0; i < p->N; i++) {
        int64_t box = (int64_t)deco_cell_real(shape, i, 0);
        double A = deco_cell_real(psize, i, 0);
        int32_t *size = &p->size_of[p->image[i].stack], was = *size;
        if (was < 0 || p->size[was].box != box || differ(A, p->size[was].psize_A))
            TRY(find_size(size, p, i, box, A));
        if (was >= 0 && was != *size && !one)
            TRY(deco_fail(
                DECO_E_FORMAT,
                "%s: row %lld: its image has %lld px of %.7g Å, another of the same stack, %s, %lld px of %.7g Å; a stack has one "
                "size",
                file_path(p, i), file_row(p, i), (long long)box, A, p->stack_name[p->image[i].stack], (long long)p->size[was].box,
                p->size[was].psize_A));
        p->size[*size].rows++;
    }
    if (one && p->sizes > 1) /* all of them are known by now, for who looks at the set */
        TRY(two_sizes(p, &p->size[1], &p->size[0]));
out:
    return st;
}

/* The commonest size; of equals the one that shows more. */
static const deco_image_size *reference_of(const deco_particles *p)
{
    const deco_image_size *r = p->size;

    for (int64_t k = 1; k < p->sizes; k++) {
        const deco_image_size *s = &p->size[k];
        if (s->rows > r->rows || (s->rows == r->rows && (double)s->box * s->psize_A > (double)r->box * r->psize_A))
            r = s;
    }
    return r;
}

static int64_t even_cut(double field_A, double psize_A) { return 2 * (int64_t)llround(field_A / psize_A / 2); }

/* How far pixel sizes come to lie apart when all images are cut to about that field of view; infinite where one would have to grow. */
static double mismatch(const deco_particles *p, double field_A)
{
    double worst = 0;

    for (int64_t k = 0; k < p->sizes; k++) {
        int64_t cut = even_cut(field_A, p->size[k].psize_A);
        if (cut < p->D)
            return INFINITY;
        worst = fmax(worst, fabs((double)cut * p->size[k].psize_A / field_A - 1));
    }
    return worst;
}

/* Each image is cut to an even number of its own pixels, so only some fields of view can be had in all sizes. The one nearest to the
 * reference's is taken, of two as near the smaller. */
static double common_field(const deco_particles *p, const deco_image_size *reference)
{
    for (int64_t away = 0; away <= reference->box / 5; away += 2)
        for (int turn = -1; turn <= 1; turn += 2) {
            double field = (double)(reference->box + turn * away) * reference->psize_A;
            if (mismatch(p, field) <= psize_tolerance)
                return field;
        }
    return 0;
}

static deco_status settle_several(deco_particles *p, deco_monitor *m)
{
    const deco_image_size *reference = reference_of(p);
    double field = common_field(p, reference);

    if (!(field > 0))
        return deco_fail(
            DECO_E_FORMAT,
            "%s: images of %lld sizes cannot be brought to a box of %lld px: within a fifth of the field of view of %lld px of "
            "%.7g Å no even number of pixels of each size agrees to %g %% and has that many; give a smaller --box, or train on each "
            "size by itself",
            p->source, (long long)p->sizes, (long long)p->D, (long long)reference->box, reference->psize_A, 100 * psize_tolerance);
    p->psize_A = field / (double)p->D;
    int64_t cut = even_cut(field, reference->psize_A);
    for (int64_t k = 0; k < p->sizes; k++) {
        deco_image_size *s = &p->size[k];
        s->cut = even_cut(field, s->psize_A);
        /* Stacks are normalised to a standard deviation of 1, whatever their pixels: the noise of a transform goes with their number's root. */
        s->scale = (float)((double)cut / (double)s->cut);
        deco_info(m, "%s: %lld images of %lld px, %.5g Å: %s %lld px, then their transforms cropped to %lld px, %.5g Å", p->source,
                  (long long)s->rows, (long long)s->box, s->psize_A,
                  s->cut < s->box   ? "cut to"
                  : s->cut > s->box ? "padded to"
                                    : "kept at",
                  (long long)s->cut, (long long)p->D, (double)s->cut * s->psize_A / (double)p->D);
    }
    return DECO_OK;
}

deco_status particles_settle_sizes(deco_particles *p, const deco_column *shape, const deco_column *psize, int64_t box, deco_monitor *m)
{
    deco_status st = DECO_OK;

    TRY(gather(p, shape, psize, box == 0));
    p->D = box ? box : p->size->box > DEFAULT_BOX ? DEFAULT_BOX : p->size->box;
    for (int64_t k = 0; k < p->sizes; k++)
        if (p->size[k].box < p->D)
            TRY(deco_fail(
                DECO_E_FORMAT,
                "%s: row %lld: its image has %lld px, fewer than box, %lld; enlarged images would hold nothing new: give --box %lld "
                "or less",
                file_path(p, p->size[k].first), file_row(p, p->size[k].first), (long long)p->size[k].box, (long long)p->D,
                (long long)p->size[k].box));
    if (p->sizes > 1) {
        TRY(settle_several(p, m));
        goto out;
    }
    p->psize_A = p->size->psize_A * (double)p->size->box / (double)p->D;
    if (p->D < p->size->box)
        deco_info(m, "%s: images of %lld px, %.5g Å, are brought to %lld px, %.5g Å, by cropping their transforms (%s)", p->source,
                  (long long)p->size->box, p->size->psize_A, (long long)p->D, p->psize_A,
                  box ? "box" : "the default of box; a larger one keeps finer detail and takes more time");
out:
    return st;
}
