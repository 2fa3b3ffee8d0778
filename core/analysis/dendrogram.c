/* Average linkage of cluster centres, and the order of its leaves. METHOD.md section 7. */
#include "analysis/analysis.h"
#include <math.h>
#include <stdlib.h>

typedef struct merge {
    int64_t left, right, size; /* numbers of clusters: centres 0 … K-1, merge i is K + i; left is the lower */
    double height;
} merge;

/* The nearest two of the clusters still there (number[i] >= 0); the first pair met when several are equally near. */
static void nearest_pair(int64_t *a, int64_t *b, const double *d, const int64_t *number, int64_t K)
{
    double least = INFINITY;

    *a = *b = -1;
    for (int64_t i = 0; i < K; i++)
        for (int64_t j = i + 1; j < K && number[i] >= 0; j++)
            if (number[j] >= 0 && (*a < 0 || d[i * K + j] < least)) {
                least = d[i * K + j];
                *a = i;
                *b = j;
            }
}

static void link_all(merge *out, double *d, int64_t *number, int64_t *size, int64_t K)
{
    for (int64_t m = 0; m + 1 < K; m++) {
        int64_t a, b;
        nearest_pair(&a, &b, d, number, K);
        out[m] = (merge){number[a] < number[b] ? number[a] : number[b], number[a] < number[b] ? number[b] : number[a], size[a] + size[b],
                         d[a * K + b]};
        for (int64_t i = 0; i < K; i++) /* the mean over all pairs of members */
            d[a * K + i] = d[i * K + a] = ((double)size[a] * d[a * K + i] + (double)size[b] * d[b * K + i]) / (double)(size[a] + size[b]);
        number[a] = K + m;
        size[a] += size[b];
        number[b] = -1;
    }
}

/* Leaves from left to right, with a stack of its own: a chain of merges may be as deep as K. */
static void read_leaves(int32_t *order, int64_t *stack, const merge *tree, int64_t K)
{
    int64_t depth = 0, leaves = 0;

    stack[depth++] = 2 * K - 2;
    while (depth) {
        int64_t c = stack[--depth];
        if (c < K) {
            order[leaves++] = (int32_t)c;
        } else {
            stack[depth++] = tree[c - K].right;
            stack[depth++] = tree[c - K].left;
        }
    }
}

static double distance(const double *a, const double *b, int64_t Z)
{
    double s = 0;

    for (int64_t i = 0; i < Z; i++)
        s += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(s);
}

deco_status deco_dendrogram_order(int32_t *order, double *linkage, const double *centres, int64_t K, int64_t Z)
{
    deco_status st = DECO_OK;
    double *d = NULL;
    int64_t *number = NULL, *size = NULL, *stack = NULL;
    merge *tree = NULL;

    if (K < 1)
        return deco_fail(DECO_E_ARGUMENT, "a dendrogram of %lld centres; at least 1 is needed", (long long)K);
    TRY(deco_alloc(&d, (size_t)K * (size_t)K, sizeof *d, "distances of cluster centres"));
    TRY(deco_alloc(&number, (size_t)K, sizeof *number, "cluster numbers"));
    TRY(deco_alloc(&size, (size_t)K, sizeof *size, "cluster sizes"));
    TRY(deco_alloc(&stack, (size_t)K + 1, sizeof *stack, "a dendrogram"));
    TRY(deco_alloc(&tree, (size_t)K, sizeof *tree, "a dendrogram"));
    for (int64_t i = 0; i < K; i++) {
        number[i] = i;
        size[i] = 1;
        for (int64_t j = 0; j < K; j++)
            d[i * K + j] = distance(centres + i * Z, centres + j * Z, Z);
    }
    link_all(tree, d, number, size, K);
    read_leaves(order, stack, tree, K);
    for (int64_t i = 0; linkage && i + 1 < K; i++) {
        linkage[4 * i] = (double)tree[i].left;
        linkage[4 * i + 1] = (double)tree[i].right;
        linkage[4 * i + 2] = tree[i].height;
        linkage[4 * i + 3] = (double)tree[i].size;
    }
out:
    free(d);
    free(number);
    free(size);
    free(stack);
    free(tree);
    return st;
}
