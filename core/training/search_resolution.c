/* Half maps by weighted back-projection, and the search radius that follows from them. */
#include "training/search_resolution.h"

#include "formulas/shift.h"
#include "training/trainer.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double resolved_fsc = 0.5, least_weight = 1e-3; /* of a shell's mean: few views leave gaps, and what stands there is noise */

enum { HALVES = 2 };

deco_status deco_half_maps_create(deco_half_maps **out, deco_device *dev, const deco_mask *mask, int64_t radius)
{
    deco_status st = DECO_OK;
    deco_half_maps *h = NULL;
    size_t most = (size_t)mask->P / 2, f = sizeof(float);

    *out = NULL;
    TRY(deco_alloc(&h, 1, sizeof *h, "half maps"));
    *h = (deco_half_maps){.dev = dev, .mask = mask, .half = {.radius = radius}};
    TRY(deco_voxel_map_create(&h->sums, dev, mask->L - 1, radius, 0.5 * (double)mask->L, HALVES));
    TRY(deco_alloc(&h->point, most, sizeof *h->point, "half maps"));
    TRY(deco_alloc(&h->half.kx, most, f, "half maps"));
    TRY(deco_alloc(&h->half.ky, most, f, "half maps"));
    for (int i = 0; i < 6; i++)
        TRY(deco_alloc(&h->lit[i / 3][i % 3], most, f, "half maps"));
    for (int64_t p = 0; p < mask->P / 2; p++) {
        int64_t x = mask->index[p] % mask->L - mask->L / 2, y = mask->index[p] / mask->L - mask->L / 2, j = h->half.points;
        if (x * x + y * y > radius * radius)
            continue;
        h->point[j] = p, h->half.kx[j] = (float)x, h->half.ky[j] = (float)y;
        h->half.points++;
    }
    *out = h;
    h = NULL;
out:
    deco_half_maps_free(h);
    return st;
}

void deco_half_maps_free(deco_half_maps *h)
{
    if (!h)
        return;
    deco_voxel_map_free(h->sums);
    free(h->point);
    free(h->half.kx);
    free(h->half.ky);
    for (int i = 0; i < 6; i++)
        free(h->lit[i / 3][i % 3]);
    free(h);
}

size_t deco_half_maps_bytes(int64_t P, int64_t radius)
{
    size_t a_point = sizeof(int64_t) + (2 + 3 * HALVES) * sizeof(float); /* its number, its place, what is lit of each half's image */
    return deco_voxel_map_bytes(radius, HALVES) + (size_t)P / 2 * a_point;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static void lay_image(deco_half_maps *h, int half, const deco_half_images *in, int64_t i)
{
    const deco_mask *m = h->mask;
    const float *x = in->images + i * m->P, *t = in->shift + 2 * i;
    float *at = h->lit[half][0], *opposite = h->lit[half][1], *half_ctf2 = h->lit[half][2];
    deco_ctf_phase ctf = deco_ctf_prepare(in->ctf[i]);

    for (int64_t j = 0; j < h->half.points; j++) {
        int64_t p = h->point[j];
        const float *k = m->k + 2 * p;
        float c = deco_ctf_at(ctf, k[0], k[1]), phase = deco_shift_phase(k, t);
        at[j] = c * deco_shift_value(phase, x[p], x[m->P - 1 - p]);
        opposite[j] = c * deco_shift_value(-phase, x[m->P - 1 - p], x[p]);
        half_ctf2[j] = 0.5f * c * c;
    }
    deco_voxel_map_add(h->sums, half, in->R + 9 * i, 1, (deco_half_image){at, opposite}, half_ctf2, &h->half);
}

typedef struct adding {
    deco_half_maps *h;
    const deco_half_images *in;
} adding;

/* A half is one task's alone, image by image: the same bits on any number of threads. */
static deco_status add_half(void *context, int64_t half, int worker)
{
    const adding *a = context;

    (void)worker;
    for (int64_t i = 0; i < a->in->B; i++)
        if (a->in->half[i] == half)
            lay_image(a->h, (int)half, a->in, i);
    return DECO_OK;
}

deco_status deco_half_maps_add(deco_half_maps *h, const deco_half_images *in)
{
    return deco_pool_run(deco_device_pool(h->dev), add_half, &(adding){h, in}, 2);
}

/* A row of the sample: its image, and its place in the sample. */
typedef struct drawn {
    deco_image_ref image;
    int64_t place;
} drawn;

static int by_image(const void *a, const void *b)
{
    const drawn *x = a, *y = b;

    if (x->image.stack != y->image.stack)
        return x->image.stack < y->image.stack ? -1 : 1;
    if (x->image.index != y->image.index)
        return x->image.index < y->image.index ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

deco_status deco_half_maps_deal(uint8_t *half, const deco_image_ref *image, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    drawn *sorted = NULL;
    int64_t *first = NULL, surplus = 0; /* [n] place of the image's first row; images of the first half over those of the second */

    TRY(deco_alloc(&sorted, (size_t)n, sizeof *sorted, "half sets"));
    TRY(deco_alloc(&first, (size_t)n, sizeof *first, "half sets"));
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (drawn){image[row[i]], i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_image);
    for (int64_t i = 0; i < n; i++) {
        const drawn *d = &sorted[i], *before = i ? d - 1 : d;
        bool same = i && before->image.stack == d->image.stack && before->image.index == d->image.index;
        first[d->place] = same ? first[before->place] : d->place;
    }
    for (int64_t i = 0; i < n; i++) {
        half[i] = first[i] == i ? surplus > 0 : half[first[i]];
        surplus += half[i] ? -1 : 1;
    }
out:
    free(sorted);
    free(first);
    return st;
}

/* ---- shells ------------------------------------------------------------------------------------------------------ */

/* Sums over a shell. */
typedef struct shell_sums {
    double points, weight[2], product, power[2];
} shell_sums;

deco_status deco_half_maps_fsc(double *fsc, const deco_half_maps *h)
{
    deco_status st = DECO_OK;
    const deco_voxel_map *v = h->sums;
    int64_t cells = v->side * v->side * v->side;
    const float *sum[2] = {v->chunk, v->chunk + 2 * cells}, *weight[2] = {sum[0] + cells, sum[1] + cells};
    shell_sums *shell = NULL;

    TRY(deco_alloc(&shell, (size_t)v->radius + 1, sizeof *shell, "half maps"));
    for (int64_t i = 0; i < cells; i++) {
        shell_sums *s = shell + v->shell[i];
        if (v->shell[i] > v->radius)
            continue;
        s->points++;
        s->weight[0] += weight[0][i];
        s->weight[1] += weight[1][i];
    }
    for (int64_t i = 0; i < cells; i++) {
        shell_sums *s = shell + v->shell[i];
        double value[2];
        if (v->shell[i] > v->radius || !(s->weight[0] > 0 && s->weight[1] > 0))
            continue;
        for (int k = 0; k < 2; k++) {
            value[k] = sum[k][i] / fmax(weight[k][i], least_weight * s->weight[k] / s->points);
            s->power[k] += value[k] * value[k];
        }
        s->product += value[0] * value[1];
    }
    for (int64_t r = 0; r <= v->radius; r++) {
        double norm = sqrt(shell[r].power[0] * shell[r].power[1]);
        fsc[r] = r == 0 ? 1 : norm > 0 ? shell[r].product / norm : 0;
    }
out:
    free(shell);
    return st;
}

int64_t deco_resolved_radius(const double *fsc, int64_t radius)
{
    for (int64_t r = 1; r <= radius; r++)
        if (fsc[r] < resolved_fsc && (r == radius || fsc[r + 1] < resolved_fsc))
            return r - 1;
    return radius;
}

/* ---- the search's radius ----------------------------------------------------------------------------------------- */

bool deco_search_follows(const deco_options *o)
{
    return !deco_option_given(o, DECO_OPT_l_end) && !o->search_radii.count && !strcmp(o->pose_search_engine, "sliced");
}

static int64_t most_after(int64_t now, int64_t most) { return now + now / 2 < most ? now + now / 2 : most; }

int64_t deco_followed_radius(const deco_options *o, int64_t resolved, int64_t now, int64_t most)
{
    int64_t next = resolved > o->l_end ? resolved : o->l_end;
    return next < most_after(now, most) ? next : most_after(now, most);
}

/* The half maps of a sample of the images, drawn for each epoch, at the poses of the moment. */
static deco_status lay_sample(deco_half_maps *h, trainer *t, int64_t n, uint8_t *half, float *R, float *shift, deco_ctf_row *ctf)
{
    deco_status st = DECO_OK;
    deco_random draw = deco_random_at(t->at->seed, DECO_STREAM_RESOLUTION, (uint64_t)(t->at->epoch + 2));
    double waited = 0;

    deco_random_permutation(&draw, t->order, t->p->N);
    TRY(deco_half_maps_deal(half, t->p->image, t->order, n));
    TRY(deco_loader_start(t->loader, t->order, n));
    for (int64_t done = 0; done < n;) {
        deco_batch b;
        TRY(deco_loader_next(t->loader, &b, &waited));
        TRY(deco_poses_get(R, shift, t->m, b.row, b.B));
        for (int64_t i = 0; i < b.B; i++)
            ctf[i] = t->p->ctf[b.row[i]];
        deco_half_images in = {.B = b.B, .half = half + done, .images = b.images, .R = R, .shift = shift, .ctf = ctf};
        TRY(deco_half_maps_add(h, &in));
        done += b.B;
    }
out:
    return st;
}

static void tell(const trainer *t, int64_t images, int64_t resolved, int64_t next)
{
    cJSON *fields = cJSON_CreateObject();

    deco_info(t->mon, "half maps of %lld images agree to radius %lld (FSC 0.5); the next search looks to %lld", (long long)images,
              (long long)resolved, (long long)next);
    cJSON_AddNumberToObject(fields, "epoch", (double)t->at->epoch + 1);
    cJSON_AddNumberToObject(fields, "images", (double)images);
    cJSON_AddNumberToObject(fields, "resolved_radius", (double)resolved);
    cJSON_AddNumberToObject(fields, "search_radius", (double)next);
    deco_metric(t->mon, "search_resolution", fields);
}

deco_status trainer_search_follow(trainer *t)
{
    deco_status st = DECO_OK;
    const deco_epoch_plan *e = &t->plan;
    deco_half_maps *h = NULL;
    double *fsc = NULL;
    float *R = NULL, *shift = NULL;
    deco_ctf_row *ctf = NULL;
    uint8_t *half = NULL;
    int64_t now = e->search_radius, radius = most_after(now, e->radius),
            n = t->p->N < DECO_RESOLUTION_IMAGES ? t->p->N : DECO_RESOLUTION_IMAGES;
    size_t S = (size_t)e->search_batch;

    if (e->kind != DECO_EPOCH_SEARCH || e->exact || !deco_search_follows(t->o) || e->radius <= t->o->l_end || n < 2)
        return DECO_OK;
    TRY(deco_half_maps_create(&h, t->m->dev, t->mask, radius));
    TRY(deco_alloc(&fsc, (size_t)radius + 1, sizeof *fsc, "half maps"));
    TRY(deco_alloc(&R, S, 9 * sizeof *R, "half maps"));
    TRY(deco_alloc(&shift, S, 2 * sizeof *shift, "half maps"));
    TRY(deco_alloc(&ctf, S, sizeof *ctf, "half maps"));
    TRY(deco_alloc(&half, (size_t)n, 1, "half maps"));
    TRY(lay_sample(h, t, n, half, R, shift, ctf));
    TRY(deco_half_maps_fsc(fsc, h));
    int64_t resolved = deco_resolved_radius(fsc, radius);
    t->at->search_radius = deco_followed_radius(t->o, resolved, now, e->radius);
    tell(t, n, resolved, t->at->search_radius);
out:
    deco_half_maps_free(h);
    free(fsc);
    free(R);
    free(shift);
    free(ctf);
    free(half);
    return st;
}
