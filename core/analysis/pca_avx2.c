/* The products of the principal components for x86-64 with AVX2 and FMA. */
#ifdef __x86_64__
#define KERNEL  __attribute__((target("avx2,fma"))) static
#define KERNELS pca_products_avx2
#include "analysis/pca_kernels.h"
#endif
