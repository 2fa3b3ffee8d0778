#include "analysis/backproject.h"
#include "analysis/fsc.h"
#include "base/philox.h"
#include "particles/file_order.h"
#include "particles/loader.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- half sets --------------------------------------------------------------------------------------------------- */

void deco_half_sets_free(deco_half_sets *h)
{
    free(h->of);
    *h = (deco_half_sets){0};
}

static bool take_split(uint8_t *of, const deco_particles *p)
{
    const deco_column *c = deco_table_find(p->rows, "alignments3D/split");
    int64_t count[2] = {0};

    if (!c || c->kind == 'S')
        return false;
    for (int64_t i = 0; i < p->N; i++) {
        double split = deco_cell_real(c, i, 0);
        if (split != 0 && split != 1)
            return false;
        count[of[i] = split == 1]++;
    }
    return count[0] && count[1];
}

/* Rows in a random order, dealt to the half that their cluster has fewer of; but an image's first row settles where all its rows go. */
static deco_status draw(uint8_t *of, const distinct_images *images, const int32_t *label, int64_t N, uint64_t seed)
{
    deco_status st = DECO_OK;
    deco_random random = deco_random_at(seed, DECO_STREAM_HALVES, 0);
    int64_t *order = NULL, *surplus = NULL, most = 0; /* of a cluster's first half over its second */
    uint8_t *dealt = NULL;                            /* [images] 1 + the half */

    TRY(deco_alloc(&order, (size_t)N, sizeof *order, "half sets"));
    for (int64_t i = 0; i < N && label; i++)
        most = label[i] > most ? label[i] : most;
    TRY(deco_alloc(&surplus, (size_t)most + 1, sizeof *surplus, "half sets"));
    TRY(deco_alloc(&dealt, (size_t)images->count + 1, 1, "half sets"));
    deco_random_permutation(&random, order, N);
    for (int64_t i = 0; i < N; i++) {
        int64_t row = order[i], image = images->number[row];
        int32_t k = label && label[row] > 0 ? label[row] : 0;
        if (!dealt[image])
            dealt[image] = 1 + (surplus[k] > 0);
        of[row] = dealt[image] - 1;
        surplus[k] += of[row] ? -1 : 1;
    }
out:
    free(order);
    free(surplus);
    free(dealt);
    return st;
}

/* Rows of one image that the input has in both halves go where its first row is: else both maps would have its noise. */
static void keep_together(uint8_t *of, const distinct_images *images, int64_t N)
{
    for (int64_t i = 0; i < N; i++)
        of[i] = of[images->row[images->number[i]]];
}

deco_status deco_half_sets_find(deco_half_sets *out, const deco_particles *p, const int32_t *label, uint64_t seed)
{
    deco_status st = DECO_OK;
    deco_half_sets h = {0};
    distinct_images images = {0};

    *out = h;
    TRY(deco_alloc(&h.of, (size_t)p->N, sizeof *h.of, "half sets"));
    TRY(file_order_distinct(&images, p));
    h.drawn = !take_split(h.of, p);
    if (h.drawn)
        TRY(draw(h.of, &images, label, p->N, seed));
    else
        keep_together(h.of, &images, p->N);
    *out = h;
    h = (deco_half_sets){0};
out:
    distinct_images_free(&images);
    deco_half_sets_free(&h);
    return st;
}

/* ---- images into the grid ----------------------------------------------------------------------------------------- */

typedef struct batch_rows {
    float R[DECO_GRID_BATCH * 9], shift[DECO_GRID_BATCH * 2], weight[DECO_GRID_BATCH];
    uint8_t half[DECO_GRID_BATCH];
    deco_ctf_row ctf[DECO_GRID_BATCH];
} batch_rows;

static deco_status add_batch(deco_gridding *g, batch_rows *r, const deco_back_projection_input *in, const deco_batch *b)
{
    for (int64_t i = 0; i < b->B; i++) {
        int64_t row = b->row[i];
        memcpy(r->R + 9 * i, in->R + 9 * row, 9 * sizeof(float));
        memcpy(r->shift + 2 * i, in->shift + 2 * row, 2 * sizeof(float));
        r->weight[i] = in->weight ? in->weight[row] : 1;
        r->half[i] = in->half[row];
        r->ctf[i] = in->particles->ctf[row];
    }
    return deco_gridding_add(g, &(deco_grid_images){b->B, b->images, r->R, r->shift, r->ctf, r->weight, r->half});
}

static deco_status add_images(deco_gridding *g, const deco_back_projection_input *in, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_loader *loader = NULL;
    deco_image_stats images = {.std = 1};
    batch_rows *rows = NULL;
    deco_batch b;
    double waited = 0;

    TRY(deco_alloc(&rows, 1, sizeof *rows, "a batch"));
    if (in->images) {
        images.cache = in->images->cache;
        images.float32 = in->images->float32;
    }
    TRY(deco_loader_create(&loader, in->particles, in->mask, &images, dev, DECO_GRID_BATCH, 2));
    TRY(deco_loader_start(loader, in->row, in->n));
    for (;;) {
        TRY(deco_loader_next(loader, &b, &waited));
        if (!b.B)
            break;
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped during the analysis; `cryodeco analyze` makes it from the last checkpoint"));
        TRY(add_batch(g, rows, in, &b));
        deco_progress_add(m, b.B);
    }
out:
    deco_loader_free(loader);
    free(rows);
    return st;
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

void deco_back_projection_free(deco_back_projection *b)
{
    free(b->map);
    free(b->half[0]);
    free(b->half[1]);
    free(b->fsc);
    *b = (deco_back_projection){0};
}

static deco_status make_halves(deco_back_projection *b, const deco_gridding *g)
{
    deco_status st = DECO_OK;
    int64_t D = b->D;
    float *transform[2] = {NULL, NULL};

    for (int h = 0; h < 2; h++) {
        TRY(deco_alloc(&b->half[h], (size_t)(D * D * D), sizeof(float), "a half map"));
        TRY(deco_gridding_map(b->half[h], g, h, NULL));
        TRY(deco_map_transform(&transform[h], b->half[h], NULL, D, g->dev));
    }
    TRY(deco_alloc(&b->fsc, (size_t)deco_shells(D), sizeof *b->fsc, "an FSC curve"));
    TRY(deco_fsc(b->fsc, transform[0], transform[1], D, deco_device_pool(g->dev)));
out:
    free(transform[0]);
    free(transform[1]);
    return st;
}

/* Signal over noise of the whole is twice that of a half: 2F / (1 - F). With one half empty nothing is known, and the filter is for 1. */
static deco_status make_whole(deco_back_projection *b, const deco_gridding *g)
{
    deco_status st = DECO_OK;
    int64_t D = b->D;
    bool both = b->images[0] && b->images[1];
    double *ssnr = NULL;

    TRY(deco_alloc(&ssnr, (size_t)deco_shells(D), sizeof *ssnr, "signal-to-noise ratios"));
    for (int64_t s = 0; s < deco_shells(D); s++) {
        double f = fmin(fmax(b->fsc[s], 1e-3), 0.999);
        ssnr[s] = both ? 2 * f / (1 - f) : 1;
    }
    TRY(deco_alloc(&b->map, (size_t)(D * D * D), sizeof *b->map, "a map"));
    TRY(deco_gridding_map(b->map, g, 2, ssnr));
out:
    free(ssnr);
    return st;
}

deco_status deco_back_project(deco_back_projection *out, const deco_back_projection_input *in, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_back_projection b = {.D = in->particles->D};
    deco_gridding *g = NULL;

    *out = (deco_back_projection){0};
    TRY(deco_gridding_create(&g, dev, in->mask, b.D));
    TRY(add_images(g, in, dev, m));
    deco_gridding_fold(g);
    memcpy(b.images, g->images, sizeof b.images);
    TRY(make_halves(&b, g));
    TRY(make_whole(&b, g));
    *out = b;
    b = (deco_back_projection){0};
out:
    deco_gridding_free(g);
    deco_back_projection_free(&b);
    return st;
}
