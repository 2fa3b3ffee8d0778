/* The particle that stands for each cluster, or for a place. */
#include "analysis/analysis.h"
#include <math.h>
#include <stdlib.h>

/* Mean latent of each cluster [K,Z]; count [K]. Serial: once over the latents. */
static void cluster_means(double *mean, int64_t *count, const float *x, int64_t N, int64_t Z, const int32_t *label, int64_t K)
{
    for (int64_t i = 0; i < N; i++) {
        if (label[i] < 0 || label[i] >= K)
            continue;
        count[label[i]]++;
        for (int64_t j = 0; j < Z; j++)
            mean[label[i] * Z + j] += x[i * Z + j];
    }
    for (int64_t k = 0; k < K; k++)
        for (int64_t j = 0; j < Z && count[k]; j++)
            mean[k * Z + j] /= (double)count[k];
}

deco_status deco_nearest_rows(int64_t *row, const float *x, int64_t N, int64_t Z, const int32_t *label, int64_t K)
{
    deco_status st = DECO_OK;
    double *mean = NULL, *least = NULL;
    int64_t *count = NULL;

    TRY(deco_alloc(&mean, (size_t)(K * Z), sizeof *mean, "cluster means"));
    TRY(deco_alloc(&least, (size_t)K, sizeof *least, "distances"));
    TRY(deco_alloc(&count, (size_t)K, sizeof *count, "cluster sizes"));
    cluster_means(mean, count, x, N, Z, label, K);
    for (int64_t k = 0; k < K; k++) {
        row[k] = -1;
        least[k] = INFINITY;
    }
    for (int64_t i = 0; i < N; i++) {
        int32_t k = label[i];
        double d2 = 0;
        if (k < 0 || k >= K)
            continue;
        for (int64_t j = 0; j < Z; j++) {
            double d = x[i * Z + j] - mean[k * Z + j];
            d2 += d * d;
        }
        if (d2 < least[k]) {
            least[k] = d2;
            row[k] = i;
        }
    }
out:
    free(mean);
    free(least);
    free(count);
    return st;
}

void deco_nearest_to_places(int64_t *row, const double *place, int64_t n, const float *x, int64_t N, int64_t Z)
{
    for (int64_t s = 0; s < n; s++) {
        double least = INFINITY;
        row[s] = 0;
        for (int64_t i = 0; i < N; i++) {
            double d2 = 0;
            for (int64_t j = 0; j < Z; j++) {
                double d = x[i * Z + j] - place[s * Z + j];
                d2 += d * d;
            }
            if (d2 < least) {
                least = d2;
                row[s] = i;
            }
        }
    }
}
