/* Noise by Fourier shell. */
#include "training/noise_spectrum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_noise_create(deco_noise_spectrum *n, int64_t radius)
{
    deco_status st = DECO_OK;

    *n = (deco_noise_spectrum){.radius = radius};
    TRY(deco_alloc(&n->variance, (size_t)radius + 1, sizeof *n->variance, "the noise's spectrum"));
    TRY(deco_alloc(&n->total, (size_t)radius + 1, sizeof *n->total, "the noise's spectrum"));
    for (int64_t r = 0; r <= radius; r++)
        n->variance[r] = n->total[r] = 1;
out:
    return st;
}

deco_status deco_noise_copy(deco_noise_spectrum *out, const deco_noise_spectrum *n)
{
    deco_status st = deco_noise_create(out, n->radius);

    if (st)
        return st;
    memcpy(out->variance, n->variance, ((size_t)n->radius + 1) * sizeof *n->variance);
    memcpy(out->total, n->total, ((size_t)n->radius + 1) * sizeof *n->total);
    out->known = n->known;
    return DECO_OK;
}

void deco_noise_free(deco_noise_spectrum *n)
{
    free(n->variance);
    free(n->total);
    *n = (deco_noise_spectrum){0};
}

deco_status deco_noise_shells(int32_t **out, const deco_mask *mask)
{
    deco_status st = deco_alloc(out, (size_t)mask->P, sizeof **out, "shells");

    for (int64_t p = 0; !st && p < mask->P; p++) {
        int64_t x = mask->index[p] % mask->L - mask->L / 2, y = mask->index[p] / mask->L - mask->L / 2;
        (*out)[p] = (int32_t)lrint(sqrt((double)(x * x + y * y))); /* never past the radius: it is a whole number */
    }
    return st;
}

void deco_noise_start(deco_noise_spectrum *n, const float *images, int64_t B, const deco_mask *mask, const int32_t *shell)
{
    for (int64_t r = n->known + 1; r <= mask->radius && r <= n->radius; r++) {
        double sum = 0, points = 0;
        for (int64_t p = 0; p < mask->P; p++)
            for (int64_t b = 0; shell[p] == r && b < B; b++) {
                double v = images[b * mask->P + p];
                sum += v * v;
                points++;
            }
        if (sum > 0)
            n->variance[r] = n->total[r] = sum / points;
    }
    n->known = mask->radius > n->known ? mask->radius : n->known;
}

void deco_noise_follow(deco_noise_spectrum *n, const double *power, const double *points, int64_t radius, double step)
{
    for (int64_t r = 1; r <= radius; r++) {
        if (!(points[r] > 0))
            continue;
        double now = n->variance[r] * power[r] / points[r];
        n->variance[r] += step * (fmin(now, n->total[r]) - n->variance[r]);
    }
}

void deco_noise_whiten(float *out, float *ctf, const deco_noise_spectrum *n, const float *image, deco_ctf_row row, const deco_mask *mask,
                       const int32_t *shell)
{
    deco_ctf_phase phase = deco_ctf_prepare(row);

    for (int64_t p = 0; p < mask->P; p++) {
        float by = (float)(1 / sqrt(n->variance[shell[p]]));
        out[p] = by * image[p];
        ctf[p] = by * deco_ctf_at(phase, mask->k[2 * p], mask->k[2 * p + 1]);
    }
}
