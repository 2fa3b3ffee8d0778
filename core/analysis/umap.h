/* UMAP (McInnes, Healy and Melville, 2018): latents drawn in few dimensions so that neighbours stay neighbours. METHOD.md section 7. */
#ifndef DECO_ANALYSIS_UMAP_H
#define DECO_ANALYSIS_UMAP_H

#include "analysis/neighbours.h"

/* Neighbours a row, itself counted. METHOD.md section 7. */
enum { DECO_UMAP_NEIGHBOURS = 15 };

/* The fuzzy union of all neighbourhoods: row i has the edges start[i] … start[i+1] - 1, to `row` (rising), of weight above 0, at most 1.
 * Symmetric. */
typedef struct deco_umap_graph {
    int64_t N, *start; /* [N+1] */
    int32_t *row;      /* [start[N]] */
    float *weight;     /* [start[N]] */
} deco_umap_graph;

/* rho, sigma [N] (may be NULL): distance to the nearest other row, and the bandwidth of each. Fails: MEMORY. */
deco_status deco_umap_graph_make(deco_umap_graph *out, float *rho, float *sigma, const deco_neighbours *n, deco_pool *pool);
void deco_umap_graph_free(deco_umap_graph *g);

/* Edges of places in `order` instead of rows. */
deco_status deco_umap_graph_reorder(deco_umap_graph *out, const deco_umap_graph *g, const int32_t *order, deco_pool *pool);

/* What the layout is made with. */
typedef struct deco_umap_plan {
    int64_t dim, epochs; /* epochs 0: 500 up to 10 000 rows, otherwise 200 */
    uint64_t seed;
} deco_umap_plan;

/* out [N,dim] from the rows' first `dim` principal components: scores [N,Z], of falling variance. The same for a seed on any number of
 * threads. Fails: MEMORY, STOPPED. */
deco_status deco_umap_fit(float *out, const deco_umap_plan *plan, const deco_neighbours *n, const float *scores, int64_t Z, deco_pool *pool,
                          deco_monitor *m);

/* y [N,dim] improved by `epochs` passes over the edges of g, whose numbers are places of y. */
deco_status deco_umap_layout(float *y, const deco_umap_plan *plan, const deco_umap_graph *g, deco_pool *pool, deco_monitor *m);

/* The curve 1/(1 + a d^2b) that a layout's distances are judged by: the least-squares fit to min_dist 0.1, spread 1. */
#define DECO_UMAP_A 1.5769434602697652
#define DECO_UMAP_B 0.8950608778515733

#endif
