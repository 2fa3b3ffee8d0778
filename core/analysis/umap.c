/* The whole of UMAP: graph, a start from the principal components, layout. */
#include "analysis/umap.h"
#include "base/philox.h"
#include <math.h>
#include <stdlib.h>

/* Where a layout starts: so long along its longest axis, and so far off that rows that are alike can part. */
static const double extent = 10, jitter = 1e-4;

/* The first components, all to one scale, in the order of the graph; what Z lacks of `dim` is jitter alone. */
static void start_layout(float *y, const deco_umap_plan *plan, const int32_t *order, const float *scores, int64_t N, int64_t Z)
{
    deco_random random = deco_random_at(plan->seed, DECO_STREAM_LAYOUT, UINT64_MAX);
    int64_t dim = plan->dim, taken = Z < dim ? Z : dim;
    double range = 0;

    for (int64_t j = 0; j < taken; j++) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t i = 0; i < N; i++) {
            low = fmin(low, scores[i * Z + j]);
            high = fmax(high, scores[i * Z + j]);
        }
        range = fmax(range, high - low);
    }
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < dim; j++) {
            double s = j < taken && range > 0 ? extent * scores[order[i] * Z + j] / range : 0;
            y[i * dim + j] = (float)(s + jitter * deco_random_normal(&random));
        }
}

deco_status deco_umap_fit(float *out, const deco_umap_plan *plan, const deco_neighbours *n, const float *scores, int64_t Z, deco_pool *pool,
                          deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_umap_graph of_rows = {0}, g = {0};
    float *y = NULL;
    int64_t dim = plan->dim;

    TRY(deco_umap_graph_make(&of_rows, NULL, NULL, n, pool));
    TRY(deco_umap_graph_reorder(&g, &of_rows, n->order, pool));
    deco_umap_graph_free(&of_rows);
    TRY(deco_alloc(&y, (size_t)(n->N * dim), sizeof *y, "a layout of the latents"));
    start_layout(y, plan, n->order, scores, n->N, Z);
    TRY(deco_umap_layout(y, plan, &g, pool, m));
    for (int64_t i = 0; i < n->N; i++)
        for (int64_t j = 0; j < dim; j++)
            out[n->order[i] * dim + j] = y[i * dim + j];
out:
    deco_umap_graph_free(&of_rows);
    deco_umap_graph_free(&g);
    free(y);
    return st;
}
