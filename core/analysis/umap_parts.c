#include "analysis/umap_parts.h"
#include <stdlib.h>
#include <string.h>

/* part [N], numbered in the order of first places; a list of places to visit stands for recursion. */
static int64_t number_parts(int32_t *part, int32_t *visit, const deco_umap_graph *g)
{
    int64_t parts = 0;

    for (int64_t i = 0; i < g->N; i++)
        part[i] = -1;
    for (int64_t i = 0; i < g->N; i++) {
        int64_t waiting = 0;
        if (part[i] >= 0)
            continue;
        part[i] = (int32_t)parts;
        visit[waiting++] = (int32_t)i;
        while (waiting) {
            int32_t at = visit[--waiting];
            for (int64_t e = g->start[at]; e < g->start[at + 1]; e++)
                if (part[g->row[e]] < 0) {
                    part[g->row[e]] = (int32_t)parts;
                    visit[waiting++] = g->row[e];
                }
        }
        parts++;
    }
    return parts;
}

deco_status deco_umap_parts_find(deco_umap_parts *out, const deco_umap_graph *g)
{
    deco_status st = DECO_OK;
    deco_umap_parts p = {0};
    int32_t *part = NULL;

    *out = p;
    TRY(deco_alloc(&part, (size_t)g->N, sizeof *part, "parts of a graph"));
    TRY(deco_alloc(&p.place, (size_t)g->N, sizeof *p.place, "parts of a graph"));
    TRY(deco_alloc(&p.within, (size_t)g->N, sizeof *p.within, "parts of a graph"));
    p.count = number_parts(part, p.place, g);
    TRY(deco_alloc(&p.begin, (size_t)p.count + 1, sizeof *p.begin, "parts of a graph"));
    for (int64_t i = 0; i < g->N; i++)
        p.within[i] = (int32_t)p.begin[part[i] + 1]++;
    for (int64_t k = 0; k < p.count; k++)
        p.begin[k + 1] += p.begin[k];
    for (int64_t i = 0; i < g->N; i++)
        p.place[p.begin[part[i]] + p.within[i]] = (int32_t)i;
    *out = p;
    p = (deco_umap_parts){0};
out:
    free(part);
    deco_umap_parts_free(&p);
    return st;
}

void deco_umap_parts_free(deco_umap_parts *p)
{
    free(p->begin);
    free(p->place);
    free(p->within);
    *p = (deco_umap_parts){0};
}

deco_status deco_umap_part(deco_umap_graph *out, const deco_umap_graph *g, const deco_umap_parts *parts, int64_t part)
{
    deco_status st = DECO_OK;
    const int32_t *place = parts->place + parts->begin[part];
    deco_umap_graph own = {.N = parts->begin[part + 1] - parts->begin[part]};
    int64_t edges = 0;

    *out = (deco_umap_graph){0};
    TRY(deco_alloc(&own.start, (size_t)own.N + 1, sizeof *own.start, "a part of a graph"));
    for (int64_t i = 0; i < own.N; i++)
        own.start[i + 1] = edges += g->start[place[i] + 1] - g->start[place[i]];
    TRY(deco_alloc(&own.row, (size_t)edges + 1, sizeof *own.row, "a part of a graph"));
    TRY(deco_alloc(&own.weight, (size_t)edges + 1, sizeof *own.weight, "a part of a graph"));
    for (int64_t i = 0; i < own.N; i++) {
        int64_t from = g->start[place[i]], n = own.start[i + 1] - own.start[i];
        for (int64_t e = 0; e < n; e++)
            own.row[own.start[i] + e] = parts->within[g->row[from + e]];
        memcpy(own.weight + own.start[i], g->weight + from, (size_t)n * sizeof *own.weight);
    }
    *out = own;
    own = (deco_umap_graph){0};
out:
    deco_umap_graph_free(&own);
    return st;
}
