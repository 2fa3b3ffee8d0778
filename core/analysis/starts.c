#include "analysis/starts.h"
#include "analysis/clustering_kinds.h"
#include "analysis/kmeans.h"
#include "analysis/sample.h"
#include <stdlib.h>
#include <string.h>

/* Merging takes the cube of the number of seeds. */
enum { SPARE = 4, MOST_SEEDS = 800 };

/* Merges the M clusters at `centres` down to the first K. */
static deco_status merge_down(double *centres, double *count, int64_t M, int64_t K, int64_t Z)
{
    deco_status st = DECO_OK;
    int32_t *group = NULL;

    TRY(deco_alloc(&group, (size_t)M, sizeof *group, "seeds"));
    TRY(deco_ward_merge(group, centres, count, M, K, Z));
    for (int64_t i = 0, kept = 0; i < M; i++)
        if (count[i] > 0) /* not merged into another */
            memmove(centres + kept++ * Z, centres + i * Z, (size_t)Z * sizeof *centres);
out:
    free(group);
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
