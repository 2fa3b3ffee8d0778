/* The products of the principal components for x86-64 with AVX-512. */
#ifdef __x86_64__
#define KERNEL  __attribute__((target("avx512f,fma"))) static
#define KERNELS pca_products_avx512
#include "analysis/pca_kernels.h"
#endif
