#include "analysis/difference.h"
#include "analysis/fsc.h"
#include <math.h>
#include <stdlib.h>

void deco_low_shells_free(deco_low_shells *s)
{
    free(s->half[0]);
    free(s->half[1]);
    *s = (deco_low_shells){0};
}

deco_status deco_low_shells_take(deco_low_shells *out, const deco_back_projection *b, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t D = b->D, r = D / 2 - 1 < DECO_DIFFERENCE_SHELLS ? D / 2 - 1 : DECO_DIFFERENCE_SHELLS, side = 2 * r + 1;
    deco_low_shells s = {0};
    float *transform = NULL;

    *out = s;
    for (int h = 0; h < 2; h++) {
        TRY(deco_alloc(&s.half[h], (size_t)(side * side * side), sizeof(float), "low shells"));
        TRY(deco_map_transform(&transform, b->half[h], NULL, D, dev));
        s.points = 0;
        for (int64_t z = -r; z <= r; z++)
            for (int64_t y = -r; y <= r; y++)
                for (int64_t x = -r; x <= r; x++)
                    if (x * x + y * y + z * z <= r * r && (x || y || z))
                        s.half[h][s.points++] = transform[((z + D / 2) * D + y + D / 2) * D + x + D / 2];
        free(transform);
        transform = NULL;
    }
    *out = s;
    s = (deco_low_shells){0};
out:
    free(transform);
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
