/* The benchmark's case of the sliced pose search: random images, snapshots of a random particle. */
#include "training/bench_search.h"

#include "base/philox.h"
#include "training/pose_search_sliced.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BOX = 128, IMAGES = 256, LATENT = 128, CENTROIDS = 4, L_END = 32, SEED = 1 };

/* Values as rough as a decoder's: that they are slow to compute does not count. */
static float wave(void *context, const double k[3])
{
    const double *phase = context;
    double r2 = k[0] * k[0] + k[1] * k[1] + k[2] * k[2];
    return (float)(exp(-r2 / 800) * (sin(0.7 * k[0] + phase[0]) + cos(0.6 * k[1] - 0.4 * k[2] + phase[0]) + sin(0.9 * k[2])));
}

static float *random_numbers(int64_t n, deco_random *r)
{
    float *p = NULL;
    if (!deco_alloc(&p, (size_t)n, sizeof *p, "benchmark"))
        for (int64_t i = 0; i < n; i++)
            p[i] = (float)(2 * deco_random_uniform(r) - 1);
    return p;
}

static deco_status fill_snapshots(deco_search_sliced *s)
{
    deco_status st = DECO_OK;
    for (int64_t c = 0; c < CENTROIDS; c++) {
        double phase = (double)c;
        float z[LATENT] = {(float)c}; /* centroids on a line */
        TRY(deco_search_sliced_fill(s, c, z, wave, &phase));
    }
out:
    return st;
}

static deco_status best_batch(double *images_per_s, deco_search_sliced *s, const deco_search_input *in, const deco_search_output *out,
                              const deco_bench_case *c, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    double begin, now;
    TRY(deco_search_sliced_run(s, in, out, NULL));
    begin = deco_seconds();
    do {
        double t = deco_seconds();
        TRY(deco_search_sliced_run(s, in, out, NULL));
        now = deco_seconds();
        *images_per_s = fmax(*images_per_s, (double)in->B / fmax(now - t, 1e-9));
        TRY(deco_bench_stopped(c, m));
    } while (now - begin < seconds);
out:
    return st;
}

deco_status deco_bench_search_sliced(deco_bench_rate *rate, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *mon)
{
    deco_status st = DECO_OK;
    const deco_search_grid grid = {
        .base_healpy = 2, .n_iter = 4, .n_kept = 8, .l_start = 12, .l_end = L_END, .t_n_grid = 7, .t_extent = 20};
    const deco_search_sliced_config config = {.oversampling = 1, .centroids = CENTROIDS};
    const deco_hypervolume shape = {.L = BOX + 1, .pe_dim = 8, .H = 32, .n = 1, .Z = LATENT, .layer_norm = true};
    deco_model *m = NULL;
    deco_mask *mask = NULL;
    deco_search_sliced *s = NULL;
    float *images = NULL, *z = NULL, *R = NULL, *shift = NULL, *score = NULL;
    deco_ctf_row *ctf = NULL;
    deco_random random = deco_random_at(SEED, DECO_STREAM_SAMPLE, 0);

    TRY(deco_model_create(&m, dev,
                          &(deco_model_config){.shape = shape, .feat_sigma = 0.5, .psize_A = 2, .std = 1, .D = BOX, .radius = BOX / 2}));
    TRY(deco_mask_create(&mask, BOX + 1, grid.l_end));
    TRY(deco_search_sliced_create(&s, m, mask, &grid, &config, IMAGES));
    TRY(fill_snapshots(s));
    images = random_numbers(IMAGES * mask->P, &random);
    z = random_numbers((int64_t)IMAGES * LATENT, &random);
    R = random_numbers(9 * IMAGES, &random), shift = random_numbers(2 * IMAGES, &random), score = random_numbers(IMAGES, &random);
    TRY(deco_alloc(&ctf, IMAGES, sizeof *ctf, "benchmark"));
    if (!images || !z || !R || !shift || !score)
        TRY(DECO_E_MEMORY);
    for (int64_t b = 0; b < IMAGES; b++) {
        float defocus = (float)(10000 + 40 * b);
        z[b * LATENT] = 2 + 2 * z[b * LATENT]; /* all four centroids have about as many */
        ctf[b] = (deco_ctf_row){defocus, defocus + 300, 0.3f, 0.1f, 0, 0, 2, 2.7e7f, deco_wavelength_A(300)};
    }
    TRY(best_batch(&rate->value, s, &(deco_search_input){.B = IMAGES, .images = images, .ctf = ctf, .z = z},
                   &(deco_search_output){R, shift, score}, c, seconds, mon));
    rate->unit = "images/s";
    snprintf(rate->shape, sizeof rate->shape, "\"box\": %d, \"batch\": %d, \"z_dim\": %d, \"l_end\": %d", BOX, IMAGES, LATENT, L_END);
out:
    free(images);
    free(z);
    free(R);
    free(shift);
    free(score);
    free(ctf);
    deco_search_sliced_free(s);
    deco_mask_free(mask);
    deco_model_free(m);
    return st;
}
