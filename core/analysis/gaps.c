/* How deep the density of rows falls between two clusters. */
#include "analysis/stability.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = 160 };

/* A x = b by Gaussian elimination, A [n,n] symmetric and positive; both are overwritten. */
static void solve(double *A, double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = i + 1; r < n; r++) {
            double f = A[r * n + i] / A[i * n + i];
            for (int64_t c = i; c < n; c++)
                A[r * n + c] -= f * A[i * n + c];
            b[r] -= f * b[i];
        }
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t c = i + 1; c < n; c++)
            b[i] -= A[i * n + c] * b[c];
        b[i] /= A[i * n + i];
    }
}

typedef struct moments {
    double *count, *mean, *scatter; /* [K], [K,Z], [K,Z,Z] about the mean */
} moments;

static void free_moments(moments *m)
{
    free(m->count);
    free(m->mean);
    free(m->scatter);
}

static deco_status find_moments(moments *m, const float *x, const int32_t *label, int64_t N, int64_t Z, int64_t K)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&m->count, (size_t)K, sizeof *m->count, "clusters"));
    TRY(deco_alloc(&m->mean, (size_t)(K * Z), sizeof *m->mean, "clusters"));
    TRY(deco_alloc(&m->scatter, (size_t)(K * Z * Z), sizeof *m->scatter, "clusters"));
    for (int64_t i = 0; i < N; i++) {
        if (label[i] < 0)
            continue;
        m->count[label[i]]++;
        for (int64_t j = 0; j < Z; j++)
            m->mean[label[i] * Z + j] += x[i * Z + j];
    }
    for (int64_t i = 0; i < K * Z; i++)
        m->mean[i] /= fmax(1, m->count[i / Z]);
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < Z && label[i] >= 0; j++)
            for (int64_t k = 0; k < Z; k++)
                m->scatter[(label[i] * Z + j) * Z + k] +=
                    (x[i * Z + j] - m->mean[label[i] * Z + j]) * (x[i * Z + k] - m->mean[label[i] * Z + k]);
out:
    return st;
}

/* Fisher's direction between two clusters; false where they have no extent to speak of. */
static bool find_direction(double *w, double *A, const moments *m, int64_t a, int64_t b, int64_t Z)
{
    double trace = 0, n = m->count[a] + m->count[b], apart = 0;

    for (int64_t j = 0; j < Z * Z; j++)
        A[j] = (m->scatter[a * Z * Z + j] + m->scatter[b * Z * Z + j]) / n;
    for (int64_t j = 0; j < Z; j++) {
        trace += A[j * Z + j];
        w[j] = m->mean[b * Z + j] - m->mean[a * Z + j];
        apart += w[j] * w[j];
    }
    if (!(apart > 0))
        return false;
    for (int64_t j = 0; j < Z; j++)
        A[j * Z + j] += 1e-3 * trace / (double)Z + 1e-9 * apart;
    solve(A, w, Z);
    return true;
}

static double along(const double *w, const float *x, int64_t Z)
{
    double sum = 0;
    for (int64_t j = 0; j < Z; j++)
        sum += w[j] * x[j];
    return sum;
}

/* From a density over a grid and its variance (rows are drawn, so they scatter) to the depth of the lowest place between points `from` and `to` of it, as much of it as
 * two deviations leave sure: a handful of rows apart from all others is no state. */
static double depth(const double *density, const double *variance, int from, int to)
{
    int low = from, left, right;

    for (int i = from; i <= to; i++)
        if (density[i] < density[low])
            low = i;
    left = right = low;
    for (int i = 0; i < GRID; i++)
        if (density[i] > density[i <= low ? left : right])
            *(i <= low ? &left : &right) = i;
    double l = density[left] - 2 * sqrt(variance[left]), r = density[right] - 2 * sqrt(variance[right]), peak = fmin(l, r);
    return peak > 0 ? fmax(0, 1 - (density[low] + 2 * sqrt(variance[low] + 0.5)) / peak) : 0;
}

/* A smoothed histogram of both clusters' rows along the line, in units of their spread about their own means. */
static double gap_between(const float *x, const int32_t *label, int64_t N, int64_t Z, int64_t a, int64_t b, const moments *m,
                          const double *w)
{
    double count[GRID] = {0}, density[GRID] = {0}, variance[GRID] = {0}, mean[2] = {0}, spread = 0, n = m->count[a] + m->count[b], low,
           step, width;

    for (int64_t j = 0; j < Z; j++) {
        mean[0] += w[j] * m->mean[a * Z + j];
        mean[1] += w[j] * m->mean[b * Z + j];
        for (int64_t k = 0; k < Z; k++)
            spread += w[j] * w[k] * (m->scatter[(a * Z + j) * Z + k] + m->scatter[(b * Z + j) * Z + k]) / n;
    }
    if (!(mean[1] > mean[0]))
        return 0;
    spread = fmax(sqrt(fmax(spread, 0)), 1e-3 * (mean[1] - mean[0]));
    low = mean[0] - 3 * spread;
    step = (mean[1] + 3 * spread - low) / GRID;
    width = 1.06 * spread * pow(n / 2, -0.2) / step; /* Silverman's, in cells */
    for (int64_t i = 0; i < N; i++)
        if (label[i] == a || label[i] == b) {
            int64_t cell = (int64_t)floor((along(w, x + i * Z, Z) - low) / step);
            if (cell >= 0 && cell < GRID)
                count[cell]++;
        }
    for (int i = 0; i < GRID; i++)
        for (int j = 0; j < GRID; j++) {
            double k = exp(-0.5 * (i - j) * (i - j) / (width * width));
            density[i] += count[j] * k;
            variance[i] += count[j] * k * k;
        }
    return depth(density, variance, (int)fmax(0, (mean[0] - low) / step), (int)fmin(GRID - 1, (mean[1] - low) / step));
}

deco_status deco_gaps(double *gap, const float *x, const int32_t *label, int64_t N, int64_t Z, int64_t K)
{
    deco_status st = DECO_OK;
    moments m = {0};
    double *w = NULL, *A = NULL;

    TRY(deco_alloc(&w, (size_t)Z, sizeof *w, "a direction"));
    TRY(deco_alloc(&A, (size_t)(Z * Z), sizeof *A, "a direction"));
    TRY(find_moments(&m, x, label, N, Z, K));
    for (int64_t a = 0; a < K; a++)
        for (int64_t b = a + 1; b < K; b++) {
            bool there = m.count[a] >= 2 && m.count[b] >= 2 && find_direction(w, A, &m, a, b, Z);
            gap[a * K + b] = gap[b * K + a] = there ? gap_between(x, label, N, Z, a, b, &m, w) : 0;
        }
out:
    free(w);
    free(A);
    free_moments(&m);
    return st;
}
