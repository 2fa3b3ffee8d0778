/* The kernels of block.h for x86-64 with AVX2. */
#ifdef __x86_64__
#define KERNEL       __attribute__((target("avx2"))) static
#define KERNELS      block_kernels_avx2
#define TILE_ROWS    4
#define TILE_COLUMNS 1
#define GRAM_ROWS    2
#define GRAM_COLUMNS 2
#include "analysis/block_kernels.h"
#endif
