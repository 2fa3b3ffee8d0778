#include "analysis/map_frame.h"
#include "analysis/spectrum.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 32, TRIED = 8 };

/* ---- turning: twofold Fourier interpolation, then Catmull-Rom's cubics between the finer voxels -------------------- */

static void weights(double w[4], double f)
{
    w[0] = -0.5 * f + f * f - 0.5 * f * f * f;
    w[1] = 1 - 2.5 * f * f + 1.5 * f * f * f;
    w[2] = 0.5 * f + 2 * f * f - 1.5 * f * f * f;
    w[3] = -0.5 * f * f + 0.5 * f * f * f;
}

/* `fine` [n,n,n] goes round at its edges. */
static double interpolate(const float *fine, int64_t n, const double p[3])
{
    double w[3][4], sum = 0;
    int64_t at[3][4];

    for (int a = 0; a < 3; a++) {
        double below = floor(p[a]);
        weights(w[a], p[a] - below);
        for (int k = 0; k < 4; k++)
            at[a][k] = (((int64_t)below + k - 1) % n + n) % n;
    }
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 4; j++) {
            const float *row = fine + (at[2][k] * n + at[1][j]) * n;
            double along = 0;
            for (int i = 0; i < 4; i++)
                along += w[0][i] * row[at[0][i]];
            sum += w[2][k] * w[1][j] * along;
        }
    return sum;
}

/* out [D,D,D] from a map at twice the sampling. */
static void turn(float *out, const float *fine, const double Q[9], int64_t D)
{
    for (int64_t z = -D / 2, i = 0; z < D / 2; z++)
        for (int64_t y = -D / 2; y < D / 2; y++)
            for (int64_t x = -D / 2; x < D / 2; x++, i++) {
                double r[3] = {(double)x, (double)y, (double)z}, p[3];
                out[i] = 0;
                if (4 * (x * x + y * y + z * z) >= D * D)
                    continue;
                for (int a = 0; a < 3; a++)
                    p[a] = 2 * (Q[3 * a] * r[0] + Q[3 * a + 1] * r[1] + Q[3 * a + 2] * r[2]) + (double)D;
                out[i] = (float)interpolate(fine, 2 * D, p);
            }
}

/* ---- moving ------------------------------------------------------------------------------------------------------ */

/* exp(sign 2 pi i f t) of every frequency f of an axis; along x those between the ends stand for two. */
static void waves(double complex *w, double t, int64_t D, int64_t count, int sign, bool pairs)
{
    for (int64_t i = 0; i < count; i++) {
        double a = sign * 2 * M_PI * (double)deco_frequency(i, D) / (double)D * t;
        w[i] = (cos(a) + sin(a) * I) * (pairs && i > 0 && i < D / 2 ? 2 : 1);
    }
}

typedef struct match {
    const float complex *X; /* of truth times conjugate of the map, [D,D,D/2+1] */
    int64_t D;
    double complex *wave[3];
} match;

/* The cross-correlation at a place between voxels. */
static double correlation_at(const match *m, const double t[3])
{
    int64_t D = m->D, w = deco_spectrum_width(D);
    double sum = 0;

    for (int a = 0; a < 3; a++)
        waves(m->wave[a], t[a], D, a ? D : w, 1, !a);
    for (int64_t z = 0; z < D; z++)
        for (int64_t y = 0; y < D; y++) {
            const float complex *row = m->X + (z * D + y) * w;
            double re = 0, im = 0;
            for (int64_t x = 0; x < w; x++) {
                double a = crealf(row[x]), b = cimagf(row[x]), c = creal(m->wave[0][x]), d = cimag(m->wave[0][x]);
                re += a * c - b * d;
                im += a * d + b * c;
            }
            sum += creal((re + im * I) * (m->wave[1][y] * m->wave[2][z]));
        }
    return sum / ((double)D * (double)D * (double)D);
}

/* Climbs to the peak of sign times the correlation from the voxel t. */
static double climb(double t[3], const match *m, double sign)
{
    static const double steps[] = {0.5, 0.25, 0.1};
    double top = sign * correlation_at(m, t);

    for (int s = 0; s < 3; s++)
        for (int a = 0; a < 3; a++) {
            double h = steps[s], lo, hi, bend, c, to[3] = {t[0], t[1], t[2]};
            to[a] = t[a] - h;
            lo = sign * correlation_at(m, to);
            to[a] = t[a] + h;
            hi = sign * correlation_at(m, to);
            bend = lo - 2 * top + hi;
            to[a] = t[a] + h * (bend < 0 ? fmin(1, fmax(-1, 0.5 * (lo - hi) / bend)) : (double)((hi > lo) - (hi < lo)));
            c = sign * correlation_at(m, to);
            if (c > top) {
                memcpy(t, to, sizeof to);
                top = c;
            }
        }
    return top;
}

/* The translation that brings `map` to the highest absolute correlation with `truth`, and that correlation. */
static deco_status best_translation(double t[3], double *correlation, const float *map, const float *truth, int64_t D)
{
    deco_status st = DECO_OK;
    float complex *a = NULL, *b = NULL;
    float *cc = NULL;
    match m = {.D = D};
    int64_t n = D * D * deco_spectrum_width(D), best = 0;
    double power[2] = {0};

    TRY(deco_spectrum_make(&a, map, D));
    TRY(deco_spectrum_make(&b, truth, D));
    TRY(deco_alloc(&cc, (size_t)(D * D * D), sizeof *cc, "a correlation"));
    for (int i = 0; i < 3; i++)
        TRY(deco_alloc(&m.wave[i], (size_t)D, sizeof *m.wave[i], "waves"));
    a[0] = b[0] = 0; /* the means do not count */
    for (int64_t i = 0, w = deco_spectrum_width(D); i < n; i++) {
        double pair = i % w > 0 && i % w < D / 2 ? 2 : 1;
        power[0] += pair * (double)(crealf(a[i]) * crealf(a[i]) + cimagf(a[i]) * cimagf(a[i]));
        power[1] += pair * (double)(crealf(b[i]) * crealf(b[i]) + cimagf(b[i]) * cimagf(b[i]));
        a[i] = b[i] = b[i] * conjf(a[i]);
    }
    TRY(deco_spectrum_back(cc, b, D));
    for (int64_t i = 1; i < D * D * D; i++)
        best = fabsf(cc[i]) > fabsf(cc[best]) ? i : best;
    t[0] = (double)deco_frequency(best % D, D);
    t[1] = (double)deco_frequency(best / D % D, D);
    t[2] = (double)deco_frequency(best / D / D, D);
    m.X = a;
    *correlation = climb(t, &m, cc[best] < 0 ? -1 : 1) * (double)D * (double)D * (double)D / sqrt(power[0] * power[1] + 1e-300);
out:
    free(a);
    free(b);
    free(cc);
    for (int i = 0; i < 3; i++)
        free(m.wave[i]);
    return st;
}

static deco_status translate(float *map, const double t[3], int64_t D)
{
    deco_status st = DECO_OK;
    float complex *s = NULL;
    double complex *wave[3] = {NULL};
    int64_t w = deco_spectrum_width(D);

    TRY(deco_spectrum_make(&s, map, D));
    for (int a = 0; a < 3; a++) {
        TRY(deco_alloc(&wave[a], (size_t)D, sizeof *wave[a], "waves"));
        waves(wave[a], t[a], D, a ? D : w, -1, false);
    }
    for (int64_t z = 0; z < D; z++)
        for (int64_t y = 0; y < D; y++)
            for (int64_t x = 0; x < w; x++)
                s[(z * D + y) * w + x] *= (float complex)(wave[0][x] * wave[1][y] * wave[2][z]);
    TRY(deco_spectrum_back(map, s, D));
out:
    free(s);
    for (int a = 0; a < 3; a++)
        free(wave[a]);
    return st;
}

/* ---- the frame --------------------------------------------------------------------------------------------------- */

/* How well a map, given at twice the sampling, fits in the frame Q. */
static deco_status fit_of(double *out, double t[3], const float *fine, const float *truth, const double Q[9], int64_t D)
{
    deco_status st = DECO_OK;
    float *turned = NULL;

    TRY(deco_alloc(&turned, (size_t)(D * D * D), sizeof *turned, "a density map"));
    turn(turned, fine, Q, D);
    TRY(best_translation(t, out, turned, truth, D));
out:
    free(turned);
    return st;
}

/* Q times a rotation by `angle` about an axis. */
static void turn_about(double out[9], const double Q[9], int axis, double angle)
{
    double r[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    int a = (axis + 1) % 3, b = (axis + 2) % 3;

    r[3 * a + a] = r[3 * b + b] = cos(angle);
    r[3 * b + a] = sin(angle);
    r[3 * a + b] = -sin(angle);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = Q[3 * i] * r[j] + Q[3 * i + 1] * r[3 + j] + Q[3 * i + 2] * r[6 + j];
}

/* From steps of 2 degrees down to a tenth. */
static deco_status refine(double Q[9], const float *fine, const float *truth, int64_t D)
{
    deco_status st = DECO_OK;
    double best, t[3], step = 2 * M_PI / 180;

    TRY(fit_of(&best, t, fine, truth, Q, D));
    while (step > 0.1 * M_PI / 180) {
        bool moved = false;
        for (int i = 0; i < 6; i++) {
            double q[9], fit;
            turn_about(q, Q, i / 2, i % 2 ? -step : step);
            TRY(fit_of(&fit, t, fine, truth, q, D));
            if (fit > best) {
                best = fit;
                memcpy(Q, q, sizeof q);
                moved = true;
            }
        }
        step = moved ? step : step / 2;
    }
out:
    return st;
}

/* At twice n voxels a side, from a map [D,D,D] brought to n. */
static deco_status make_fine(float **out, const float *map, int64_t D, int64_t n)
{
    deco_status st = DECO_OK;
    float *small = NULL;

    *out = NULL;
    TRY(deco_map_resize(&small, map, D, n));
    TRY(deco_map_resize(out, small, n, 2 * n));
out:
    free(small);
    return st;
}

/* The pair that fits best as it stands. */
static deco_status find_pair(int64_t pair[2], const deco_map_frame *f, float *const *map, int64_t n, float *const *truth, int64_t m,
                             int64_t D)
{
    deco_status st = DECO_OK;
    int64_t small = D < SMALL ? D : SMALL;
    float *fine = NULL, *true_small = NULL;
    double most = -1, fit, t[3];

    for (int64_t i = 0; i < n && i < TRIED; i++) {
        TRY(make_fine(&fine, map[i], D, small));
        for (int64_t j = 0; j < m; j++) {
            TRY(deco_map_resize(&true_small, truth[j], D, small));
            TRY(fit_of(&fit, t, fine, true_small, f->Q, small));
            if (fit >= most) {
                most = fit;
                pair[0] = i, pair[1] = j;
            }
            free(true_small);
            true_small = NULL;
        }
        free(fine);
        fine = NULL;
    }
out:
    free(fine);
    free(true_small);
    return st;
}

deco_status deco_map_frame_find(deco_map_frame *f, float *const *map, int64_t n, float *const *truth, int64_t m, int64_t D)
{
    deco_status st = DECO_OK;
    int64_t pair[2] = {0}, small = D < SMALL ? D : SMALL;
    float *fine = NULL, *true_small = NULL;
    double fit;

    TRY(find_pair(pair, f, map, n, truth, m, D));
    TRY(make_fine(&fine, map[pair[0]], D, small));
    TRY(deco_map_resize(&true_small, truth[pair[1]], D, small));
    TRY(refine(f->Q, fine, true_small, small));
    free(fine);
    fine = NULL;
    TRY(make_fine(&fine, map[pair[0]], D, D));
    TRY(fit_of(&fit, f->t, fine, truth[pair[1]], f->Q, D));
out:
    free(fine);
    free(true_small);
    return st;
}

deco_status deco_map_into_frame(float *out, const float *map, const deco_map_frame *f, int64_t D)
{
    deco_status st = DECO_OK;
    float *fine = NULL;

    TRY(make_fine(&fine, map, D, D));
    turn(out, fine, f->Q, D);
    TRY(translate(out, f->t, D));
out:
    free(fine);
    return st;
}
