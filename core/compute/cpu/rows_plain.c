/* The row kernels for any processor: vectors of four, which every 64-bit one has. */
#include "compute/cpu/product.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"

#define VN           4
#define KERNEL       static
#define KERNELS      cpu_rows_plain
#define KERNELS_NAME "plain"
#define VIT_KERNELS  cpu_vit_rows_plain
#define PRODUCTS     cpu_products_plain
#define PRODUCT_ROWS 4
typedef float vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));

static inline vec fma_(vec a, vec b, vec c) { return a * b + c; }
static inline vec where_positive(vec x, vec a) { return (vec)((ivec)a & ~(ivec)(x <= 0.f)); }
static inline vec larger_(vec a, vec b)
{
    ivec less = (ivec)(a <= b);
    return (vec)(((ivec)b & less) | ((ivec)a & ~less));
}

static inline float sum_(vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }

static inline float largest_(vec a)
{
    float b = a[0] > a[1] ? a[0] : a[1], c = a[2] > a[3] ? a[2] : a[3];
    return b > c ? b : c;
}

static inline vec reciprocal_(vec a) { return 1.f / a; }

static inline void transpose_(vec t[VN])
{
    for (int i = 0; i < VN; i++)
        for (int j = 0; j < i; j++) {
            float a = t[i][j];
            t[i][j] = t[j][i];
            t[j][i] = a;
        }
}

/* clang-format off: the others need the first */
#include "compute/cpu/rows_kernels.h"
#include "compute/cpu/vit_kernels.h"
#include "compute/cpu/product_kernels.h"
/* clang-format on */
