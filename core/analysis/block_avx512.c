/* The kernels of block.h for x86-64 with AVX-512. */
#ifdef __x86_64__
#define KERNEL       __attribute__((target("avx512f"))) static
#define KERNELS      block_kernels_avx512
#define TILE_ROWS    4
#define TILE_COLUMNS 4
#define GRAM_ROWS    4
#define GRAM_COLUMNS 4
#include "analysis/block_kernels.h"
#endif
