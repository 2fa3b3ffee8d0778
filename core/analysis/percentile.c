#include "analysis/percentile.h"
#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

deco_status deco_percentiles(double *out, const double *percent, int count, const float *x, int64_t N, int64_t stride)
{
    deco_status st = DECO_OK;
    float *sorted = NULL;

    TRY(deco_alloc(&sorted, (size_t)N, sizeof *sorted, "values to sort"));
    for (int64_t i = 0; i < N; i++)
        sorted[i] = x[i * stride];
    qsort(sorted, (size_t)N, sizeof *sorted, by_value);
    for (int k = 0; k < count; k++) {
        double at = percent[k] / 100 * (double)(N - 1), low = floor(at), t = at - low;
        int64_t i = (int64_t)low, next = i + 1 < N ? i + 1 : i;
        out[k] = sorted[i] + t * ((double)sorted[next] - sorted[i]);
    }
out:
    free(sorted);
    return st;
}
