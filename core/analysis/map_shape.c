#include "analysis/map_shape.h"
#include "compute/ops.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_map_shape_check(const deco_map_shape *s, int64_t D)
{
    int64_t box = s->box ? s->box : D;

    if (box % 2 || box > D)
        return deco_fail(DECO_E_ARGUMENT, "box is %lld; it must be even and at most that of the maps, %lld", (long long)box, (long long)D);
    if (s->crop % 2 || s->crop > box)
        return deco_fail(DECO_E_ARGUMENT, "crop is %lld; it must be even and at most the box, %lld", (long long)s->crop, (long long)box);
    return DECO_OK;
}

int64_t deco_map_shape_box(const deco_map_shape *s, int64_t D) { return s->crop ? s->crop : s->box ? s->box : D; }

double deco_map_shape_psize(const deco_map_shape *s, int64_t D, double psize_A)
{
    return s->box ? psize_A * (double)D / (double)s->box : psize_A;
}

/* The part of a shell that a low pass at radius `edge` lets through. */
static double passed(double radius, double edge)
{
    return radius <= edge - 1 ? 1 : radius >= edge + 1 ? 0 : 0.5 + 0.5 * cos(M_PI * (radius - edge + 1) / 2);
}

/* The middle `to` of the `from` numbers along each axis, in place: what is read never stands before what is written. */
static void take_middle(float *map, int64_t from, int64_t to)
{
    int64_t first = from / 2 - to / 2;

    for (int64_t z = 0; z < to; z++)
        for (int64_t y = 0; y < to; y++)
            memmove(map + (z * to + y) * to, map + ((z + first) * from + y + first) * from + first, (size_t)to * sizeof *map);
}

static deco_status transform(float *map, int64_t D, bool inverse, deco_device *dev)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)(D * D * D) * sizeof *map;
    float *there = NULL;

    TRY(deco_device_alloc(dev, &there, bytes, "a density map"));
    TRY(deco_device_upload(dev, there, map, bytes));
    TRY(deco_hartley_3d(dev, deco_f32_3(there, D, D, D), deco_f32_3(there, D, D, D), inverse));
    TRY(deco_device_download(dev, map, there, bytes));
out:
    deco_device_release(dev, there);
    return st;
}

deco_status deco_map_shape_apply(float *map, const deco_map_shape *s, int64_t D, double psize_A, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t box = s->box ? s->box : D, i = 0;
    double edge = s->low_pass_A > 0 ? (double)D * psize_A / s->low_pass_A : INFINITY;
    double scale = (double)box * (double)box * (double)box / ((double)D * (double)D * (double)D); /* of the smaller inverse */

    if (box < D || isfinite(edge)) {
        TRY(transform(map, D, false, dev));
        for (int64_t z = -D / 2; z < D / 2; z++)
            for (int64_t y = -D / 2; y < D / 2; y++)
                for (int64_t x = -D / 2; x < D / 2; x++)
                    map[i++] *= (float)(scale * passed(sqrt((double)(x * x + y * y + z * z)), edge));
        take_middle(map, D, box);
        TRY(transform(map, box, true, dev));
    }
    if (s->crop)
        take_middle(map, box, s->crop);
out:
    return st;
}
