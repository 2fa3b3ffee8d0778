#include "analysis/difference.h"
#include "analysis/fsc.h"
#include <math.h>
#include <stdlib.h>

void deco_low_shells_free(deco_low_shells *s)
{
    free(s->half[0]);
    free(s->half[1]);
    free(s->decoded);
    free(s->shell);
    *s = (deco_low_shells){0};
}

static int64_t shells_of(int64_t D) { return D / 2 - 1 < DECO_DIFFERENCE_SHELLS ? D / 2 - 1 : DECO_DIFFERENCE_SHELLS; }

/* The points of a map's transform in the low shells, always in the same order. */
static deco_status take(deco_low_shells *s, float **out, const float *map, int64_t D, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t r = shells_of(D), side = 2 * r + 1;
    float *transform = NULL;

    TRY(deco_alloc(out, (size_t)(side * side * side), sizeof **out, "low shells"));
    TRY(deco_map_transform(&transform, map, NULL, D, dev));
    s->points = 0;
    for (int64_t z = -r; z <= r; z++)
        for (int64_t y = -r; y <= r; y++)
            for (int64_t x = -r; x <= r; x++) {
                int64_t d2 = x * x + y * y + z * z;
                if (d2 > r * r || !d2)
                    continue;
                s->shell[s->points] = (uint8_t)lrint(sqrt((double)d2));
                (*out)[s->points++] = transform[((z + D / 2) * D + y + D / 2) * D + x + D / 2];
            }
out:
    free(transform);
    return st;
}

deco_status deco_low_shells_take(deco_low_shells *out, const deco_back_projection *b, const float *decoded, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t side = 2 * shells_of(b->D) + 1;
    deco_low_shells s = {0};

    *out = s;
    TRY(deco_alloc(&s.shell, (size_t)(side * side * side), sizeof *s.shell, "low shells"));
    for (int h = 0; h < 2; h++)
        TRY(take(&s, &s.half[h], b->half[h], b->D, dev));
    if (decoded)
        TRY(take(&s, &s.decoded, decoded, b->D, dev));
    *out = s;
    s = (deco_low_shells){0};
out:
    deco_low_shells_free(&s);
    return st;
}

double deco_difference(const deco_low_shells *a, const deco_low_shells *b)
{
    double ab = 0, bb = 0, both = 0, power[2] = {0};
    double scale;

    for (int64_t i = 0; i < a->points; i++) { /* across the halves, so that noise does not count */
        ab += (double)a->half[0][i] * b->half[1][i] + (double)a->half[1][i] * b->half[0][i];
        bb += 2.0 * b->half[0][i] * b->half[1][i];
    }
    scale = bb > 0 ? ab / bb : 1;
    for (int64_t i = 0; i < a->points; i++) {
        double d[2] = {a->half[0][i] - scale * b->half[0][i], a->half[1][i] - scale * b->half[1][i]};
        both += d[0] * d[1];
        power[0] += d[0] * d[0];
        power[1] += d[1] * d[1];
    }
    return power[0] > 0 && power[1] > 0 ? both / sqrt(power[0] * power[1]) : 0;
}

/* The decoder map brought to the power that both half maps show, shell by shell. */
static void find_scales(double *scale, const deco_low_shells *a)
{
    double power[DECO_DIFFERENCE_SHELLS + 1] = {0}, own[DECO_DIFFERENCE_SHELLS + 1] = {0};

    for (int64_t i = 0; i < a->points; i++) {
        power[a->shell[i]] += (double)a->half[0][i] * a->half[1][i];
        own[a->shell[i]] += (double)a->decoded[i] * a->decoded[i];
    }
    for (int s = 0; s <= DECO_DIFFERENCE_SHELLS; s++)
        scale[s] = own[s] > 0 ? sqrt(fmax(0, power[s]) / own[s]) : 0;
}

double deco_way_from(const deco_low_shells *a, const deco_low_shells *b, int64_t last)
{
    double scale[DECO_DIFFERENCE_SHELLS + 1], come = 0, all = 0;

    if (!a->decoded)
        return NAN;
    find_scales(scale, a);
    for (int64_t i = 0; i < a->points; i++) {
        double d[2] = {(double)a->half[0][i] - b->half[0][i], (double)a->half[1][i] - b->half[1][i]};
        double x = scale[a->shell[i]] * a->decoded[i];
        if (a->shell[i] > last)
            continue;
        come += 0.5 * ((x - b->half[0][i]) * d[1] + (x - b->half[1][i]) * d[0]); /* across the halves: b's noise stands in both factors */
        all += d[0] * d[1];
    }
    return all > 0 ? come / all : NAN;
}
