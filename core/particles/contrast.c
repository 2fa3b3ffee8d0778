/* Are particles darker or lighter than what surrounds them? Asked of the pixels where a file does not say. */
#include "formats/mrc.h"
#include "particles/build.h"

#include <math.h>
#include <stdlib.h>

/* So many images are enough: of 300 each tells by its noise alone, and cold disks are asked little. */
enum { LOOKED_AT = 300 };

/* Standard errors by which the mean difference must stand out. */
static const double clear_enough = 5;

/* Mean of the middle (radius a fifth of the box) less that of a ring at the edge (from 0.8 to 0.98 of half the box), in units of the
 * image's standard deviation; 0 of a constant image. */
static double middle_less_ring(const float *image, int64_t D)
{
    double sum[2] = {0}, all = 0, squares = 0;
    int64_t n[2] = {0};

    for (int64_t y = 0; y < D; y++)
        for (int64_t x = 0; x < D; x++) {
            int64_t kx = x - D / 2, ky = y - D / 2;
            double v = (double)image[y * D + x], r = hypot((double)kx, (double)ky) / (double)D;
            int part = r < 0.2 ? 0 : r > 0.4 && r < 0.49 ? 1 : -1;
            all += v;
            squares += v * v;
            if (part >= 0) {
                sum[part] += v;
                n[part]++;
            }
        }
    double count = (double)(D * D), variance = squares / count - all / count * (all / count);
    if (!n[0] || !n[1] || !(variance > 0) || !isfinite(variance))
        return 0;
    return (sum[0] / (double)n[0] - sum[1] / (double)n[1]) / sqrt(variance);
}

deco_status particles_look_at_contrast(int *out, const deco_particles *p)
{
    deco_status st = DECO_OK;
    int64_t n = p->N < LOOKED_AT ? p->N : LOOKED_AT, looked = 0;
    double sum = 0, squares = 0;
    float *image = NULL;
    deco_mrc *mrc = NULL;

    *out = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t i = k * p->N / n, box = deco_particles_size(p, i)->box;
        const char *path = p->stack[p->image[i].stack];
        if (!path || deco_mrc_open(&mrc, path)) /* what is wrong with it is told when stacks are checked */
            continue;
        if (mrc->nx == box && mrc->ny == box && p->image[i].index < mrc->nz) {
            free(image);
            TRY(deco_alloc(&image, (size_t)(box * box), sizeof *image, "an image"));
            TRY(deco_mrc_read(mrc, image, p->image[i].index, 1));
            double d = middle_less_ring(image, box);
            sum += d;
            squares += d * d;
            looked++;
        }
        deco_mrc_close(mrc);
        mrc = NULL;
    }
    if (looked > 3) {
        double mean = sum / (double)looked, error = sqrt(fmax(squares / (double)looked - mean * mean, 0) / (double)(looked - 1));
        *out = fabs(mean) > clear_enough * error ? (mean < 0 ? -1 : 1) : 0;
    }
out:
    deco_mrc_close(mrc);
    free(image);
    return st;
}
