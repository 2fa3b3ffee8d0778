/* Shuffling within a few blocks at a time. */
#include "particles/block_order.h"
#include "base/cores.h"

#include <string.h>

static const double block_bytes = 256e6, share_of_memory = 0.75;
static const double share_of_block =
    1.0 / 64; /* of the memory, since the eight in use and the eight that are read ahead are there together */

/* Fisher–Yates. */
static void shuffle(int64_t *x, int64_t n, deco_random *r)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = (int64_t)deco_random_below(r, (uint64_t)i + 1), was = x[i];
        x[i] = x[k];
        x[k] = was;
    }
}

/* The blocks' numbers stand at the end of `order` until they are used up: those of what is filled lie before what is filled, since a block holds at
 * least one row. */
void deco_block_order(int64_t *order, const int64_t *file_order, int64_t N, int64_t block, deco_random *r)
{
    if (!block || block >= N) {
        deco_random_permutation(r, order, N);
        return;
    }
    int64_t blocks = (N + block - 1) / block, filled = 0, mixed[DECO_BLOCKS_MIXED];
    int64_t *number = order + (N - blocks);

    for (int64_t b = 0; b < blocks; b++)
        number[b] = b;
    shuffle(number, blocks, r);
    for (int64_t b = 0; b < blocks;) {
        int64_t from = filled, n = blocks - b < DECO_BLOCKS_MIXED ? blocks - b : DECO_BLOCKS_MIXED;
        memcpy(mixed, number + b, (size_t)n * sizeof *mixed);
        b += n;
        for (int64_t k = 0; k < n; k++) {
            int64_t first = mixed[k] * block, rows = N - first < block ? N - first : block;
            memcpy(order + filled, file_order + first, (size_t)rows * sizeof *order);
            filled += rows;
        }
        shuffle(order + from, filled - from, r);
    }
}

int64_t deco_block_for(int64_t images, double bytes)
{
    double memory = deco_memory_allowed(), block = block_bytes < share_of_block * memory ? block_bytes : share_of_block * memory;

    if ((double)images * bytes <= share_of_memory * memory)
        return 0;
    return bytes < block ? (int64_t)(block / bytes) : 1;
}
