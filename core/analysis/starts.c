#include "analysis/starts.h"
#include "analysis/kmeans.h"
#include "analysis/sample.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Merging takes the cube of the number of seeds. */
enum { SPARE = 4, MOST_SEEDS = 800 };

/* How much the sum of squares grows when a and b become one (Ward, 1963). */
static double cost(const double *centres, const double *count, int64_t Z, int64_t a, int64_t b)
{
    double d2 = 0;

    for (int64_t j = 0; j < Z; j++) {
        double d = centres[a * Z + j] - centres[b * Z + j];
        d2 += d * d;
    }
    return d2 * count[a] * count[b] / (count[a] + count[b]);
}

/* The cheapest two of the n clusters. */
static void cheapest_pair(int64_t *a, int64_t *b, const double *table, int64_t n, int64_t stride)
{
    double least = INFINITY;

    *a = 0;
    *b = 1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            if (table[i * stride + j] < least) {
                least = table[i * stride + j];
                *a = i;
                *b = j;
            }
}

static void update_costs(double *table, int64_t stride, const double *centres, const double *count, int64_t Z, int64_t n, int64_t changed)
{
    for (int64_t i = 0; i < n; i++)
        if (i != changed)
            table[(i < changed ? i * stride + changed : changed * stride + i)] = cost(centres, count, Z, i, changed);
}

/* Merges the M clusters at `centres` down to the first K. */
static deco_status merge_down(double *centres, double *count, int64_t M, int64_t K, int64_t Z)
{
    deco_status st = DECO_OK;
    double *table = NULL;

    TRY(deco_alloc(&table, (size_t)(M * M), sizeof *table, "distances of seeds"));
    for (int64_t i = 0; i < M; i++) {
        count[i] = count[i] > 0 ? count[i] : 1e-9; /* nobody's: merged first */
        update_costs(table, M, centres, count, Z, i, i);
    }
    for (int64_t n = M; n > K; n--) {
        int64_t a, b;
        double both;
        cheapest_pair(&a, &b, table, n, M);
        both = count[a] + count[b];
        for (int64_t j = 0; j < Z; j++)
            centres[a * Z + j] = (count[a] * centres[a * Z + j] + count[b] * centres[b * Z + j]) / both;
        count[a] = both;
        count[b] = count[n - 1]; /* the last takes the empty place */
        memmove(centres + b * Z, centres + (n - 1) * Z, (size_t)Z * sizeof *centres);
        update_costs(table, M, centres, count, Z, n - 1, a);
        if (b < n - 1)
            update_costs(table, M, centres, count, Z, n - 1, b);
    }
out:
    free(table);
    return st;
}

deco_status deco_start_centres(double *centres, const float *x, int64_t N, int64_t Z, int64_t K, int64_t restart, uint64_t seed,
                               deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_random random = deco_random_at(seed, DECO_STREAM_CLUSTER, (uint64_t)restart);
    int64_t M = SPARE * K;
    double *many = NULL, *count = NULL, inertia;

    if (restart % 2 == 0 || K == 1 || M > N || M > MOST_SEEDS)
        return deco_seeds_choose(centres, x, N, Z, K, &random);
    TRY(deco_alloc(&many, (size_t)(M * Z), sizeof *many, "seeds"));
    TRY(deco_alloc(&count, (size_t)M, sizeof *count, "sizes of seeds"));
    TRY(deco_seeds_choose(many, x, N, Z, M, &random));
    TRY(deco_kmeans_refine(many, count, &inertia, x, N, Z, M, 3, pool));
    TRY(merge_down(many, count, M, K, Z));
    memcpy(centres, many, (size_t)(K * Z) * sizeof *centres);
out:
    free(many);
    free(count);
    return st;
}
