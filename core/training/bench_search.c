/* The benchmark's pose searches, and the exact engine's. */
#include "training/bench_search.h"
#include "training/pose_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The first layer's product is shared by a batch's images: 8 have most of what the default 22 gain, in a third of the time. */
enum { BOX = 128, BATCH = 8, CARD_BATCH = 22, LATENT = 128, L_END = 32, BENCH_SEED = 1 };

static const deco_search_grid method_grid = {
    .base_healpy = 2, .n_iter = 4, .n_kept = 8, .l_start = 12, .l_end = L_END, .t_n_grid = 7, .t_extent = 20};

/* A batch of noise, and where the answers go. */
typedef struct noise {
    int batch;
    deco_model *m;
    deco_mask *mask;
    float *images, *z, *R, *shift, *score;
    deco_ctf_row *ctf;
} noise;

static void noise_free(noise *n)
{
    deco_model_free(n->m);
    deco_mask_free(n->mask);
    free(n->images);
    free(n->z);
    free(n->R);
    free(n->shift);
    free(n->score);
    free(n->ctf);
}

static deco_status draw(float **out, int64_t count, deco_random *random)
{
    deco_status st = deco_alloc(out, (size_t)count, sizeof **out, "benchmark");

    for (int64_t i = 0; !st && i < count; i++)
        (*out)[i] = (float)deco_random_normal(random);
    return st;
}

static deco_status noise_make(noise *n, deco_device *dev)
{
    static const deco_model_config config = {
        .shape = {BOX + 1, 64, 256, 3, LATENT, true}, .feat_sigma = 0.5, .psize_A = 1.5, .std = 1, .D = BOX, .radius = BOX / 2, .N = 1};
    static const deco_ctf_row ctf = {
        .defocus_u_A = 15000, .defocus_v_A = 14500, .amp_contrast = 0.1F, .psize_A = 1.5F, .cs_A = 2.7e7F, .lambda_A = 0.0197};
    deco_status st = DECO_OK;
    deco_random random = deco_random_at(BENCH_SEED, DECO_STREAM_SAMPLE, 0);

    n->batch = deco_bench_on_card(dev) ? CARD_BATCH : BATCH;
    TRY(deco_model_create(&n->m, dev, &config));
    TRY(deco_mask_create(&n->mask, BOX + 1, BOX / 2));
    TRY(draw(&n->images, n->batch * n->mask->P, &random));
    TRY(draw(&n->z, (int64_t)n->batch * LATENT, &random));
    TRY(deco_alloc(&n->ctf, (size_t)n->batch, sizeof *n->ctf, "benchmark"));
    TRY(deco_alloc(&n->R, (size_t)n->batch, 9 * sizeof *n->R, "benchmark"));
    TRY(deco_alloc(&n->shift, (size_t)n->batch, 2 * sizeof *n->shift, "benchmark"));
    TRY(deco_alloc(&n->score, (size_t)n->batch, sizeof *n->score, "benchmark"));
    for (int64_t b = 0; b < n->batch; b++)
        n->ctf[b] = ctf;
out:
    return st;
}

static deco_status search_exact(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_search_exact *search = NULL;
    noise n = {0};
    double begin, now, t;

    TRY(noise_make(&n, dev));
    TRY(deco_search_exact_create(&search, n.m, n.mask, &method_grid, n.batch));
    deco_search_input in = {.B = 1, .images = n.images, .ctf = n.ctf, .z = n.z};
    deco_search_output found = {n.R, n.shift, n.score};
    TRY(deco_search_exact_run(search, &in, &found, NULL)); /* one image: primitives and scratch are made */
    in.B = n.batch;
    begin = deco_seconds();
    do {
        t = deco_seconds();
        TRY(deco_search_exact_run(search, &in, &found, NULL));
        now = deco_seconds();
        out->value = fmax(out->value, n.batch / fmax(now - t, 1e-9));
        TRY(deco_bench_stopped(c, m));
    } while (now - begin < seconds);
    out->unit = "images/s";
    snprintf(out->shape, sizeof out->shape, "\"box\": %d, \"batch\": %d, \"z_dim\": %d, \"l_end\": %d", BOX, n.batch, LATENT, L_END);
out:
    deco_search_exact_free(search);
    noise_free(&n);
    return st;
}

const deco_bench_case deco_search_cases[DECO_SEARCH_CASES] = {
    {"pose_search_exact", search_exact, NULL},
    {"pose_search_sliced", deco_bench_search_sliced, NULL},
};
