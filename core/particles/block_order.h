/* The order of an epoch's images: all of them shuffled, or blocks of neighbours in their files, for disks that read one image here and one
 * there slowly and a memory that does not hold them all. */
#ifndef DECO_PARTICLES_BLOCK_ORDER_H
#define DECO_PARTICLES_BLOCK_ORDER_H

#include "base/philox.h"

enum { DECO_BLOCKS_MIXED = 8 };

/* order [N]: a permutation of the rows, a function of *r alone. block 0: of all at once. Else blocks of so many of file_order [N] are drawn in random
 * order, and the rows of every DECO_BLOCKS_MIXED of them that follow each other are shuffled together. */
void deco_block_order(int64_t *order, const int64_t *file_order, int64_t N, int64_t block, deco_random *r);

/* The block for images that take `bytes` each: 0 where all of them fit into three quarters of this process's memory, else blocks of 256 MB or a 64th of it. */
int64_t deco_block_for(int64_t images, double bytes);

#endif
