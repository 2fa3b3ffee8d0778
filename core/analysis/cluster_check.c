#include "analysis/cluster_check.h"
#include "base/file.h"
#include "formats/mrc.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Phases are randomised from where the half maps' FSC falls below this; as in RELION's postprocess. */
static const double randomise_below = 0.8;
enum { FEWEST_SHELLS = 3 };

void deco_cluster_check_free(deco_cluster_check *c)
{
    free(c->curve);
    *c = (deco_cluster_check){0};
}

static deco_status write_map(const char *directory, const char *what, int64_t number, const float *map, int64_t D, double psize_A)
{
    char *path = deco_format("%s/%s_%03lld.mrc", directory, what, (long long)number);
    deco_status st =
        path ? deco_mrc_write_volume(path, map, D, D, D, psize_A, "cryodeco") : deco_fail_memory(strlen(directory), "a file's name");

    free(path);
    return st;
}

static double *curve(deco_cluster_check *c, deco_check_curve which, int64_t D) { return c->curve + (int64_t)which * deco_shells(D); }

/* The half maps in the mask, with their phases and with random ones; and the directions. */
static deco_status compare_halves(deco_cluster_check *c, const deco_back_projection *b, const float *mask, uint64_t seed, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(dev);
    int64_t D = b->D, from = (int64_t)deco_fsc_crossing(b->fsc, c->last, randomise_below).shell + 1;
    float *plain[2] = {NULL, NULL}, *masked[2] = {NULL, NULL}, *random[2] = {NULL, NULL};

    c->randomised_from = from;
    for (int h = 0; h < 2; h++) {
        TRY(deco_map_transform(&plain[h], b->half[h], NULL, D, dev));
        TRY(deco_map_transform(&masked[h], b->half[h], mask, D, dev));
    }
    TRY(deco_fsc(curve(c, DECO_CURVE_MASKED, D), masked[0], masked[1], D, pool));
    TRY(deco_fsc_cone_ratio(&c->cone_ratio, plain[0], plain[1], D, (int64_t)ceil(c->half_0143.shell), pool));
    for (int h = 0; h < 2; h++) {
        deco_phases_randomise(plain[h], D, from, seed + (uint64_t)h);
        TRY(deco_map_untransform(plain[h], D, dev));
        TRY(deco_map_transform(&random[h], plain[h], mask, D, dev));
    }
    TRY(deco_fsc(curve(c, DECO_CURVE_RANDOMISED, D), random[0], random[1], D, pool));
    deco_fsc_correct(curve(c, DECO_CURVE_CORRECTED, D), curve(c, DECO_CURVE_MASKED, D), curve(c, DECO_CURVE_RANDOMISED, D), D, from);
    c->masked_05 = deco_fsc_crossing(curve(c, DECO_CURVE_CORRECTED, D), c->last, 0.5);
    c->masked_0143 = deco_fsc_crossing(curve(c, DECO_CURVE_CORRECTED, D), c->last, 0.143);
out:
    for (int h = 0; h < 2; h++) {
        free(plain[h]);
        free(masked[h]);
        free(random[h]);
    }
    return st;
}

static deco_status compare_in_mask(deco_cluster_check *c, const char *directory, const deco_back_projection *b, double psize_A,
                                   uint64_t seed, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_soft_mask mask = {0};

    TRY(deco_soft_mask_make(&mask, b->half[0], b->half[1], b->D, fmax(FEWEST_SHELLS, c->half_05.shell), dev));
    c->mask_share = mask.share;
    c->mask_threshold = mask.threshold;
    c->mask_edge_px = mask.edge_px;
    c->mask_low_pass = mask.low_pass;
    c->mask_sphere = mask.sphere;
    TRY(write_map(directory, "mask", c->number, mask.value, b->D, psize_A));
    TRY(compare_halves(c, b, mask.value, seed, dev));
out:
    deco_soft_mask_free(&mask);
    return st;
}

static deco_status compare_decoder(deco_cluster_check *c, const char *directory, const deco_back_projection *b, const float *decoded,
                                   double psize_A, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t D = b->D;
    float *agreement = NULL;

    TRY(deco_alloc(&agreement, (size_t)(D * D * D), sizeof *agreement, "a map"));
    TRY(deco_twin_compare(&c->twin, agreement, curve(c, DECO_CURVE_DECODER, D), decoded, b, dev));
    TRY(write_map(directory, "agreement", c->number, agreement, D, psize_A));
out:
    free(agreement);
    return st;
}

/* fsc_<number>.csv: a line a shell; a column stays empty where nothing was compared. */
static deco_status write_curves(const deco_cluster_check *c, const char *directory, int64_t D, double psize_A)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    char *path = deco_format("%s/fsc_%03lld.csv", directory, (long long)c->number);

    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_file_create(&f, path));
    TRY(deco_file_print(f, "shell,resolution_A,half,half_masked,half_randomised,half_corrected,decoder,expected\n"));
    for (int64_t s = 1; s <= c->last; s++) {
        TRY(deco_file_print(f, "%lld,%.6g", (long long)s, (double)D * psize_A / (double)s));
        for (int i = 0; i < DECO_CURVES; i++) {
            bool made = i == DECO_CURVE_DECODER ? c->twin.made : c->compared;
            TRY(deco_file_print(f, made ? ",%.6f" : ",", deco_check_curve_of(c, (deco_check_curve)i, D)[s]));
        }
        TRY(deco_file_print(f, "\n"));
    }
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    free(path);
    return st;
}

deco_status deco_cluster_check_make(deco_cluster_check *out, const char *directory, int64_t number, const deco_back_projection *b,
                                    const float *decoded, double psize_A, uint64_t seed, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t D = b->D;
    deco_cluster_check c = {.number = number, .images = {b->images[0], b->images[1]}, .membership = NAN, .way = NAN, .last = D / 2};

    *out = (deco_cluster_check){0};
    c.compared = b->images[0] && b->images[1];
    TRY(deco_alloc(&c.curve, DECO_CURVES * (size_t)deco_shells(D), sizeof *c.curve, "FSC curves"));
    memcpy(c.curve, b->fsc, (size_t)deco_shells(D) * sizeof *c.curve);
    for (int64_t s = 0; s < deco_shells(D); s++)
        curve(&c, DECO_CURVE_EXPECTED, D)[s] = deco_fsc_of_whole(b->fsc[s]);
    c.half_05 = deco_fsc_crossing(b->fsc, c.last, 0.5);
    c.half_0143 = deco_fsc_crossing(b->fsc, c.last, 0.143);
    TRY(write_map(directory, "map", number, b->map, D, psize_A));
    TRY(write_map(directory, "half_0", number, b->half[0], D, psize_A));
    TRY(write_map(directory, "half_1", number, b->half[1], D, psize_A));
    if (c.compared)
        TRY(compare_in_mask(&c, directory, b, psize_A, seed, dev));
    if (c.compared && decoded)
        TRY(compare_decoder(&c, directory, b, decoded, psize_A, dev));
    TRY(write_curves(&c, directory, D, psize_A));
    *out = c;
    c = (deco_cluster_check){0};
out:
    deco_cluster_check_free(&c);
    return st;
}
