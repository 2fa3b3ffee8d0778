/* How far an epoch moves poses and latents. */
#include "training/changes.h"

#include <math.h>
#include <stdlib.h>

/* Poses and latents of the sample at one time. */
typedef struct snapshot {
    float *R, *shift, *z; /* [n,9], [n,2], [n,Z] */
} snapshot;

struct deco_changes {
    deco_model *m;
    int64_t n, *row; /* [n] */
    snapshot before, now;
    double *far; /* [n] */
    /* On the device, for the latents. */
    int64_t *dev_row;
    float *dev_z;
};

static deco_status make_snapshot(snapshot *s, size_t n, size_t Z)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&s->R, n, 9 * sizeof *s->R, "changes of poses"));
    TRY(deco_alloc(&s->shift, n, 2 * sizeof *s->shift, "changes of poses"));
    TRY(deco_alloc(&s->z, n * Z + 1, sizeof *s->z, "changes of latents"));
out:
    return st;
}

static void release_snapshot(snapshot *s)
{
    free(s->R);
    free(s->shift);
    free(s->z);
}

deco_status deco_changes_create(deco_changes **out, deco_model *m)
{
    deco_status st = DECO_OK;
    deco_changes *c = NULL;
    int64_t n = m->N < DECO_CHANGES_MOST ? m->N : DECO_CHANGES_MOST, Z = m->shape.Z;

    *out = NULL;
    TRY(deco_alloc(&c, 1, sizeof *c, "changes of poses"));
    c->m = m;
    c->n = n;
    TRY(deco_alloc(&c->row, (size_t)n, sizeof *c->row, "changes of poses"));
    TRY(deco_alloc(&c->far, (size_t)n, sizeof *c->far, "changes of poses"));
    TRY(make_snapshot(&c->before, (size_t)n, (size_t)Z));
    TRY(make_snapshot(&c->now, (size_t)n, (size_t)Z));
    for (int64_t i = 0; i < n; i++)
        c->row[i] = (int64_t)((double)i * (double)m->N / (double)n);
    TRY(deco_device_alloc(m->dev, &c->dev_row, (size_t)n * sizeof *c->dev_row, "changes of latents"));
    TRY(deco_device_upload(m->dev, c->dev_row, c->row, (size_t)n * sizeof *c->row));
    if (Z)
        TRY(deco_device_alloc(m->dev, &c->dev_z, (size_t)(n * Z) * sizeof *c->dev_z, "changes of latents"));
    *out = c;
    c = NULL;
out:
    deco_changes_free(c);
    return st;
}

void deco_changes_free(deco_changes *c)
{
    if (!c)
        return;
    free(c->row);
    free(c->far);
    release_snapshot(&c->before);
    release_snapshot(&c->now);
    deco_device_release(c->m->dev, c->dev_row);
    deco_device_release(c->m->dev, c->dev_z);
    free(c);
}

static deco_status take(deco_changes *c, snapshot *s)
{
    deco_status st = DECO_OK;
    deco_model *m = c->m;
    int64_t Z = m->shape.Z;

    TRY(deco_poses_get(s->R, s->shift, m, c->row, c->n));
    if (Z) {
        TRY(deco_rows_gather(m->dev, deco_f32_2(c->dev_z, c->n, Z), deco_f32_2(m->latents.x, m->N, Z), deco_i64_1(c->dev_row, c->n)));
        TRY(deco_device_download(m->dev, s->z, c->dev_z, (size_t)(c->n * Z) * sizeof *s->z));
    }
out:
    return st;
}

deco_status deco_changes_begin(deco_changes *c) { return take(c, &c->before); }

static double distance(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the distances between rows of `width` numbers. */
static double median_distance(deco_changes *c, const float *a, const float *b, int64_t width)
{
    if (!c->n)
        return 0;
    for (int64_t i = 0; i < c->n; i++)
        c->far[i] = distance(a + i * width, b + i * width, width);
    qsort(c->far, (size_t)c->n, sizeof *c->far, by_value);
    return c->far[c->n / 2];
}

/* Of ‖A - B‖ = √8 sin(half the angle between A and B): good for small angles, where a trace is not. */
static double angle_deg(double distance) { return 2 * asin(fmin(1, distance / sqrt(8))) * 180 / acos(-1); }

deco_status deco_changes_end(deco_change *out, deco_changes *c)
{
    deco_status st = take(c, &c->now);

    *out = (deco_change){.particles = c->n};
    if (st)
        return st;
    out->deg = angle_deg(median_distance(c, c->before.R, c->now.R, 9));
    out->px = median_distance(c, c->before.shift, c->now.shift, 2);
    out->latents = median_distance(c, c->before.z, c->now.z, c->m->shape.Z);
    return DECO_OK;
}
