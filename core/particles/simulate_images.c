/* Images of particles, a chunk at a time: slice, back-transform on twice the box, cut, noise. */
#include "base/philox.h"
#include "compute/ops.h"
#include "particles/simulate_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_VALUES (8 << 20) /* of the wide transforms in work: 32 MB */

struct sim_imager {
    const sim_settings *s;
    float *const *transform;
    const sim_particle *particle;
    deco_device *dev;
    int64_t chunk;
    float *wide, *image, *noise; /* [chunk,2D,2D], [chunk,D,D] and the same for coloured noise */
    float *spectrum;             /* [D,D] coloured noise: what a white transform is multiplied by */
    const int64_t *row;          /* of the call in work */
    double *signal;
    bool with_noise;
};

/* Amplitudes of the noise: power 1 + 4 / (1 + (f / 0.08)²), f in cycles per pixel, scaled to a mean of 1: much at low frequency, flat at
 * high, as ice and carbon leave it. */
static void fill_spectrum(float *spectrum, int64_t D)
{
    double sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < D * D; i++) {
            int64_t column = i % D - D / 2, row = i / D - D / 2;
            double x = (double)column / (double)D, y = (double)row / (double)D;
            double power = 1 + 4 / (1 + (x * x + y * y) / (0.08 * 0.08));
            if (pass == 0)
                sum += power;
            else
                spectrum[i] = (float)sqrt(power / (sum / (double)(D * D)));
        }
}

deco_status sim_imager_create(sim_imager **out, const sim_settings *s, float *const *transform, const sim_particle *particle,
                              deco_device *dev)
{
    deco_status st = DECO_OK;
    sim_imager *g = NULL;
    int64_t D = s->D;

    *out = NULL;
    TRY(deco_alloc(&g, 1, sizeof *g, "imager"));
    g->s = s, g->transform = transform, g->particle = particle, g->dev = dev;
    g->chunk = CHUNK_VALUES / (4 * D * D) ? CHUNK_VALUES / (4 * D * D) : 1;
    g->chunk = g->chunk < s->N ? g->chunk : s->N;
    TRY(deco_alloc(&g->wide, (size_t)(g->chunk * 4 * D * D), sizeof *g->wide, "images in work"));
    TRY(deco_alloc(&g->image, (size_t)(g->chunk * D * D), sizeof *g->image, "images in work"));
    if (!strcmp(s->o->noise, "coloured")) {
        TRY(deco_alloc(&g->noise, (size_t)(g->chunk * D * D), sizeof *g->noise, "noise"));
        TRY(deco_alloc(&g->spectrum, (size_t)(D * D), sizeof *g->spectrum, "spectrum of the noise"));
        fill_spectrum(g->spectrum, D);
    }
    *out = g;
    g = NULL;
out:
    sim_imager_free(g);
    return st;
}

void sim_imager_free(sim_imager *g)
{
    if (!g)
        return;
    free(g->wide);
    free(g->image);
    free(g->noise);
    free(g->spectrum);
    free(g);
}

int64_t sim_imager_chunk(const sim_imager *g) { return g->chunk; }

static deco_status slice_task(void *context, int64_t i, int worker)
{
    sim_imager *g = context;
    int64_t D = g->s->D;
    const sim_particle *p = &g->particle[g->row[i]];
    (void)worker;
    sim_slice(g->wide + i * 4 * D * D, g->transform[p->map], D, p);
    return DECO_OK;
}

/* White noise of variance 1, or its transform times the spectrum. */
static deco_status noise_task(void *context, int64_t i, int worker)
{
    sim_imager *g = context;
    int64_t n = g->s->D * g->s->D;
    deco_random r = deco_random_at(g->s->seed, DECO_STREAM_NOISE, (uint64_t)g->row[i]);
    double scale = sqrt((double)n); /* the transform of white noise has the variance n */
    (void)worker;
    for (int64_t p = 0; p < n; p++)
        g->noise[i * n + p] = (float)(scale * deco_random_normal(&r)) * g->spectrum[p];
    return DECO_OK;
}

/* Variance inside the circle of the mask. */
static double variance_inside(const float *image, int64_t D, double radius)
{
    double sum = 0, squares = 0;
    int64_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t y = -D / 2; y < D / 2; y++)
            for (int64_t x = -D / 2; x < D / 2; x++)
                if ((double)(x * x + y * y) <= radius * radius) {
                    double v = image[(y + D / 2) * D + x + D / 2];
                    if (pass == 0)
                        sum += v, n++;
                    else
                        squares += (v - sum / (double)n) * (v - sum / (double)n);
                }
    return squares / (double)n;
}

static deco_status finish_task(void *context, int64_t i, int worker)
{
    sim_imager *g = context;
    int64_t D = g->s->D, n = D * D;
    const sim_particle *p = &g->particle[g->row[i]];
    float *image = g->image + i * n;
    (void)worker;
    for (int64_t y = 0; y < D; y++)
        memcpy(image + y * D, g->wide + i * 4 * n + (y + D / 2) * 2 * D + D / 2, (size_t)D * sizeof *image);
    g->signal[i] = variance_inside(image, D, g->s->mask_radius_px);
    if (!g->with_noise)
        return DECO_OK;
    deco_random r = deco_random_at(g->s->seed, DECO_STREAM_NOISE, (uint64_t)g->row[i]);
    for (int64_t k = 0; k < n; k++)
        image[k] += p->noise_sigma * (g->noise ? g->noise[i * n + k] : (float)deco_random_normal(&r));
    return DECO_OK;
}

deco_status sim_images_make(const float **out, double *signal, sim_imager *g, const int64_t *row, int64_t n, bool noise)
{
    deco_status st = DECO_OK;
    int64_t D = g->s->D;
    deco_pool *pool = deco_device_pool(g->dev);
    deco_array wide = deco_f32_3(g->wide, n, 2 * D, 2 * D), white = deco_f32_3(g->noise, n, D, D);

    g->row = row, g->signal = signal, g->with_noise = noise;
    TRY(deco_pool_run(pool, slice_task, g, n));
    TRY(deco_hartley_2d(g->dev, wide, wide, true));
    if (noise && g->noise) {
        TRY(deco_pool_run(pool, noise_task, g, n));
        TRY(deco_hartley_2d(g->dev, white, white, true));
    }
    TRY(deco_device_wait(g->dev));
    TRY(deco_pool_run(pool, finish_task, g, n));
    *out = g->image;
out:
    return st;
}
