#include "analysis/order.h"
#include "base/philox.h"
#include <stdlib.h>

/* A leaf of the tree is about as many rows as share a page of memory. */
enum { LEAF = 32 };

typedef struct place {
    float at; /* along the direction */
    int32_t row;
} place;

typedef struct halving {
    const float *x;
    int64_t N, Z, parts; /* of this level, a power of two */
    uint64_t seed;
    place *rows; /* [N] */
} halving;

/* Ties by row, so that rows all alike are ordered too. */
static inline bool before(place a, place b) { return a.at < b.at || (a.at == b.at && a.row < b.row); }

/* Puts the `middle` least of n before the others (Hoare's selection, middle of three as pivot). */
static void select_least(place *p, int64_t n, int64_t middle)
{
    int64_t low = 0, high = n - 1;

    while (low < high) {
        place a = p[low], b = p[low + (high - low) / 2], c = p[high];
        place pivot = before(a, b) ? (before(b, c) ? b : before(a, c) ? c : a) : (before(a, c) ? a : before(b, c) ? c : b);
        int64_t i = low, j = high;
        while (i <= j) {
            while (before(p[i], pivot))
                i++;
            while (before(pivot, p[j]))
                j--;
            if (i <= j) {
                place swap = p[i];
                p[i++] = p[j];
                p[j--] = swap;
            }
        }
        if (middle <= j)
            high = j;
        else if (middle >= i)
            low = i;
        else
            return;
    }
}

/* Halves part `index` of this level. */
static deco_status halve(void *context, int64_t index, int worker)
{
    const halving *h = context;
    int64_t first = index * h->N / h->parts, n = (index + 1) * h->N / h->parts - first, middle = (2 * index + 1) * h->N / (2 * h->parts);
    deco_random random = deco_random_at(h->seed, DECO_STREAM_TREE, (uint64_t)(h->parts + index));
    place *p = h->rows + first;
    const float *a, *b;

    if (n < 2)
        return DECO_OK;
    a = h->x + p[deco_random_below(&random, (uint64_t)n)].row * h->Z;
    b = h->x + p[deco_random_below(&random, (uint64_t)n)].row * h->Z;
    for (int64_t i = 0; i < n; i++) {
        const float *x = h->x + p[i].row * h->Z;
        float s = 0;
        for (int64_t j = 0; j < h->Z; j++)
            s += x[j] * (a[j] - b[j]);
        p[i].at = s;
    }
    select_least(p, n, middle - first);
    return DECO_OK;
}

deco_status deco_rows_order(int32_t *order, const float *x, int64_t N, int64_t Z, uint64_t seed, deco_pool *pool)
{
    deco_status st = DECO_OK;
    halving h = {x, N, Z, 1, seed, NULL};

    TRY(deco_alloc(&h.rows, (size_t)N, sizeof *h.rows, "an order of the latents"));
    for (int64_t i = 0; i < N; i++)
        h.rows[i].row = (int32_t)i;
    for (; N / h.parts > LEAF; h.parts *= 2)
        TRY(deco_pool_run(pool, halve, &h, h.parts));
    for (int64_t i = 0; i < N; i++)
        order[i] = h.rows[i].row;
out:
    free(h.rows);
    return st;
}
