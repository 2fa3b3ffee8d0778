#include "analysis/fsc.h"
#include "base/philox.h"
#include "compute/ops.h"
#include <chealpix.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* NSIDE: 192 directions, of which opposite ones are the same cone. */
enum { CONES = 96, NSIDE = 4 };
static const double cone_deg = 20;

static deco_status transform(float *field, int64_t D, deco_device *dev, bool inverse)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)(D * D * D) * sizeof *field;
    float *there = NULL;
    deco_array a;

    TRY(deco_device_alloc(dev, &there, bytes, "a map's transform"));
    TRY(deco_device_upload(dev, there, field, bytes));
    a = deco_f32_3(there, D, D, D);
    TRY(deco_hartley_3d(dev, a, a, inverse));
    TRY(deco_device_download(dev, field, there, bytes));
out:
    deco_device_release(dev, there);
    return st;
}

deco_status deco_map_transform(float **out, const float *map, const float *mask, int64_t D, deco_device *dev)
{
    deco_status st = DECO_OK;
    float *field = NULL;

    *out = NULL;
    TRY(deco_alloc(&field, (size_t)(D * D * D), sizeof *field, "a map's transform"));
    for (int64_t i = 0; i < D * D * D; i++)
        field[i] = mask ? map[i] * mask[i] : map[i];
    TRY(transform(field, D, dev, false));
    *out = field;
    field = NULL;
out:
    free(field);
    return st;
}

deco_status deco_map_untransform(float *hartley, int64_t D, deco_device *dev) { return transform(hartley, D, dev, true); }

/* ---- shells ------------------------------------------------------------------------------------------------------ */

typedef struct shell_sums {
    const float *a, *b;
    int64_t D;
    double *sums; /* [D,shells,3] by plane: ab, aa, bb */
} shell_sums;

static deco_status sum_plane(void *context, int64_t index, int worker)
{
    const shell_sums *s = context;
    int64_t D = s->D, z = index - D / 2;
    double *sums = s->sums + 3 * index * deco_shells(D);

    for (int64_t y = -D / 2; y < D / 2; y++)
        for (int64_t x = -D / 2; x < D / 2; x++) {
            int64_t i = ((z + D / 2) * D + y + D / 2) * D + x + D / 2, r = lrint(sqrt((double)(x * x + y * y + z * z)));
            if (r > D / 2)
                continue;
            sums[3 * r] += (double)s->a[i] * s->b[i];
            sums[3 * r + 1] += (double)s->a[i] * s->a[i];
            sums[3 * r + 2] += (double)s->b[i] * s->b[i];
        }
    return DECO_OK;
}

static double correlation(double ab, double aa, double bb) { return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0; }

deco_status deco_fsc(double *out, const float *a, const float *b, int64_t D, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t n = deco_shells(D);
    shell_sums s = {a, b, D, NULL};

    TRY(deco_alloc(&s.sums, 3 * (size_t)(D * n), sizeof *s.sums, "shells"));
    TRY(deco_pool_run(pool, sum_plane, &s, D));
    for (int64_t r = 0; r < n; r++) {
        double total[3] = {0};
        for (int64_t z = 0; z < D; z++)
            for (int i = 0; i < 3; i++)
                total[i] += s.sums[3 * (z * n + r) + i];
        out[r] = r ? correlation(total[0], total[1], total[2]) : 1;
    }
out:
    free(s.sums);
    return st;
}

deco_crossing deco_fsc_crossing(const double *fsc, int64_t last, double threshold)
{
    for (int64_t s = 1; s <= last; s++)
        if (fsc[s] < threshold)
            return (deco_crossing){(double)s - 1 + (fsc[s - 1] - threshold) / (fsc[s - 1] - fsc[s]), false};
    return (deco_crossing){(double)last, true};
}

double deco_fsc_of_whole(double half) { return half > 0 ? sqrt(2 * half / (1 + half)) : 0; }

/* ---- noise in place of signal ------------------------------------------------------------------------------------- */

void deco_phases_randomise(float *hartley, int64_t D, int64_t from, uint64_t seed)
{
    int64_t n = D * D * D, c = D / 2;

    for (int64_t i = 0; i < n; i++) {
        int64_t x = i % D - c, y = i / D % D - c, z = i / D / D - c;
        int64_t opposite = (((c - z) % D) * D + (c - y) % D) * D + (c - x) % D; /* -D/2 is its own opposite along an axis */
        if (opposite < i || x * x + y * y + z * z < from * from)
            continue;
        deco_random random = deco_random_at(seed, DECO_STREAM_PHASES, (uint64_t)i);
        double turn = 2 * M_PI * deco_random_uniform(&random);
        if (opposite == i) { /* a real number has a sign for a phase */
            hartley[i] = turn < M_PI ? hartley[i] : -hartley[i];
            continue;
        }
        double length = sqrt(((double)hartley[i] * hartley[i] + (double)hartley[opposite] * hartley[opposite]) / 2);
        hartley[i] = (float)(length * (cos(turn) - sin(turn)));
        hartley[opposite] = (float)(length * (cos(turn) + sin(turn)));
    }
}

void deco_fsc_correct(double *out, const double *masked, const double *randomised, int64_t D, int64_t from)
{
    for (int64_t s = 0; s < deco_shells(D); s++)
        out[s] = s < from + 2 || randomised[s] >= 1 ? masked[s] : (masked[s] - randomised[s]) / (1 - randomised[s]);
}

/* ---- directions -------------------------------------------------------------------------------------------------- */

typedef struct cones {
    const float *a, *b;
    int64_t D, last;
    double axis[CONES][3], area[CONES];
    double *sums; /* [CONES,last + 1,3] */
} cones;

static deco_status sum_cone(void *context, int64_t index, int worker)
{
    cones *c = context;
    int64_t D = c->D;
    const double *u = c->axis[index], near = cos(cone_deg * M_PI / 180);
    double *sums = c->sums + 3 * index * (c->last + 1), area = 0;

    for (int64_t z = -D / 2; z < D / 2; z++)
        for (int64_t y = -D / 2; y < D / 2; y++)
            for (int64_t x = -D / 2; x < D / 2; x++) {
                double d2 = (double)(x * x + y * y + z * z), along = u[0] * (double)x + u[1] * (double)y + u[2] * (double)z;
                if (along * along < near * near * d2)
                    continue;
                int64_t r = lrint(sqrt(d2)), i = ((z + D / 2) * D + y + D / 2) * D + x + D / 2;
                if (r > c->last)
                    continue;
                sums[3 * r] += (double)c->a[i] * c->b[i];
                sums[3 * r + 1] += (double)c->a[i] * c->a[i];
                sums[3 * r + 2] += (double)c->b[i] * c->b[i];
            }
    for (int64_t r = 1; r <= c->last; r++)
        area += fmax(0, correlation(sums[3 * r], sums[3 * r + 1], sums[3 * r + 2]));
    c->area[index] = area;
    return DECO_OK;
}

deco_status deco_fsc_cone_ratio(double *out, const float *a, const float *b, int64_t D, int64_t last, deco_pool *pool)
{
    deco_status st = DECO_OK;
    cones *c = NULL;
    double least = INFINITY, most = 0;
    int found = 0;

    *out = 0;
    TRY(deco_alloc(&c, 1, sizeof *c, "cones"));
    c->a = a;
    c->b = b;
    c->D = D;
    c->last = last;
    for (long i = 0; i < 2 * CONES; i++) {
        double u[3];
        pix2vec_ring(NSIDE, i, u);
        if (found < CONES && (u[2] > 1e-9 || (fabs(u[2]) <= 1e-9 && (u[1] > 1e-9 || (fabs(u[1]) <= 1e-9 && u[0] > 0)))))
            memcpy(c->axis[found++], u, sizeof u);
    }
    TRY(deco_alloc(&c->sums, 3 * (size_t)(CONES * (last + 1)), sizeof *c->sums, "cones"));
    TRY(deco_pool_run(pool, sum_cone, c, CONES));
    for (int i = 0; i < CONES; i++) {
        least = fmin(least, c->area[i]);
        most = fmax(most, c->area[i]);
    }
    *out = most > 0 ? least / most : 0;
out:
    if (c)
        free(c->sums);
    free(c);
    return st;
}
