/* How far a layout keeps neighbours (Venna and Kaski, 2001): 1 when all k nearest of a row in y were among its k nearest in x. */
#ifndef DECO_TESTS_TRUSTWORTHINESS_H
#define DECO_TESTS_TRUSTWORTHINESS_H

#include <stdint.h>
#include <stdlib.h>

static inline double squared_between(const float *x, int64_t a, int64_t b, int64_t Z)
{
    double s = 0;
    for (int64_t j = 0; j < Z; j++) {
        double d = (double)x[a * Z + j] - x[b * Z + j];
        s += d * d;
    }
    return s;
}

/* How many rows are nearer to a than b is (equally near ones by number). */
static inline int64_t rank_of(const double *d, int64_t N, int64_t a, int64_t b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < N; i++)
        n += i != a && (d[i] < d[b] || (d[i] == d[b] && i < b));
    return n;
}

static inline double trustworthiness(const float *x, int64_t Z, const float *y, int64_t dim, int64_t N, int64_t k)
{
    double *dx = malloc((size_t)N * sizeof *dx), *dy = malloc((size_t)N * sizeof *dy), sum = 0;
    for (int64_t i = 0; i < N; i++) {
        for (int64_t j = 0; j < N; j++) {
            dx[j] = squared_between(x, i, j, Z);
            dy[j] = squared_between(y, i, j, dim);
        }
        for (int64_t j = 0; j < N; j++)
            if (j != i && rank_of(dy, N, i, j) < k) {
                int64_t rank = rank_of(dx, N, i, j) + 1;
                sum += rank > k ? (double)(rank - k) : 0;
            }
    }
    free(dx);
    free(dy);
    return 1 - sum * 2 / ((double)(N * k) * (double)(2 * N - 3 * k - 1));
}

#endif
