/* A slow, direct back-projection in double precision to hold ours against: what RELION's does with two-fold padding. Trilinear weights onto a padded grid,
 * Wiener's filter in it, an inverse transform written out as sums, and the kernel's sinc² taken out. Written from METHOD.md section 2. */
#ifndef DECO_TESTS_SLOW_GRIDDING_H
#define DECO_TESTS_SLOW_GRIDDING_H

#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct slow_image {
    const float *hartley; /* [P] */
    const float *R, *shift;
    double dfu, dfv, angle, w, phase, cs, lambda, psize;
} slow_image;

static double slow_ctf(const slow_image *q, double x, double y)
{
    double s2 = (x * x + y * y) / (q->psize * q->psize), theta = atan2(y, x);
    double df = 0.5 * (q->dfu + q->dfv + (q->dfu - q->dfv) * cos(2 * (theta - q->angle)));
    double gamma = 2 * M_PI * (-0.5 * df * q->lambda * s2 + 0.25 * q->cs * pow(q->lambda, 3) * s2 * s2) - q->phase;
    return sqrt(1 - q->w * q->w) * sin(gamma) - q->w * cos(gamma);
}

/* One axis after another, in place: x [n,n,n]; out[k] = Σ x[i] exp(sign · 2πi k i / n), both counted from n/2. */
static void slow_transform(double complex *x, int64_t n, int sign)
{
    double complex *turn = malloc((size_t)n * sizeof *turn), *line = malloc((size_t)n * sizeof *line);

    for (int64_t i = 0; i < n; i++)
        turn[i] = cexp(sign * 2 * M_PI * I * (double)i / (double)n);
    for (int64_t step = 1; step < n * n * n; step *= n)
        for (int64_t l = 0; l < n * n; l++) {
            double complex *at = x + l / step * step * n + l % step;
            for (int64_t k = 0; k < n; k++) {
                line[k] = 0;
                for (int64_t i = 0; i < n; i++)
                    line[k] += at[i * step] * turn[(((k - n / 2) * (i - n / 2)) % n + n) % n];
            }
            for (int64_t k = 0; k < n; k++)
                at[k * step] = line[k];
        }
    free(turn);
    free(line);
}

typedef struct slow_sums {
    int64_t D, G;
    double complex *value;
    double *weight;
} slow_sums;

static slow_sums slow_begin(int64_t D)
{
    slow_sums s = {D, 2 * D, NULL, NULL};
    size_t n = (size_t)(s.G * s.G * s.G);
    s.value = calloc(n, sizeof *s.value);
    s.weight = calloc(n, sizeof *s.weight);
    return s;
}

static void slow_end(slow_sums *s)
{
    free(s->value);
    free(s->weight);
}

/* k [P,2]: cycles a pixel; opposite points at P - 1 - p. */
static void slow_add(slow_sums *s, const slow_image *q, const float *k, int64_t P)
{
    int64_t G = s->G;

    for (int64_t p = 0; p < P; p++) {
        double kx = k[2 * p], ky = k[2 * p + 1], c = slow_ctf(q, kx, ky), at[3];
        double complex f =
            0.5 * ((double)q->hartley[p] + q->hartley[P - 1 - p]) + 0.5 * I * ((double)q->hartley[P - 1 - p] - q->hartley[p]);
        f *= cexp(-2 * M_PI * I * (kx * q->shift[0] + ky * q->shift[1]));
        for (int i = 0; i < 3; i++)
            at[i] = (double)G * (kx * q->R[i] + ky * q->R[3 + i]) + (double)G / 2;
        for (int corner = 0; corner < 8; corner++) {
            int64_t cell = 0;
            double share = 1;
            for (int i = 2; i >= 0; i--) {
                double low = floor(at[i]), part = at[i] - low;
                cell = cell * G + ((int64_t)low + (corner >> i & 1) + G) % G;
                share *= corner >> i & 1 ? part : 1 - part;
            }
            s->value[cell] += share * c * f;
            s->weight[cell] += share * c * c;
        }
    }
}

static int64_t slow_distance2(int64_t i, int64_t n)
{
    int64_t x = i % n - n / 2, y = i / n % n - n / 2, z = i / n / n - n / 2;
    return x * x + y * y + z * z;
}

/* ssnr [D/2 + 1] of the map, or NULL: no filter but RELION's floor of a thousandth of the shell's mean. */
static void slow_map(double *map, const slow_sums *s, const double *ssnr)
{
    int64_t D = s->D, G = s->G, n = G * G * G;
    double *mean = calloc((size_t)D, sizeof *mean), *count = calloc((size_t)D, sizeof *count);
    double complex *x = calloc((size_t)n, sizeof *x);

    for (int64_t i = 0; i < n; i++)
        if (slow_distance2(i, G) <= D * D) {
            int64_t r = lrint(sqrt((double)slow_distance2(i, G)) / 2);
            mean[r] += s->weight[i];
            count[r]++;
        }
    for (int64_t i = 0; i < n; i++) {
        int64_t r = lrint(sqrt((double)slow_distance2(i, G)) / 2);
        if (slow_distance2(i, G) > D * D)
            continue;
        double average = mean[r] / count[r], w = ssnr ? s->weight[i] + average / fmax(ssnr[r], 1e-3) : fmax(s->weight[i], average / 1000);
        x[i] = w > 0 ? s->value[i] / w : 0;
    }
    slow_transform(x, G, 1);
    for (int64_t i = 0; i < D * D * D; i++) {
        int64_t c[3] = {i % D - D / 2, i / D % D - D / 2, i / D / D - D / 2};
        double fall = 1;
        for (int a = 0; a < 3; a++) {
            double t = M_PI * (double)c[a] / (double)G, sinc = c[a] ? sin(t) / t : 1;
            fall *= sinc * sinc;
        }
        map[i] = creal(x[((c[2] + D) * G + c[1] + D) * G + c[0] + D]) / fall / (double)n;
    }
    free(mean);
    free(count);
    free(x);
}

/* FSC [D/2 + 1] of two maps. */
static void slow_fsc(double *out, const double *a, const double *b, int64_t D)
{
    int64_t n = D * D * D;
    double complex *A = calloc((size_t)n, sizeof *A), *B = calloc((size_t)n, sizeof *B);
    double *sums = calloc(3 * (size_t)D, sizeof *sums);

    for (int64_t i = 0; i < n; i++)
        A[i] = a[i], B[i] = b[i];
    slow_transform(A, D, -1);
    slow_transform(B, D, -1);
    for (int64_t i = 0; i < n; i++) {
        int64_t r = lrint(sqrt((double)slow_distance2(i, D)));
        if (r > D / 2)
            continue;
        sums[3 * r] += creal(A[i] * conj(B[i]));
        sums[3 * r + 1] += creal(A[i] * conj(A[i]));
        sums[3 * r + 2] += creal(B[i] * conj(B[i]));
    }
    for (int64_t r = 0; r <= D / 2; r++)
        out[r] = sums[3 * r] / sqrt(sums[3 * r + 1] * sums[3 * r + 2]);
    free(A);
    free(B);
    free(sums);
}

#endif
