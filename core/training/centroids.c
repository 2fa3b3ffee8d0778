/* k-means on the latents, where each image needs its nearest centre and no more. */
#include "training/centroids.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 10, MOST_ROWS = 20000 };

static int64_t nearest(const double *centre, const float *z, int64_t Z, int64_t K)
{
    int64_t best = 0;
    double least = INFINITY;

    for (int64_t k = 0; k < K; k++) {
        double sum = 0;
        for (int64_t i = 0; i < Z; i++) {
            double d = (double)z[i] - centre[k * Z + i];
            sum += d * d;
        }
        if (sum < least)
            least = sum, best = k;
    }
    return best;
}

static void take_row(double *centre, const float *z, int64_t Z)
{
    for (int64_t i = 0; i < Z; i++)
        centre[i] = z[i];
}

/* Each centre to the mean of its rows; one without rows starts anew from a row. */
static void move_centres(double *centre, double *sum, const float *z, const int64_t *row, int64_t rows, int64_t Z, int64_t K,
                         deco_random *draw)
{
    double *count = sum + K * Z;

    memset(sum, 0, (size_t)(K * (Z + 1)) * sizeof *sum);
    for (int64_t i = 0; i < rows; i++) {
        const float *at = z + row[i] * Z;
        int64_t k = nearest(centre, at, Z, K);
        for (int64_t j = 0; j < Z; j++)
            sum[k * Z + j] += at[j];
        count[k]++;
    }
    for (int64_t k = 0; k < K; k++) {
        if (count[k] == 0)
            take_row(centre + k * Z, z + row[deco_random_below(draw, (uint64_t)rows)] * Z, Z);
        for (int64_t j = 0; j < Z && count[k] > 0; j++)
            centre[k * Z + j] = sum[k * Z + j] / count[k];
    }
}

deco_status deco_centroids(float *out, const float *z, int64_t N, int64_t Z, int64_t K, deco_random *draw)
{
    deco_status st = DECO_OK;
    int64_t *row = NULL, rows = N < MOST_ROWS ? N : MOST_ROWS;
    double *centre = NULL, *sum = NULL;

    TRY(deco_alloc(&row, (size_t)N, sizeof *row, "rows of a sample"));
    TRY(deco_alloc(&centre, (size_t)(K * Z) + 1, sizeof *centre, "centroids"));
    TRY(deco_alloc(&sum, (size_t)(K * (Z + 1)), sizeof *sum, "centroids"));
    deco_random_permutation(draw, row, N);
    for (int64_t k = 0; k < K; k++)
        take_row(centre + k * Z, z + row[k % rows] * Z, Z);
    for (int i = 0; i < ROUNDS; i++)
        move_centres(centre, sum, z, row, rows, Z, K, draw);
    for (int64_t i = 0; i < K * Z; i++)
        out[i] = (float)centre[i];
out:
    free(row);
    free(centre);
    free(sum);
    return st;
}
