#include "analysis/twin.h"
#include "analysis/percentile.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A place disagrees when the difference, less the noise's power, has more than this of the power of both, and is this many times the noise's. */
static const double of_power = 0.3, over_noise = 4;
static const double followed = 0.5;       /* of the FSC that a perfect map would have */
static const double density_floor = 0.15; /* of the highest local amplitude: what is less is no density */
enum { FEWEST_SHELLS = 3 };

typedef struct comparison {
    int64_t D, n, last;
    deco_device *dev;
    float *decoded, *twin, *noise; /* [D,D,D] transforms, then maps, up to shell `last` */
} comparison;

static int64_t shell_of(int64_t i, int64_t D)
{
    int64_t x = i % D - D / 2, y = i / D % D - D / 2, z = i / D / D - D / 2;
    return lrint(sqrt((double)(x * x + y * y + z * z)));
}

/* The decoder map brought to the twin's amplitudes shell by shell (a smoother map is not another one), and all cut off at the last shell. */
static deco_status filter(comparison *c)
{
    deco_status st = DECO_OK;
    double *sums = NULL;

    TRY(deco_alloc(&sums, 2 * (size_t)deco_shells(c->D), sizeof *sums, "shells"));
    for (int64_t i = 0; i < c->n; i++) {
        int64_t s = shell_of(i, c->D);
        if (s > c->last)
            continue;
        sums[2 * s] += (double)c->decoded[i] * c->twin[i];
        sums[2 * s + 1] += (double)c->decoded[i] * c->decoded[i];
    }
    for (int64_t i = 0; i < c->n; i++) {
        int64_t s = shell_of(i, c->D);
        bool in = s > 0 && s <= c->last;
        c->decoded[i] = in && sums[2 * s + 1] > 0 ? (float)(fmax(0, sums[2 * s] / sums[2 * s + 1]) * c->decoded[i]) : 0;
        c->twin[i] = in ? c->twin[i] : 0;
        c->noise[i] = in ? c->noise[i] : 0;
    }
    TRY(deco_map_untransform(c->decoded, c->D, c->dev));
    TRY(deco_map_untransform(c->twin, c->D, c->dev));
    TRY(deco_map_untransform(c->noise, c->D, c->dev));
out:
    free(sums);
    return st;
}

/* Mean of a·b about each voxel, in a Gaussian window of `sigma` pixels. */
static deco_status local_mean(float **out, const float *a, const float *b, double sigma, int64_t D, deco_device *dev)
{
    deco_status st = DECO_OK;
    double fall = 2 * M_PI * M_PI * sigma * sigma / (double)(D * D);

    TRY(deco_map_transform(out, a, b, D, dev)); /* the mask multiplies */
    for (int64_t i = 0; i < D * D * D; i++) {
        int64_t x = i % D - D / 2, y = i / D % D - D / 2, z = i / D / D - D / 2;
        (*out)[i] *= (float)exp(-fall * (double)(x * x + y * y + z * z));
    }
    TRY(deco_map_untransform(*out, D, dev));
out:
    return st;
}

/* From local powers of decoder map, twin, noise and their product to the share that disagrees and the local correlation. */
static deco_status judge(deco_twin *t, float *agreement, const float *dd, const float *tt, const float *nn, const float *dt, int64_t n)
{
    deco_status st = DECO_OK;
    double most = 0, all = 0, apart = 0, half = 50;
    float *found = NULL;
    int64_t count = 0;

    TRY(deco_alloc(&found, (size_t)n, sizeof *found, "local correlations"));
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, sqrt(fmax(0, fmax(dd[i], (double)tt[i] - nn[i]))));
    for (int64_t i = 0; i < n; i++) {
        double d = fmax(dd[i], 0), clean = fmax(0, (double)tt[i] - nn[i]), amplitude = sqrt(fmax(d, clean));
        double apart_power = (double)dd[i] + tt[i] - 2 * (double)dt[i], beyond = fmax(0, apart_power - nn[i]);
        agreement[i] = 0;
        if (!(amplitude > density_floor * most) || !(amplitude * amplitude > over_noise * nn[i]))
            continue;
        agreement[i] = d > 0 && tt[i] > 0 ? (float)(dt[i] / sqrt(d * tt[i])) : 0;
        found[count++] = agreement[i];
        all += amplitude;
        if (beyond > of_power * (d + clean) && apart_power > over_noise * nn[i])
            apart += amplitude;
    }
    t->disagreeing = all > 0 ? apart / all : 0;
    if (count)
        TRY(deco_percentiles(&t->local_median, &half, 1, found, count, 1));
out:
    free(found);
    return st;
}

static deco_status compare_locally(deco_twin *t, float *agreement, comparison *c)
{
    deco_status st = DECO_OK;
    double sigma = 0.5 * (double)c->D / (double)c->last;
    float *dd = NULL, *tt = NULL, *nn = NULL, *dt = NULL;

    TRY(filter(c));
    TRY(local_mean(&dd, c->decoded, c->decoded, sigma, c->D, c->dev));
    TRY(local_mean(&tt, c->twin, c->twin, sigma, c->D, c->dev));
    TRY(local_mean(&nn, c->noise, c->noise, sigma, c->D, c->dev));
    TRY(local_mean(&dt, c->decoded, c->twin, sigma, c->D, c->dev));
    TRY(judge(t, agreement, dd, tt, nn, dt, c->n));
out:
    free(dd);
    free(tt);
    free(nn);
    free(dt);
    return st;
}

static double weighted_mean(const double *curve, int64_t last)
{
    double sum = 0, weight = 0;

    for (int64_t s = 1; s <= last; s++) {
        sum += (double)(s * s) * curve[s];
        weight += (double)(s * s);
    }
    return weight > 0 ? sum / weight : 0;
}

/* The map's FSC against the density itself is that against the twin, over a perfect map's. Only where the half maps have something in common. */
static deco_crossing follows(const double *decoder, const double *expected, double *scratch, int64_t held)
{
    for (int64_t s = 0; s <= held; s++)
        scratch[s] = expected[s] > 0 ? decoder[s] / expected[s] : 0;
    scratch[0] = 1;
    return deco_fsc_crossing(scratch, held, followed);
}

deco_status deco_twin_compare(deco_twin *out, float *agreement, double *decoder, const float *decoded, const deco_back_projection *b,
                              deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t D = b->D;
    comparison c = {.D = D, .n = D * D * D, .dev = dev};
    deco_twin t = {.made = true};
    double *expected = NULL; /* [2,shells]: and scratch */
    float *sum = NULL;

    *out = (deco_twin){0};
    TRY(deco_alloc(&sum, (size_t)c.n, sizeof *sum, "a map"));
    TRY(deco_alloc(&expected, 2 * (size_t)deco_shells(D), sizeof *expected, "an FSC curve"));
    TRY(deco_map_transform(&c.decoded, decoded, NULL, D, dev));
    for (int64_t i = 0; i < c.n; i++)
        sum[i] = 0.5f * (b->half[0][i] + b->half[1][i]);
    TRY(deco_map_transform(&c.twin, sum, NULL, D, dev));
    for (int64_t i = 0; i < c.n; i++)
        sum[i] = 0.5f * (b->half[0][i] - b->half[1][i]);
    TRY(deco_map_transform(&c.noise, sum, NULL, D, dev));
    TRY(deco_fsc(decoder, c.decoded, c.twin, D, deco_device_pool(dev)));
    for (int64_t s = 0; s < deco_shells(D); s++)
        expected[s] = deco_fsc_of_whole(b->fsc[s]);
    t.held = deco_fsc_crossing(b->fsc, D / 2, 0.143);
    t.follows = follows(decoder, expected, expected + deco_shells(D), (int64_t)t.held.shell);
    t.shells = (int64_t)fmin(t.follows.shell, deco_fsc_crossing(b->fsc, D / 2, 0.5).shell);
    c.last = t.shells < FEWEST_SHELLS ? FEWEST_SHELLS : t.shells;
    c.last = c.last > D / 2 ? D / 2 : c.last;
    t.fsc = weighted_mean(decoder, c.last);
    t.expected = weighted_mean(expected, c.last);
    TRY(compare_locally(&t, agreement, &c));
    *out = t;
out:
    free(c.decoded);
    free(c.twin);
    free(c.noise);
    free(sum);
    free(expected);
    return st;
}

deco_status deco_twin_fsc(double *out, const float *decoded, const deco_back_projection *b, int64_t last, deco_device *dev)
{
    deco_status st = DECO_OK;
    float *map[2] = {NULL, NULL};
    double *fsc = NULL;

    TRY(deco_map_transform(&map[0], decoded, NULL, b->D, dev));
    TRY(deco_map_transform(&map[1], b->map, NULL, b->D, dev));
    TRY(deco_alloc(&fsc, (size_t)deco_shells(b->D), sizeof *fsc, "an FSC curve"));
    TRY(deco_fsc(fsc, map[0], map[1], b->D, deco_device_pool(dev)));
    *out = weighted_mean(fsc, last);
out:
    free(map[0]);
    free(map[1]);
    free(fsc);
    return st;
}
