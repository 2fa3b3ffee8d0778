/* The connected parts of a graph of neighbours, and where a layout starts. */
#ifndef DECO_ANALYSIS_UMAP_PARTS_H
#define DECO_ANALYSIS_UMAP_PARTS_H

#include "analysis/umap.h"

typedef struct deco_umap_parts {
    int64_t count, *begin; /* [count+1] */
    int32_t *place;        /* [N] part by part, rising; parts in the order of their first place */
    int32_t *within;       /* [N] number of a place within its part */
} deco_umap_parts;

deco_status deco_umap_parts_find(deco_umap_parts *out, const deco_umap_graph *g);
void deco_umap_parts_free(deco_umap_parts *p);

/* The graph of one part alone, its rows numbered from 0. Free with deco_umap_graph_free. */
deco_status deco_umap_part(deco_umap_graph *out, const deco_umap_graph *g, const deco_umap_parts *parts, int64_t part);

/* y [N,dim], whose rows are places of g; order [N]: the row of scores [N,Z] at each. Fails: MEMORY. */
deco_status deco_umap_start(float *y, const deco_umap_plan *plan, const deco_umap_graph *g, const int32_t *order, const float *scores,
                            int64_t Z, deco_pool *pool);

#endif
