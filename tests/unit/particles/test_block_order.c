/* Orders of an epoch's images by blocks. */
#include "base/cores.h"
#include "particles/block_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* File order: the rows backwards. */
static int64_t *order_of(int64_t N, int64_t block, uint64_t epoch)
{
    int64_t *order = malloc((size_t)N * sizeof *order), *files = malloc((size_t)N * sizeof *files);
    deco_random r = deco_random_at(9, DECO_STREAM_ORDER, epoch);

    for (int64_t i = 0; i < N; i++)
        files[i] = N - 1 - i;
    deco_block_order(order, files, N, block, &r);
    free(files);
    return order;
}

static void every_row_comes_once(void **state)
{
    const int64_t sizes[][2] = {{1, 1},      {7, 1},     {100, 1}, {100, 7}, {100, 13}, {1000, 100},
                                {1001, 100}, {999, 998}, {50, 50}, {50, 0},  {50, 90}};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t N = sizes[i][0], *order = order_of(N, sizes[i][1], 1);
        bool *seen = calloc((size_t)N, sizeof *seen);
        for (int64_t k = 0; k < N; k++) {
            assert_true(order[k] >= 0 && order[k] < N && !seen[order[k]]);
            seen[order[k]] = true;
        }
        free(seen);
        free(order);
    }
}

/* Any eight blocks' worth of images, from the start of an epoch, comes from eight blocks; they are mixed, and no two epochs are alike. */
static void images_come_by_eight_blocks_mixed(void **state)
{
    enum { N = 8000, BLOCK = 100, MIXED = DECO_BLOCKS_MIXED * BLOCK };
    int64_t *order = order_of(N, BLOCK, 1), *again = order_of(N, BLOCK, 1), *other = order_of(N, BLOCK, 2);

    (void)state;
    for (int64_t from = 0; from < N; from += MIXED) {
        bool block[N / BLOCK] = {0};
        int blocks = 0, neighbours = 0;
        for (int64_t i = from; i < from + MIXED; i++) {
            int64_t b = (N - 1 - order[i]) / BLOCK;
            blocks += !block[b];
            block[b] = true;
            neighbours += i > from && order[i] == order[i - 1] - 1;
        }
        assert_int_equal(blocks, DECO_BLOCKS_MIXED);
        assert_true(neighbours < 10); /* one in 800 by chance */
    }
    assert_memory_equal(order, again, N * sizeof *order);
    assert_memory_not_equal(order, other, N * sizeof *order);
    free(order);
    free(again);
    free(other);
}

static void without_blocks_it_is_the_permutation(void **state)
{
    int64_t *order = order_of(500, 0, 3), plain[500];
    deco_random r = deco_random_at(9, DECO_STREAM_ORDER, 3);

    (void)state;
    deco_random_permutation(&r, plain, 500);
    assert_memory_equal(order, plain, sizeof plain);
    free(order);
}

static void blocks_are_for_what_does_not_fit_in_memory(void **state)
{
    (void)state;
    assert_int_equal(deco_block_for(1000, 57344), 0);
    double block = (double)deco_block_for(INT64_C(1) << 50, 57344) * 57344, most = deco_memory_allowed() / 64;
    assert_true(block <= 256e6 && block <= most && block > 0.9 * (most < 256e6 ? most : 256e6));
    assert_int_equal(deco_block_for(INT64_C(1) << 50, 1e9), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_comes_once),
        cmocka_unit_test(images_come_by_eight_blocks_mixed),
        cmocka_unit_test(without_blocks_it_is_the_permutation),
        cmocka_unit_test(blocks_are_for_what_does_not_fit_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
