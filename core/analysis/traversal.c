#include "analysis/traversal.h"
#include "analysis/umap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_traverse_directly(double **out, int64_t *count, const double *stops, int64_t n, int64_t Z, int64_t frames)
{
    int64_t a_line = frames > 1 ? frames - 1 : 1, all = n > 1 ? (n - 1) * a_line + 1 : n;
    deco_status st = deco_alloc(out, (size_t)(all * Z) + 1, sizeof **out, "latents on the way");

    for (int64_t i = 0; !st && i < all; i++) {
        int64_t line = i / a_line < n - 1 ? i / a_line : n - 1;
        const double *a = stops + line * Z, *b = line + 1 < n ? a + Z : a;
        double t = (double)(i - line * a_line) / (double)a_line;
        for (int64_t j = 0; j < Z; j++)
            (*out)[i * Z + j] = (1 - t) * a[j] + t * b[j];
    }
    *count = all;
    return st;
}

/* Rows by rising distance: a heap with the nearest on top. */
typedef struct heap_entry {
    double d;
    int32_t row;
} heap_entry;

typedef struct heap {
    heap_entry *entry;
    int64_t n;
} heap;

static bool nearer(heap_entry a, heap_entry b) { return a.d < b.d || (a.d == b.d && a.row < b.row); }

static void heap_put(heap *h, heap_entry e)
{
    int64_t at = h->n++;

    for (; at && nearer(e, h->entry[(at - 1) / 2]); at = (at - 1) / 2)
        h->entry[at] = h->entry[(at - 1) / 2];
    h->entry[at] = e;
}

static heap_entry heap_take(heap *h)
{
    heap_entry top = h->entry[0], last = h->entry[--h->n];
    int64_t at = 0;

    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= h->n)
            break;
        child += child + 1 < h->n && nearer(h->entry[child + 1], h->entry[child]);
        if (!nearer(h->entry[child], last))
            break;
        h->entry[at] = h->entry[child];
        at = child;
    }
    h->entry[at] = last;
    return top;
}

typedef struct walk {
    const float *z;
    int64_t N, Z;
    const deco_umap_graph *g; /* whose edges stand for neighbours either way */
    double *d;                /* [N] */
    int32_t *from;            /* [N] */
    heap h;
} walk;

static double distance(const walk *w, int64_t a, int64_t b)
{
    double s = 0;

    for (int64_t j = 0; j < w->Z; j++) {
        double d = (double)w->z[a * w->Z + j] - w->z[b * w->Z + j];
        s += d * d;
    }
    return sqrt(s);
}

/* Dijkstra's shortest way from a until b is reached: the number of rows on it, or 0. */
static int64_t find_way(walk *w, int64_t a, int64_t b)
{
    int64_t steps = 1;

    for (int64_t i = 0; i < w->N; i++) {
        w->d[i] = INFINITY;
        w->from[i] = -1;
    }
    w->h.n = 0;
    w->d[a] = 0;
    heap_put(&w->h, (heap_entry){0, (int32_t)a});
    while (w->h.n) {
        heap_entry e = heap_take(&w->h);
        if (e.row == b)
            break;
        if (e.d > w->d[e.row])
            continue;
        for (int64_t k = w->g->start[e.row]; k < w->g->start[e.row + 1]; k++) {
            int32_t to = w->g->row[k];
            double d = e.d + distance(w, e.row, to);
            if (d < w->d[to]) {
                w->d[to] = d;
                w->from[to] = e.row;
                heap_put(&w->h, (heap_entry){d, to});
            }
        }
    }
    if (!isfinite(w->d[b]))
        return 0;
    for (int64_t i = b; i != a; i = w->from[i])
        steps++;
    return steps;
}

/* The way that was found last, thinned to at most `frames` rows, behind what stands in out. */
static int64_t append_way(int64_t *out, int64_t count, const walk *w, int64_t b, int64_t steps, int64_t frames)
{
    int64_t taken = steps < frames ? steps : frames, at = steps - 1, first = count ? 1 : 0; /* the line's start stands there already */

    for (int64_t k = taken - 1, row = b; k >= first; k--) {
        int64_t place = taken > 1 ? k * (steps - 1) / (taken - 1) : 0;
        for (; at > place; at--)
            row = w->from[row];
        out[count + k - first] = row;
    }
    return count + taken - first;
}

deco_status deco_traverse_graph(int64_t **row, int64_t *count, const float *z, int64_t N, int64_t Z, const int64_t *stop, int64_t n,
                                int64_t frames, uint64_t seed, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_neighbours near = {0};
    deco_umap_graph g = {0};
    walk w = {.z = z, .N = N, .Z = Z, .g = &g};
    int64_t *out = NULL;

    *count = 0;
    frames = frames > 2 ? frames : 2;
    TRY(deco_neighbours_find(&near, z, N, Z, DECO_UMAP_NEIGHBOURS, seed, pool, m));
    TRY(deco_umap_graph_make(&g, NULL, NULL, &near, pool));
    TRY(deco_alloc(&w.d, (size_t)N, sizeof *w.d, "distances"));
    TRY(deco_alloc(&w.from, (size_t)N, sizeof *w.from, "a way through the latents"));
    TRY(deco_alloc(&w.h.entry, (size_t)g.start[N] + 2, sizeof *w.h.entry, "a way through the latents"));
    TRY(deco_alloc(&out, (size_t)(n * frames) + 1, sizeof *out, "a way through the latents"));
    for (int64_t i = 0; i + 1 < n; i++) {
        int64_t steps = find_way(&w, stop[i], stop[i + 1]);
        if (!steps)
            TRY(deco_fail(
                DECO_E_ARGUMENT,
                "no way over neighbours leads from particle %lld to particle %lld: their latents lie in groups that do not touch; "
                "--traverse direct goes straight",
                (long long)stop[i], (long long)stop[i + 1]));
        *count = append_way(out, *count, &w, stop[i + 1], steps, frames);
    }
    *row = out;
    out = NULL;
out:
    deco_neighbours_free(&near);
    deco_umap_graph_free(&g);
    free(w.d);
    free(w.from);
    free(w.h.entry);
    free(out);
    return st;
}
