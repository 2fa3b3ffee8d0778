/* How alike two partitions are, and small sets of Gaussian clouds. */
#ifndef DECO_TESTS_PARTITIONS_H
#define DECO_TESTS_PARTITIONS_H

#include "base/philox.h"
#include <stdint.h>
#include <stdlib.h>

static inline double pairs(double n) { return n * (n - 1) / 2; }

/* Adjusted Rand index (Hubert and Arabie) of two labellings from 0, of at most 64 classes each. */
static inline double adjusted_rand(const int32_t *a, const int32_t *b, int64_t n)
{
    static int64_t table[64][64];
    double both = 0, in_a = 0, in_b = 0;

    for (int i = 0; i < 64 * 64; i++)
        table[i / 64][i % 64] = 0;
    for (int64_t i = 0; i < n; i++)
        table[a[i]][b[i]]++;
    for (int i = 0; i < 64; i++) {
        int64_t row = 0, column = 0;
        for (int j = 0; j < 64; j++) {
            both += pairs((double)table[i][j]);
            row += table[i][j];
            column += table[j][i];
        }
        in_a += pairs((double)row);
        in_b += pairs((double)column);
    }
    double chance = in_a * in_b / pairs((double)n), best = (in_a + in_b) / 2;
    return best == chance ? 1 : (both - chance) / (best - chance);
}

/* N rows of K clouds of unit width whose centres lie `apart` from the origin along axes of their own (K <= Z), rows by turns. */
static inline float *clouds(int64_t N, int64_t Z, int64_t K, double apart, int32_t *truth)
{
    float *x = malloc((size_t)(N * Z) * sizeof *x);
    deco_random random = deco_random_at(7, DECO_STREAM_SAMPLE, 0);

    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < Z; j++) {
            x[i * Z + j] = (float)(deco_random_normal(&random) + (j == i % K ? apart : 0));
            if (truth)
                truth[i] = (int32_t)(i % K);
        }
    return x;
}

#endif
