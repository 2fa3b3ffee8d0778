/* Sums over images in Fourier space. Work is cut by planes of the grid, not by images: each task owns some planes and goes through all images of a
 * batch in their order, so there is one grid however many threads there are, and the bits do not depend on them. */
#include "analysis/gridding.h"
#include "formulas/shift.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* SLAB: planes of a task. */
enum { SLAB = 8, KERNEL_VALUES = DECO_GRID_KERNEL * DECO_GRID_STEPS / 2 + 2 };

static int64_t cells(const deco_gridding *g) { return g->side * g->side * g->depth; }

static double bessel_i0(double x)
{
    double sum = 1, term = 1;

    for (int i = 1; i < 60 && term > 1e-17 * sum; i++) {
        term *= x * x / (4.0 * i * i);
        sum += term;
    }
    return sum;
}

/* Beatty's β for this width and a grid twice as fine. */
static void fill_kernel(float *kernel)
{
    const double width = DECO_GRID_KERNEL, fine = DECO_GRID_FINE,
                 beta = M_PI * sqrt(width * width / (fine * fine) * (fine - 0.5) * (fine - 0.5) - 0.8);

    for (int i = 0; i < KERNEL_VALUES; i++) {
        double at = 2.0 * i / (DECO_GRID_STEPS * width);
        kernel[i] = at < 1 ? (float)(bessel_i0(beta * sqrt(1 - at * at)) / bessel_i0(beta)) : 0;
    }
}

deco_status deco_gridding_create(deco_gridding **out, deco_device *dev, const deco_mask *mask, int64_t D)
{
    deco_status st = DECO_OK;
    deco_gridding *g = NULL;

    *out = NULL;
    TRY(deco_alloc(&g, 1, sizeof *g, "a back-projection"));
    g->dev = dev;
    g->mask = mask;
    g->D = D;
    g->reach = DECO_GRID_FINE * mask->radius + 1;
    g->side = 2 * g->reach + 1;
    g->depth = g->reach + 2;
    g->room = DECO_GRID_BATCH;
    for (int h = 0; h < 2; h++) {
        TRY(deco_alloc(&g->half[h].value, 2 * (size_t)cells(g), sizeof(float), "a back-projection"));
        TRY(deco_alloc(&g->half[h].weight, (size_t)cells(g), sizeof(float), "a back-projection"));
    }
    TRY(deco_alloc(&g->kernel, KERNEL_VALUES, sizeof *g->kernel, "a back-projection"));
    TRY(deco_alloc(&g->prepared, 3 * (size_t)(g->room * mask->P), sizeof *g->prepared, "a back-projection"));
    fill_kernel(g->kernel);
    *out = g;
    g = NULL;
out:
    deco_gridding_free(g);
    return st;
}

void deco_gridding_free(deco_gridding *g)
{
    if (!g)
        return;
    for (int h = 0; h < 2; h++) {
        free(g->half[h].value);
        free(g->half[h].weight);
    }
    free(g->kernel);
    free(g->prepared);
    free(g);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

typedef struct adding {
    deco_gridding *g;
    const deco_grid_images *in;
} adding;

/* CTF · shifted image as a complex number at every point: H = Re - Im, so Re and Im are half the sum and difference of opposite points. */
static deco_status prepare_one(void *context, int64_t index, int worker)
{
    const adding *a = context;
    const deco_mask *mask = a->g->mask;
    int64_t P = mask->P;
    const float *x = a->in->image + index * P, *t = a->in->shift + 2 * index;
    float *re = a->g->prepared + 3 * index * P, *im = re + P, *power = im + P, w = a->in->weight[index];
    deco_ctf_phase ctf = deco_ctf_prepare(a->in->ctf[index]);

    for (int64_t p = 0; p < P; p++) {
        const float *k = mask->k + 2 * p;
        float c = deco_ctf_at(ctf, k[0], k[1]), phase = deco_shift_phase(k, t);
        float here = deco_shift_value(phase, x[p], x[P - 1 - p]), there = deco_shift_value(-phase, x[P - 1 - p], x[p]);
        re[p] = 0.5f * w * c * (here + there);
        im[p] = 0.5f * w * c * (there - here);
        power[p] = w * c * c;
    }
    return DECO_OK;
}

/* The whole numbers i of [*first, *last] at which a·i + b is within [low, high], or one more to each side. */
static void narrow(int64_t *first, int64_t *last, double a, double b, double low, double high)
{
    double from, to;

    if (fabs(a) < 1e-9) {
        if (b < low - 1 || b > high + 1)
            *last = *first - 1;
        return;
    }
    from = a > 0 ? (low - b) / a : (high - b) / a;
    to = a > 0 ? (high - b) / a : (low - b) / a;
    if (from - 1 > (double)*first)
        *first = from - 1 > (double)*last ? *last + 1 : (int64_t)floor(from - 1);
    if (to + 1 < (double)*last)
        *last = to + 1 < (double)*first ? *first - 1 : (int64_t)ceil(to + 1);
}

static void kernel_at(float w[3], int64_t *first, double p, const float *kernel)
{
    *first = (int64_t)floor(p - 0.5);
    for (int i = 0; i < DECO_GRID_KERNEL; i++) {
        double at = fabs((double)(*first + i) - p) * DECO_GRID_STEPS;
        int64_t cell = (int64_t)at;
        float part = (float)(at - (double)cell);
        w[i] = kernel[cell] + part * (kernel[cell + 1] - kernel[cell]);
    }
}

/* One value onto the cells about p that lie in planes z0 … z1 - 1. */
static void spread(const deco_gridding *g, const deco_grid_sums *s, const double p[3], int64_t z0, int64_t z1, float re, float im,
                   float power)
{
    float wx[3], wy[3], wz[3];
    int64_t x, y, z;

    kernel_at(wx, &x, p[0], g->kernel);
    kernel_at(wy, &y, p[1], g->kernel);
    kernel_at(wz, &z, p[2], g->kernel);
    for (int k = 0; k < 3; k++) {
        if (z + k < z0 || z + k >= z1)
            continue;
        for (int j = 0; j < 3; j++) {
            int64_t at = ((z + k + g->reach) * g->side + y + j + g->reach) * g->depth + x + 1;
            float *value = s->value + 2 * at, *weight = s->weight + at, w = wz[k] * wy[j];
            for (int i = 0; i < 3; i++) {
                value[2 * i] += w * wx[i] * re;
                value[2 * i + 1] += w * wx[i] * im;
                weight[i] += w * wx[i] * power;
            }
        }
    }
}

/* Of each two opposite points of an image the one with x > 0; on x = 0 either will do. */
static bool on_this_side(double x, int64_t kx, int64_t ky) { return x > 0 || (x == 0 && (ky > 0 || (ky == 0 && kx > 0))); }

static void add_image(const deco_gridding *g, const deco_grid_sums *s, const float *prepared, const float *R, int64_t z0, int64_t z1)
{
    const deco_mask *mask = g->mask;
    int64_t radius = mask->radius, P = mask->P, begin = 0;
    const float *re = prepared, *im = re + P, *power = im + P;
    double m[6];

    for (int i = 0; i < 6; i++)
        m[i] = DECO_GRID_FINE * (double)R[i];
    for (int64_t ky = -radius; ky <= radius; ky++) { /* a row of the mask; the middle one leaves its centre out */
        int64_t wide = (int64_t)floor(sqrt((double)(radius * radius - ky * ky)) + 1e-9), first = -wide, last = wide;
        double dy = (double)ky;
        narrow(&first, &last, m[0], dy * m[3], 0, INFINITY);
        narrow(&first, &last, m[2], dy * m[5], (double)z0 - 2, (double)z1 + 1);
        for (int64_t kx = first; kx <= last; kx++) {
            double dx = (double)kx, p[3] = {dx * m[0] + dy * m[3], dx * m[1] + dy * m[4], dx * m[2] + dy * m[5]};
            int64_t at = begin + kx + wide - (ky == 0 && kx > 0);
            if ((kx || ky) && on_this_side(p[0], kx, ky))
                spread(g, s, p, z0, z1, re[at], im[at], power[at]);
        }
        begin += 2 * wide + 1 - (ky == 0);
    }
}

/* Planes of one half set. */
static deco_status add_slab(void *context, int64_t index, int worker)
{
    const adding *a = context;
    const deco_gridding *g = a->g;
    int half = (int)(index % 2);
    int64_t z0 = index / 2 * SLAB - g->reach, z1 = z0 + SLAB <= g->reach ? z0 + SLAB : g->reach + 1;

    for (int64_t b = 0; b < a->in->B; b++)
        if (a->in->half[b] == half)
            add_image(g, &g->half[half], g->prepared + 3 * b * g->mask->P, a->in->R + 9 * b, z0, z1);
    return DECO_OK;
}

deco_status deco_gridding_add(deco_gridding *g, const deco_grid_images *in)
{
    deco_status st = DECO_OK;
    adding a = {g, in};
    deco_pool *pool = deco_device_pool(g->dev);

    if (in->B > g->room || g->folded)
        return deco_fail(DECO_E_ARGUMENT, "back-projection: %lld images at once, or after it was ended", (long long)in->B);
    TRY(deco_pool_run(pool, prepare_one, &a, in->B));
    TRY(deco_pool_run(pool, add_slab, &a, 2 * ((g->side + SLAB - 1) / SLAB)));
    for (int64_t b = 0; b < in->B; b++)
        g->images[in->half[b]]++;
out:
    return st;
}

/* The cell opposite to (x, y, z) holds the conjugate. */
void deco_gridding_fold(deco_gridding *g)
{
    int64_t plane = g->side * g->side;

    for (int h = 0; h < 2; h++)
        for (int64_t i = 0; i < plane; i++) {
            float *value = g->half[h].value, *weight = g->half[h].weight;
            int64_t outside = i * g->depth, here = outside + 1, there = (plane - 1 - i) * g->depth + 1;
            value[2 * there + 2] += value[2 * outside]; /* x = -1 to x = 1 */
            value[2 * there + 3] -= value[2 * outside + 1];
            weight[there + 1] += weight[outside];
            if (here > there)
                continue;
            float re = value[2 * here] + value[2 * there], im = value[2 * here + 1] - value[2 * there + 1],
                  w = weight[here] + weight[there];
            value[2 * here] = value[2 * there] = re;
            value[2 * here + 1] = im;
            value[2 * there + 1] = -im;
            weight[here] = weight[there] = w;
        }
    g->folded = true;
}
