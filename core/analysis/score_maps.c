#include "analysis/score_maps.h"
#include "analysis/spectrum.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double radius_of(int64_t i, int64_t D)
{
    int64_t w = deco_spectrum_width(D);
    double x = (double)(i % w), y = (double)deco_frequency(i / w % D, D), z = (double)deco_frequency(i / w / D, D);
    return sqrt(x * x + y * y + z * z);
}

/* fsc [D/2]: shell i holds radii from i - 1 up to i; 1 at 0 and where one of the maps has nothing. */
static deco_status correlate(double *fsc, const float *a, const float *b, int64_t D)
{
    deco_status st = DECO_OK;
    float complex *A = NULL, *B = NULL;
    double *sum = NULL;
    int64_t w = deco_spectrum_width(D);

    TRY(deco_spectrum_make(&A, a, D));
    TRY(deco_spectrum_make(&B, b, D));
    TRY(deco_alloc(&sum, 3 * (size_t)(D / 2), sizeof *sum, "shells"));
    for (int64_t i = 0; i < D * D * w; i++) {
        int64_t shell = (int64_t)radius_of(i, D) + 1;
        double pair = i % w > 0 && i % w < D / 2 ? 2 : 1, ar = crealf(A[i]), ai = cimagf(A[i]), br = crealf(B[i]), bi = cimagf(B[i]);
        if (shell >= D / 2)
            continue;
        sum[3 * shell] += pair * (ar * br + ai * bi);
        sum[3 * shell + 1] += pair * (ar * ar + ai * ai);
        sum[3 * shell + 2] += pair * (br * br + bi * bi);
    }
    for (int64_t s = 0; s < D / 2; s++) {
        double power = sqrt(sum[3 * s + 1] * sum[3 * s + 2]);
        fsc[s] = s && power > 0 ? sum[3 * s] / power : 1;
    }
out:
    free(A);
    free(B);
    free(sum);
    return st;
}

/* Shell i stands for radius i - 1/2. */
static double resolution(const double *fsc, double threshold, int64_t D, double psize_A)
{
    for (int64_t i = 1; i < D / 2; i++)
        if (fsc[i] < threshold) {
            double lo = fmax((double)i - 1.5, 0), hi = (double)i - 0.5;
            return (double)D * psize_A / fmax(lo + (hi - lo) * (fsc[i - 1] - threshold) / (fsc[i - 1] - fsc[i]), 0.5);
        }
    return 2 * psize_A;
}

static double area(const double *fsc, int64_t D)
{
    double sum = 0;

    for (int64_t i = 1; i < D / 2; i++)
        sum += (fabs(fsc[i - 1]) + fabs(fsc[i])) / 2 / (double)D;
    return sum;
}

double deco_fsc_area_perfect(int64_t D) { return 0.5 - 1 / (double)D; }

/* The transform times exp(-factor r²), r in cycles a pixel. */
static deco_status smooth(float *map, double factor, int64_t D)
{
    deco_status st = DECO_OK;
    float complex *s = NULL;

    TRY(deco_spectrum_make(&s, map, D));
    for (int64_t i = 0; i < D * D * deco_spectrum_width(D); i++) {
        double r = radius_of(i, D) / (double)D;
        s[i] *= (float)exp(-factor * r * r);
    }
    TRY(deco_spectrum_back(map, s, D));
out:
    free(s);
    return st;
}

/* A Gaussian of so many pixels, as `smooth` takes it. */
static double blur(double pixels) { return 2 * M_PI * M_PI * pixels * pixels; }

/* What stands out of the true map low-passed at about 8 pixels by 0.08 of its highest, widened by a blur of 1.5 pixels, with an edge of 1.2. */
static deco_status mask_of(float *mask, const float *truth, int64_t D)
{
    deco_status st = DECO_OK;
    int64_t n = D * D * D;
    float top = 0;

    memcpy(mask, truth, (size_t)n * sizeof *mask);
    TRY(smooth(mask, 1 / (0.12 * 0.12), D));
    for (int64_t i = 0; i < n; i++)
        top = mask[i] > top ? mask[i] : top;
    for (int64_t i = 0; i < n; i++)
        mask[i] = mask[i] > 0.08F * top;
    TRY(smooth(mask, blur(1.5), D));
    for (int64_t i = 0; i < n; i++)
        mask[i] = mask[i] > 0.05F;
    TRY(smooth(mask, blur(1.2), D));
    for (int64_t i = 0; i < n; i++)
        mask[i] = fminf(1, fmaxf(0, mask[i]));
out:
    return st;
}

static double correlation_inside(const float *a, const float *b, const float *mask, int64_t n)
{
    double count = 0, mean[2] = {0}, ab = 0, aa = 0, bb = 0;

    for (int64_t i = 0; i < n; i++)
        if (mask[i] > 0.5F) {
            count++;
            mean[0] += a[i];
            mean[1] += b[i];
        }
    for (int64_t i = 0; i < n; i++)
        if (mask[i] > 0.5F) {
            double p = a[i] - mean[0] / count, q = b[i] - mean[1] / count;
            ab += p * q;
            aa += p * p;
            bb += q * q;
        }
    return ab / sqrt(aa * bb + 1e-300);
}

deco_status deco_map_score_of(deco_map_score *out, const float *map, const float *truth, int64_t D, double psize_A)
{
    deco_status st = DECO_OK;
    int64_t n = D * D * D;
    float *mask = NULL, *a = NULL, *b = NULL;
    double *fsc = NULL;

    TRY(deco_alloc(&mask, (size_t)n, sizeof *mask, "a mask"));
    TRY(deco_alloc(&a, (size_t)n, sizeof *a, "a masked map"));
    TRY(deco_alloc(&b, (size_t)n, sizeof *b, "a masked map"));
    TRY(deco_alloc(&fsc, (size_t)(D / 2) + 1, sizeof *fsc, "shells"));
    TRY(correlate(fsc, map, truth, D));
    out->auc = area(fsc, D) / deco_fsc_area_perfect(D);
    out->fsc05_A = resolution(fsc, 0.5, D, psize_A);
    out->fsc0143_A = resolution(fsc, 0.143, D, psize_A);
    TRY(mask_of(mask, truth, D));
    out->corr = correlation_inside(map, truth, mask, n);
    for (int64_t i = 0; i < n; i++) {
        a[i] = map[i] * mask[i];
        b[i] = truth[i] * mask[i];
    }
    TRY(correlate(fsc, a, b, D));
    out->masked_fsc05_A = resolution(fsc, 0.5, D, psize_A);
    out->masked_fsc0143_A = resolution(fsc, 0.143, D, psize_A);
out:
    free(mask);
    free(a);
    free(b);
    free(fsc);
    return st;
}
