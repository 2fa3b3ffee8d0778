/* How a sliced pose search ends: finalists re-scored by the decoder, and Gauss–Newton on the snapshot. */
#include "training/pose_search_sliced.h"

#include "formulas/rotation.h"
#include <stdlib.h>
#include <string.h>

/* ---- Gauss–Newton ------------------------------------------------------------------------------------------------ */

static const double damping = 1e-3, longest_step_rad = 3 * DECO_TWO_PI / 360;

/* x of A x = b by Cholesky, A positive definite, n at most 5. False: it is not. */
static bool solve(double x[5], double A[5][5], const double b[5], int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = A[i][j];
            for (int k = 0; k < j; k++)
                sum -= A[i][k] * A[j][k];
            if (i == j && !(sum > 0))
                return false;
            A[i][j] = i == j ? sqrt(sum) : sum / A[j][j];
        }
    for (int i = 0; i < n; i++) {
        x[i] = b[i];
        for (int k = 0; k < i; k++)
            x[i] -= A[i][k] * x[k];
        x[i] /= A[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            x[i] -= A[k][i] * x[k];
        x[i] /= A[i][i];
    }
    return true;
}

/* The damped step of the sums of deco_snapshot_kernels.normal; the first n of its 5 unknowns, none of the others. The angles' part is at
 * most 3 degrees long. */
static bool step_from(double step[5], const float sums[DECO_NORMAL_SUMS], int n)
{
    double A[5][5], b[5], angle;
    int at = 0;

    for (int i = 0; i < 5; i++) {
        b[i] = sums[15 + i];
        for (int j = i; j < 5; j++)
            A[i][j] = A[j][i] = sums[at++];
        A[i][i] *= 1 + damping;
        step[i] = 0;
    }
    if (!solve(step, A, b, n))
        return false;
    angle = sqrt(step[0] * step[0] + step[1] * step[1] + step[2] * step[2]);
    for (int i = 0; i < n && angle > longest_step_rad; i++)
        step[i] *= longest_step_rad / angle;
    return true;
}

/* out = exp(W) R, where exp(W) moves the slice's point (x, y, 0) to (x - y w2, y + x w2, x w1 + y w0) to first order. */
static void turn(double out[9], const double w[3], const double R[9])
{
    const double v[3] = {w[0], -w[1], w[2]}; /* deco_rotation_from_axis_angle takes the transpose of exp(v) */
    double E[9], sum[9];

    deco_rotation_from_axis_angle(E, v);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            sum[3 * i + j] = E[3 * i] * R[j] + E[3 * i + 1] * R[3 + j] + E[3 * i + 2] * R[6 + j];
    deco_rotation_from_six(out, sum); /* rows 1 and 2, made orthogonal again */
}

static void sums_at(float sums[DECO_NORMAL_SUMS], const deco_search_sliced *s, int64_t image, const double R[9], const double t[2],
                    deco_sliced_scratch *w)
{
    const deco_sliced_level *last = &s->level[s->levels - 1];
    float matrix[9], shift[2] = {(float)t[0], (float)t[1]};

    for (int i = 0; i < 9; i++)
        matrix[i] = (float)R[i];
    deco_sliced_image_shift(s, s->levels - 1, shift, w);
    s->kernels->normal(sums, &s->snapshot[s->centroid[image]], matrix, &last->half, w->image, w->ctf);
}

void deco_sliced_newton(deco_search_sliced *s, int64_t image, int64_t steps, deco_sliced_scratch *w)
{
    const double per_step = (double)s->m->D / DECO_TWO_PI; /* pixels a unit of the last two unknowns */
    const int unknowns = deco_sliced_shift_known(s) ? 3 : 5;
    double R[9], t[2], next_R[9], next_t[2], step[5];
    float sums[DECO_NORMAL_SUMS], next[DECO_NORMAL_SUMS];

    for (int i = 0; i < 9; i++)
        R[i] = s->found_R[9 * image + i];
    t[0] = s->found_shift[2 * image], t[1] = s->found_shift[2 * image + 1];
    deco_sliced_image_load(s, image, s->levels - 1, false, w);
    sums_at(sums, s, image, R, t, w);
    for (int64_t i = 0; i < steps && step_from(step, sums, unknowns); i++) {
        turn(next_R, step, R);
        next_t[0] = t[0] + per_step * step[3], next_t[1] = t[1] + per_step * step[4];
        sums_at(next, s, image, next_R, next_t, w);
        if (!(next[20] < sums[20]))
            break;
        memcpy(R, next_R, sizeof R);
        memcpy(t, next_t, sizeof t);
        memcpy(sums, next, sizeof sums);
    }
    for (int i = 0; i < 9; i++)
        s->found_R[9 * image + i] = (float)R[i];
    s->found_shift[2 * image] = (float)t[0], s->found_shift[2 * image + 1] = (float)t[1];
    s->found_score[image] = sums[20];
}

/* ---- the decoder ------------------------------------------------------------------------------------------------- */

enum { SLICES_AT_ONCE = 64 };

struct deco_sliced_exact {
    int64_t P, images;     /* points of the last level; images decoded at once */
    float *R, *z, *values; /* [slices,9], [slices,Z], [slices,P] */
    float *dev_k, *dev_R, *dev_z, *dev_values;
    int64_t first; /* image of the first slice now */
};

deco_status deco_sliced_exact_create(deco_search_sliced *s)
{
    deco_status st = DECO_OK;
    struct deco_sliced_exact *e = NULL;
    deco_mask *mask = NULL;
    deco_device *dev = s->m->dev;
    size_t f = sizeof(float), Z = (size_t)s->m->shape.Z;

    TRY(deco_alloc(&e, 1, sizeof *e, "finalists of a pose search"));
    s->exact = e;
    e->images = SLICES_AT_ONCE / s->config.rescore > 0 ? SLICES_AT_ONCE / s->config.rescore : 1;
    TRY(deco_mask_create(&mask, s->m->shape.L, s->level[s->levels - 1].half.radius));
    e->P = mask->P;
    size_t slices = (size_t)(e->images * s->config.rescore), P = (size_t)e->P;
    TRY(deco_alloc(&e->R, slices, 9 * f, "finalists of a pose search"));
    TRY(deco_alloc(&e->z, slices, (Z + 1) * f, "finalists of a pose search"));
    TRY(deco_alloc(&e->values, slices, P * f, "finalists of a pose search"));
    TRY(deco_device_alloc(dev, &e->dev_k, 2 * P * f, "finalists of a pose search"));
    TRY(deco_device_alloc(dev, &e->dev_R, 9 * slices * f, "finalists of a pose search"));
    TRY(deco_device_alloc(dev, &e->dev_z, (Z + 1) * slices * f, "finalists of a pose search"));
    TRY(deco_device_alloc(dev, &e->dev_values, slices * P * f, "finalists of a pose search"));
    TRY(deco_device_upload(dev, e->dev_k, mask->k, 2 * P * f));
out:
    deco_mask_free(mask);
    return st;
}

void deco_sliced_exact_free(deco_search_sliced *s)
{
    struct deco_sliced_exact *e = s->exact;

    if (!e)
        return;
    free(e->R);
    free(e->z);
    free(e->values);
    deco_device_release(s->m->dev, e->dev_k);
    deco_device_release(s->m->dev, e->dev_R);
    deco_device_release(s->m->dev, e->dev_z);
    deco_device_release(s->m->dev, e->dev_values);
    free(e);
}

static int64_t finalists(const deco_search_sliced *s, int64_t image)
{
    return s->best[image].kept < s->config.rescore ? s->best[image].kept : s->config.rescore;
}

/* Slices of the finalists of `n` images from e->first, all of an image's next to each other. */
static deco_status decode_finalists(deco_search_sliced *s, int64_t n)
{
    deco_status st = DECO_OK;
    struct deco_sliced_exact *e = s->exact;
    deco_device *dev = s->m->dev;
    const deco_hypervolume *h = &s->m->shape;
    int64_t slices = n * s->config.rescore, Z = h->Z;

    for (int64_t i = 0; i < slices; i++) {
        int64_t image = e->first + i / s->config.rescore, of = i % s->config.rescore;
        double q[4], R[9];
        if (of >= finalists(s, image))
            of = 0; /* a slice of no use in the place of a missing one */
        deco_so3_quaternion(q, (int)(s->grid.base_healpy + s->levels - 1), s->best[image].pose[of].rotation);
        deco_rotation_from_quaternion(R, q);
        for (int j = 0; j < 9; j++)
            e->R[9 * i + j] = (float)R[j];
        if (Z)
            memcpy(e->z + i * Z, s->in->z + image * Z, (size_t)Z * sizeof *e->z);
    }
    TRY(deco_device_upload(dev, e->dev_R, e->R, (size_t)(9 * slices) * sizeof(float)));
    if (Z)
        TRY(deco_device_upload(dev, e->dev_z, e->z, (size_t)(Z * slices) * sizeof(float)));
    TRY(deco_hypervolume_values(dev, h, deco_f32_2(e->dev_values, slices, e->P), deco_none(),
                                deco_f32_1(s->m->decoder.x, s->m->decoder.count), deco_f32_2(s->m->freqs, 3 * h->pe_dim, 3),
                                deco_f32_2(e->dev_k, e->P, 2), deco_f32_3(e->dev_R, slices, 3, 3),
                                Z ? deco_f32_2(e->dev_z, slices, Z) : deco_none()));
    TRY(deco_device_download(dev, e->values, e->dev_values, (size_t)(slices * e->P) * sizeof(float)));
out:
    return st;
}

/* ½ ‖CTF·slice‖² - <image, CTF·slice>, the image with its CTF and shifted in w->image. In double: few slices, many points. */
static float exact_score(const deco_half_plane *half, const float *slice, const deco_sliced_scratch *w)
{
    double sum = 0;

    for (int64_t j = 0; j < half->points; j++) {
        double at = slice[half->points + j], opposite = slice[half->points - 1 - j];
        sum += w->half_ctf2[j] * (at * at + opposite * opposite) - (w->image.at[j] * at + w->image.opposite[j] * opposite);
    }
    return (float)sum;
}

static deco_status choose_finalist(void *context, int64_t i, int worker)
{
    deco_search_sliced *s = context;
    const struct deco_sliced_exact *e = s->exact;
    const deco_half_plane *half = &s->level[s->levels - 1].half;
    deco_sliced_scratch *w = &s->scratch[worker];
    int64_t image = e->first + i, chosen = -1;
    float best = 0;

    deco_sliced_image_load(s, image, s->levels - 1, true, w);
    for (int64_t k = 0; k < finalists(s, image); k++) {
        int64_t at = i * s->config.rescore + k;
        deco_sliced_image_shift(s, s->levels - 1, s->best[image].pose[k].shift, w);
        float score = exact_score(half, e->values + at * e->P, w);
        if (chosen < 0 || score < best)
            chosen = k, best = score;
    }
    memcpy(s->found_R + 9 * image, e->R + 9 * (i * s->config.rescore + chosen), 9 * sizeof *e->R);
    memcpy(s->found_shift + 2 * image, s->best[image].pose[chosen].shift, 2 * sizeof *s->found_shift);
    s->found_score[image] = best;
    return DECO_OK;
}

deco_status deco_sliced_exact_run(deco_search_sliced *s)
{
    deco_status st = DECO_OK;
    struct deco_sliced_exact *e = s->exact;

    for (e->first = 0; e->first < s->in->B; e->first += e->images) {
        int64_t left = s->in->B - e->first, n = left < e->images ? left : e->images;
        TRY(deco_search_go_on(s->in));
        TRY(decode_finalists(s, n));
        TRY(deco_pool_run(deco_device_pool(s->m->dev), choose_finalist, s, n));
    }
out:
    return st;
}
