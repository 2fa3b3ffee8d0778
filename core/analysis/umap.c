/* The whole of UMAP: graph, start, layout. */
#include "analysis/umap_parts.h"
#include <stdlib.h>

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
    TRY(deco_umap_start(y, plan, &g, n->order, scores, Z, pool));
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
