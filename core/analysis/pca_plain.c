/* The products of the principal components for any processor. */
#define KERNEL  static
#define KERNELS pca_products_plain
#include "analysis/pca_kernels.h"
