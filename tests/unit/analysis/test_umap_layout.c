/* Passes of a layout over a graph made by whole numbers: the same bits on every processor (ctest runs this by each kind of kernels), thread and tile. */
#include "analysis/umap.h"
#include "base/philox.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { N = 3001, NEIGHBOURS = 13, PASSES = 20 };

/* Rows on a ring, each with its next ones and, weakly, one further off in another tile: symmetric, by weights that are whole 64ths. */
static void make_ring(deco_umap_graph *g, int32_t *row, float *weight, int64_t *start)
{
    int64_t n = 0;

    for (int64_t i = 0; i < N; i++) {
        start[i] = n;
        for (int64_t j = 0; j < N; j++) {
            int64_t apart = (i - j + N) % N < (j - i + N) % N ? (i - j + N) % N : (j - i + N) % N;
            if (!apart || (apart > NEIGHBOURS && apart != 1400))
                continue;
            row[n] = (int32_t)j;
            weight[n++] = apart == 1400 ? 3.F / 64 : (float)(64 - 4 * apart) / 64;
        }
    }
    start[N] = n;
    *g = (deco_umap_graph){N, start, row, weight};
}

/* FNV-1a of the layout's bits. */
static uint64_t bits_of_layout(int64_t dim, int64_t threads)
{
    int64_t room = (int64_t)N * (2 * NEIGHBOURS + 2), *start = calloc(N + 1, sizeof *start);
    int32_t *row = calloc((size_t)room, sizeof *row);
    float *weight = calloc((size_t)room, sizeof *weight), *y = calloc((size_t)(N * dim), sizeof *y);
    deco_random random = deco_random_at(7, DECO_STREAM_LAYOUT, 0);
    deco_pool *pool = NULL;
    deco_umap_graph g;
    uint64_t hash = 0xcbf29ce484222325U;

    make_ring(&g, row, weight, start);
    for (int64_t i = 0; i < N * dim; i++)
        y[i] = (float)(deco_random_u32(&random) >> 16) / 4096;
    assert_int_equal(deco_pool_create(&pool, (int)threads, NULL), DECO_OK);
    assert_int_equal(deco_umap_layout(y, &(deco_umap_plan){dim, PASSES, 5}, &g, pool, NULL), DECO_OK);
    for (int64_t i = 0; i < N * dim; i++) {
        uint32_t bits;
        memcpy(&bits, y + i, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3U;
    }
    deco_pool_free(pool);
    free(start);
    free(row);
    free(weight);
    free(y);
    return hash;
}

static void a_plane_has_the_same_bits_everywhere(void **state)
{
    assert_true(bits_of_layout(2, 1) == bits_of_layout(2, 3));
    assert_true(bits_of_layout(1, 1) == 0xed744f9fda9ccb4cU);
    assert_true(bits_of_layout(2, 2) == 0xa64761e0be7c40c1U);
}

static void so_has_a_space(void **state)
{
    assert_true(bits_of_layout(16, 1) == 0x5130ba00730a2701U);
    assert_true(bits_of_layout(21, 2) == 0xdbd3c79ecd67bcffU);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_plane_has_the_same_bits_everywhere), cmocka_unit_test(so_has_a_space)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
