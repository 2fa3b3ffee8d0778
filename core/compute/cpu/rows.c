/* Which of the row kernels this processor runs. */
#include "compute/cpu/product.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"

const cpu_rows *cpu_rows_best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return &cpu_rows_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &cpu_rows_avx2;
#endif
    return &cpu_rows_plain;
}

const cpu_vit_rows *cpu_vit_rows_best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return &cpu_vit_rows_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &cpu_vit_rows_avx2;
#endif
    return &cpu_vit_rows_plain;
}

const cpu_products *cpu_products_best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return &cpu_products_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &cpu_products_avx2;
#endif
    return &cpu_products_plain;
}
