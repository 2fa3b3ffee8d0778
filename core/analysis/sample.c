#include "analysis/sample.h"
#include "analysis/block.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_rows_sample(const float **out, float **own, const float *x, int64_t N, int64_t Z, int64_t n, deco_random *random)
{
    deco_status st = DECO_OK;
    int64_t taken = 0;

    *own = NULL;
    *out = x;
    if (n >= N)
        return DECO_OK;
    TRY(deco_alloc(own, (size_t)(n * Z), sizeof **own, "a sample of the latents"));
    for (int64_t i = 0; taken < n; i++)
        if ((double)(N - i) * deco_random_uniform(random) < (double)(n - taken))
            memcpy(*own + taken++ * Z, x + i * Z, (size_t)Z * sizeof *x);
    *out = *own;
out:
    return st;
}

/* d2[i] = min(nearest[i], |x_i - c|²) for all rows; returns their sum. */
static double distances(double *d2, const double *nearest, const double *c, const float *x, int64_t N, int64_t Z, double *block)
{
    double sum = 0;

    for (int64_t i = 0; i < N; i += DECO_BLOCK) {
        int64_t n = deco_block_rows(i, N);
        double here[DECO_BLOCK];
        deco_block_load(block, x, i, n, Z, NULL);
        deco_block_distance(here, block, c, Z);
        for (int64_t r = 0; r < n; r++) {
            d2[i + r] = nearest && nearest[i + r] < here[r] ? nearest[i + r] : here[r];
            sum += d2[i + r];
        }
    }
    return sum;
}

/* A row with a chance proportional to d2; any row when all are 0 (the rows are all alike). */
static int64_t draw(const double *d2, double sum, int64_t N, deco_random *random)
{
    double left = deco_random_uniform(random) * sum;

    if (!(sum > 0))
        return (int64_t)deco_random_below(random, (uint64_t)N);
    for (int64_t i = 0; i < N; i++)
        if ((left -= d2[i]) < 0)
            return i;
    for (int64_t i = N - 1; i > 0; i--) /* rounding carried it past the end */
        if (d2[i] > 0)
            return i;
    return 0;
}

static void row_in_double(double *out, const float *x, int64_t row, int64_t Z)
{
    for (int64_t j = 0; j < Z; j++)
        out[j] = x[row * Z + j];
}

deco_status deco_seeds_choose(double *centres, const float *x, int64_t N, int64_t Z, int64_t K, deco_random *random)
{
    deco_status st = DECO_OK;
    double *nearest = NULL, *trial = NULL, *best = NULL, *block = NULL, *c = NULL, sum;
    int candidates = 2 + (int)log((double)K);

    TRY(deco_alloc(&nearest, (size_t)N, sizeof *nearest, "distances"));
    TRY(deco_alloc(&trial, (size_t)N, sizeof *trial, "distances"));
    TRY(deco_alloc(&best, (size_t)N, sizeof *best, "distances"));
    TRY(deco_alloc(&block, (size_t)Z * DECO_BLOCK, sizeof *block, "a block of latents"));
    TRY(deco_alloc(&c, (size_t)Z, sizeof *c, "a centre"));
    row_in_double(centres, x, (int64_t)deco_random_below(random, (uint64_t)N), Z);
    sum = distances(nearest, NULL, centres, x, N, Z, block);
    for (int64_t k = 1; k < K; k++) {
        double least = INFINITY;
        for (int t = 0; t < candidates; t++) {
            row_in_double(c, x, draw(nearest, sum, N, random), Z);
            double s = distances(trial, nearest, c, x, N, Z, block);
            if (s < least) {
                double *swap = best;
                best = trial;
                trial = swap;
                least = s;
                memcpy(centres + k * Z, c, (size_t)Z * sizeof *c);
            }
        }
        double *swap = nearest;
        nearest = best;
        best = swap;
        sum = least;
    }
out:
    free(nearest);
    free(trial);
    free(best);
    free(block);
    free(c);
    return st;
}
