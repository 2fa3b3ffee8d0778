/* The symmetrised lattice L = D + 1 and its circular masks. METHOD.md section 2. */
#include "geometry/lattice.h"

#include <math.h>
#include <stdlib.h>

static deco_status check_radius(const char *shape, int64_t L, int64_t radius)
{
    if (L < 3 || L % 2 == 0 || L > 32769)
        return deco_fail(DECO_E_ARGUMENT, "%s: a lattice of %lld points an axis; it must be odd (box + 1), 3 to 32769", shape,
                         (long long)L);
    if (radius < 0 || radius > L / 2)
        return deco_fail(DECO_E_ARGUMENT, "%s: radius %lld; it must be 0 to %lld for box %lld", shape, (long long)radius,
                         (long long)(L / 2), (long long)(L - 1));
    return DECO_OK;
}

/* The largest x with x² <= n: the half length of a row of the disc. */
static int64_t half_length(int64_t n)
{
    int64_t x = (int64_t)sqrt((double)n);
    while (x * x > n)
        x--;
    while ((x + 1) * (x + 1) <= n)
        x++;
    return x;
}

int64_t deco_mask_points(int64_t radius)
{
    int64_t n = -1; /* the centre */
    for (int64_t y = -radius; y <= radius; y++)
        n += 2 * half_length(radius * radius - y * y) + 1;
    return n;
}

deco_status deco_mask_create(deco_mask **out, int64_t L, int64_t radius)
{
    deco_status st = DECO_OK;
    deco_mask *m = NULL;

    *out = NULL;
    TRY(check_radius("mask", L, radius));
    TRY(deco_alloc(&m, 1, sizeof *m, "mask"));
    m->L = L, m->radius = radius, m->P = deco_mask_points(radius);
    TRY(deco_alloc(&m->index, (size_t)m->P, sizeof *m->index, "mask"));
    TRY(deco_alloc(&m->k, (size_t)m->P, 2 * sizeof *m->k, "mask"));
    int64_t c = L / 2, p = 0;
    for (int64_t y = -radius; y <= radius; y++) {
        int64_t half = half_length(radius * radius - y * y);
        for (int64_t x = -half; x <= half; x++) {
            if (!x && !y)
                continue;
            m->index[p] = (int32_t)((y + c) * L + x + c);
            m->k[2 * p] = (float)deco_lattice_axis(L, x + c);
            m->k[2 * p + 1] = (float)deco_lattice_axis(L, y + c);
            p++;
        }
    }
    *out = m;
    m = NULL; /* the caller's from here */
out:
    deco_mask_free(m);
    return st;
}

void deco_mask_free(deco_mask *m)
{
    if (!m)
        return;
    free(m->index);
    free(m->k);
    free(m);
}

deco_status deco_ball_create(deco_ball **out, int64_t L, int64_t radius)
{
    deco_status st = DECO_OK;
    deco_ball *b = NULL;
    int64_t c = L / 2, r2 = radius * radius, p = 0;

    *out = NULL;
    TRY(check_radius("ball", L, radius));
    TRY(deco_alloc(&b, 1, sizeof *b, "ball"));
    b->L = L, b->radius = radius, b->P = -1;
    for (int64_t z = -radius; z <= radius; z++)
        for (int64_t y = -half_length(r2 - z * z), end = -y; y <= end; y++)
            b->P += 2 * half_length(r2 - z * z - y * y) + 1;
    TRY(deco_alloc(&b->index, (size_t)b->P, sizeof *b->index, "ball"));
    for (int64_t z = -radius; z <= radius; z++)
        for (int64_t y = -half_length(r2 - z * z), end = -y; y <= end; y++) {
            int64_t half = half_length(r2 - z * z - y * y);
            for (int64_t x = -half; x <= half; x++)
                if (x || y || z)
                    b->index[p++] = ((z + c) * L + y + c) * L + x + c;
        }
    *out = b;
    b = NULL; /* the caller's from here */
out:
    deco_ball_free(b);
    return st;
}

void deco_ball_free(deco_ball *b)
{
    if (!b)
        return;
    free(b->index);
    free(b);
}

void deco_window_fill(float *out, int64_t D)
{
    for (int64_t y = 0; y < D; y++)
        for (int64_t x = 0; x < D; x++) {
            double u = 2.0 * (double)x / (double)D - 1, v = 2.0 * (double)y / (double)D - 1;
            double w = 1 - (sqrt(u * u + v * v) - 0.85) / (0.99 - 0.85);
            out[y * D + x] = (float)(w < 0 ? 0 : w > 1 ? 1 : w);
        }
}
