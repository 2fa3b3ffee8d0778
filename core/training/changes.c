/* How far an epoch moves poses and latents. */
#include "training/changes.h"

#include "formulas/rotation.h"
#include <math.h>
#include <stdlib.h>

struct deco_changes {
    deco_model *m;
    int64_t n, *row;         /* [n] */
    float *six, *shift, *z;  /* [n,6], [n,2], [n,Z] the epoch's start, on the host */
    float *R[2], *now_shift; /* [n,9] before and now, [n,2] */
    float *now_z;            /* [n,Z] */
    double *far;             /* [n] */
    int64_t *dev_row;        /* on the device */
    float *dev_z;
};

static const char what[] = "changes of poses and latents";

deco_status deco_changes_create(deco_changes **out, deco_model *m)
{
    deco_status st = DECO_OK;
    deco_changes *c = NULL;
    int64_t most = m->N < DECO_CHANGES_MOST ? m->N : DECO_CHANGES_MOST;
    size_t n = (size_t)most, Z = (size_t)m->shape.Z, f = sizeof(float);

    *out = NULL;
    TRY(deco_alloc(&c, 1, sizeof *c, what));
    c->m = m;
    c->n = most;
    TRY(deco_alloc(&c->row, n, sizeof *c->row, what));
    TRY(deco_alloc(&c->far, n, sizeof *c->far, what));
    TRY(deco_alloc(&c->six, n, 6 * f, what));
    TRY(deco_alloc(&c->shift, n, 2 * f, what));
    TRY(deco_alloc(&c->z, n * Z + 1, f, what));
    for (int i = 0; i < 2; i++)
        TRY(deco_alloc(&c->R[i], n, 9 * f, what));
    TRY(deco_alloc(&c->now_shift, n, 2 * f, what));
    TRY(deco_alloc(&c->now_z, n * Z + 1, f, what));
    for (int64_t i = 0; i < most; i++)
        c->row[i] = (int64_t)((double)i * (double)m->N / (double)most);
    TRY(deco_device_alloc(m->dev, &c->dev_row, n * sizeof *c->dev_row, what));
    TRY(deco_device_upload(m->dev, c->dev_row, c->row, n * sizeof *c->row));
    if (Z)
        TRY(deco_device_alloc(m->dev, &c->dev_z, n * Z * f, what));
    TRY(deco_epoch_start_make(m, most));
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
    void *all[] = {c->row, c->far, c->six, c->shift, c->z, c->R[0], c->R[1], c->now_shift, c->now_z};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    deco_device_release(c->m->dev, c->dev_row);
    deco_device_release(c->m->dev, c->dev_z);
    free(c);
}

static deco_array table(const deco_model *m, const deco_trained *t, int64_t width) { return deco_f32_2(t->x, m->N, width); }

deco_status deco_changes_begin(deco_changes *c, bool inside)
{
    deco_status st = DECO_OK;
    deco_model *m = c->m;
    deco_epoch_start *to = &m->start;
    int64_t Z = m->shape.Z;
    deco_array rows = deco_i64_1(c->dev_row, c->n);

    if (inside && to->known)
        return DECO_OK;
    TRY(deco_rows_gather(m->dev, deco_f32_2(to->six, c->n, 6), table(m, &m->rotations, 6), rows));
    TRY(deco_rows_gather(m->dev, deco_f32_2(to->shift, c->n, 2), table(m, &m->shifts, 2), rows));
    if (Z)
        TRY(deco_rows_gather(m->dev, deco_f32_2(to->z, c->n, Z), table(m, &m->latents, Z), rows));
    to->known = true;
out:
    return st;
}

/* The epoch's start and where the sample stands now, on the host. */
static deco_status take(deco_changes *c)
{
    deco_status st = DECO_OK;
    deco_model *m = c->m;
    size_t n = (size_t)c->n, Z = (size_t)m->shape.Z, f = sizeof(float);

    TRY(deco_device_download(m->dev, c->six, m->start.six, n * 6 * f));
    TRY(deco_device_download(m->dev, c->shift, m->start.shift, n * 2 * f));
    for (int64_t i = 0; i < c->n; i++) { /* as deco_poses_get makes the others */
        double six[6], matrix[9];
        for (int k = 0; k < 6; k++)
            six[k] = c->six[6 * i + k];
        deco_rotation_from_six(matrix, six);
        for (int k = 0; k < 9; k++)
            c->R[0][9 * i + k] = (float)matrix[k];
    }
    TRY(deco_poses_get(c->R[1], c->now_shift, m, c->row, c->n));
    if (!Z)
        goto out;
    TRY(deco_device_download(m->dev, c->z, m->start.z, n * Z * f));
    TRY(deco_rows_gather(m->dev, deco_f32_2(c->dev_z, c->n, m->shape.Z), table(m, &m->latents, m->shape.Z), deco_i64_1(c->dev_row, c->n)));
    TRY(deco_device_download(m->dev, c->now_z, c->dev_z, n * Z * f));
out:
    return st;
}

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
    deco_status st = take(c);

    *out = (deco_change){.particles = c->n};
    if (st)
        return st;
    out->deg = angle_deg(median_distance(c, c->R[0], c->R[1], 9));
    out->px = median_distance(c, c->shift, c->now_shift, 2);
    out->latents = median_distance(c, c->z, c->now_z, c->m->shape.Z);
    return DECO_OK;
}
