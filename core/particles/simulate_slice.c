/* Slices through a map's transform. Read between grid points with a Kaiser–Bessel kernel on twice the box, its own transform divided out
 * of the map beforehand (as in non-uniform FFTs). With 4 points an axis the error is the ratio of the kernel's transform a period away to
 * that in place: 1.5e-4 an axis for density in the middle of the box, 4.5e-4 at its edge. */
#include "compute/ops.h"
#include "particles/simulate_parts.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 4      /* grid points an axis */
#define BETA  8.9962 /* π sqrt((WIDTH/2)² (2 - 1/2)² - 0.8), Beatty's choice for twofold oversampling */
#define STEPS 512    /* of the table, a grid point */
#define TABLE 1024   /* WIDTH / 2 * STEPS */

static float kernel[TABLE + 2];
static pthread_once_t kernel_once = PTHREAD_ONCE_INIT;

/* Modified Bessel function of order 0. */
static double bessel_i0(double x)
{
    double term = 1, sum = 1;
    for (int k = 1; k < 60 && term > 1e-17 * sum; k++) {
        term *= x * x / (4.0 * k * k);
        sum += term;
    }
    return sum;
}

static void fill_kernel(void)
{
    for (int i = 0; i <= TABLE; i++) {
        double t = (double)i / (double)TABLE;
        kernel[i] = (float)(bessel_i0(BETA * sqrt(1 - t * t)) / bessel_i0(BETA));
    }
}

/* The kernel's transform at `nu` cycles per grid point. */
static double kernel_transform(double nu)
{
    double w = M_PI * WIDTH * nu, s = sqrt(BETA * BETA - w * w); /* |nu| <= 1/4, so w stays below BETA */
    return WIDTH * sinh(s) / s / bessel_i0(BETA);
}

/* The stored grid: points -D-1 .. D+1 of a transform of period 2D. */
static int64_t side(int64_t D) { return 2 * D + 3; }
size_t sim_transform_count(int64_t D) { return (size_t)(side(D) * side(D) * side(D)); }

static void spread(float *out, const float *in, int64_t D)
{
    int64_t n = side(D), m = 2 * D;
    for (int64_t z = 0; z < n; z++)
        for (int64_t y = 0; y < n; y++) {
            const float *from = in + ((z + m - 1) % m * m + (y + m - 1) % m) * m;
            float *to = out + (z * n + y) * n;
            for (int64_t x = 0; x < n; x++)
                to[x] = from[(x + m - 1) % m];
        }
}

deco_status sim_transform_make(float **out, const float *v, int64_t D, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t m = 2 * D, half = D / 2;
    float *wide = NULL, *h = NULL, *divided = NULL;
    double *c = NULL;

    *out = NULL;
    pthread_once(&kernel_once, fill_kernel);
    TRY(deco_alloc(&c, (size_t)D, sizeof *c, "kernel"));
    TRY(deco_alloc(&divided, (size_t)(D * D * D), sizeof *divided, "map"));
    TRY(deco_alloc(&wide, (size_t)(m * m * m), sizeof *wide, "transform of a map"));
    for (int64_t i = 0; i < D; i++)
        c[i] = kernel_transform((double)(i - half) / (double)m);
    for (int64_t z = 0; z < D; z++)
        for (int64_t y = 0; y < D; y++)
            for (int64_t x = 0; x < D; x++)
                divided[(z * D + y) * D + x] = (float)(v[(z * D + y) * D + x] / (c[z] * c[y] * c[x]));
    sim_central(wide, m, divided, D);
    TRY(deco_hartley_3d(dev, deco_f32_3(wide, m, m, m), deco_f32_3(wide, m, m, m), false));
    TRY(deco_device_wait(dev));
    TRY(deco_alloc(&h, sim_transform_count(D), sizeof *h, "transform of a map"));
    spread(h, wide, D);
    *out = h;
out:
    free(c);
    free(divided);
    free(wide);
    return st;
}

void sim_transform_scale(float *h, int64_t D, double factor)
{
    size_t n = sim_transform_count(D);
    for (size_t i = 0; i < n; i++)
        h[i] *= (float)factor;
}

/* Weights of the grid points first .. first+3 around coordinate p. */
static int64_t weights(float w[WIDTH], double p)
{
    int64_t below = (int64_t)floor(p);
    for (int i = 0; i < WIDTH; i++) {
        float t = (float)fabs(p - (double)(below - 1 + i)) * STEPS;
        int at = (int)t;
        w[i] = at >= TABLE ? 0 : kernel[at] + (t - (float)at) * (kernel[at + 1] - kernel[at]);
    }
    return below - 1;
}

/* Values at p and at -p, whose grid points are the mirrored ones with the same weights. */
static void read_pair(float out[2], const float *h, int64_t D, const double p[3])
{
    int64_t n = side(D), c = D + 1, first[3];
    float w[3][WIDTH], forward[WIDTH] = {0}, backward[WIDTH] = {0};
    for (int a = 0; a < 3; a++)
        first[a] = weights(w[a], p[a]);
    for (int z = 0; z < WIDTH; z++)
        for (int y = 0; y < WIDTH; y++) {
            int64_t gz = first[2] + z, gy = first[1] + y, gx = first[0];
            const float *a = h + ((c + gz) * n + c + gy) * n + c + gx, *b = h + ((c - gz) * n + c - gy) * n + c - gx - (WIDTH - 1);
            float weight = w[2][z] * w[1][y];
            for (int x = 0; x < WIDTH; x++) {
                forward[x] += weight * a[x];
                backward[x] += weight * b[x];
            }
        }
    out[0] = out[1] = 0;
    for (int x = 0; x < WIDTH; x++) {
        out[0] += w[0][x] * forward[x];
        out[1] += w[0][x] * backward[WIDTH - 1 - x];
    }
}

/* One pair of opposite points of the image's transform. */
static void fill_pair(float *out, const float *h, int64_t D, const sim_particle *s, int64_t kx, int64_t ky)
{
    const double *R = s->R, x = (double)kx, y = (double)ky, p[3] = {x * R[0] + y * R[3], x * R[1] + y * R[4], x * R[2] + y * R[5]};
    double period = 2 * (double)D, angle = -DECO_TWO_PI * (x * s->shift[0] + y * s->shift[1]) / period;
    float v[2], c = (float)cos(angle), d = (float)sin(angle);
    float scale = s->contrast * deco_ctf(s->ctf, (float)(x / period), (float)(y / period));
    read_pair(v, h, D, p);
    out[(D + ky) * 2 * D + D + kx] = scale * (c * v[0] + d * v[1]);
    out[(D - ky) * 2 * D + D - kx] = scale * (c * v[1] - d * v[0]);
}

void sim_slice(float *out, const float *h, int64_t D, const sim_particle *p)
{
    memset(out, 0, (size_t)(4 * D * D) * sizeof *out);
    for (int64_t ky = 0; ky < D; ky++)
        for (int64_t kx = ky ? 1 - D : 0; kx < D; kx++)
            if (kx * kx + ky * ky < D * D)
                fill_pair(out, h, D, p, kx, ky);
}
