/* The kernels of block.h for any processor. */
#define KERNEL       static
#define KERNELS      block_kernels_plain
#define TILE_ROWS    2
#define TILE_COLUMNS 1
#define GRAM_ROWS    1
#define GRAM_COLUMNS 2
#include "analysis/block_kernels.h"
