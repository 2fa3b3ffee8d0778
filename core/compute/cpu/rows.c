/* Which of the row and product kernels this processor runs. */
#include "base/processor.h"
#include "compute/cpu/product.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/vit_rows.h"

#ifdef __x86_64__
#define BY_PROCESSOR(name, last) \
    { \
        &name##_plain, &name##_avx2, &name##_avx512, &name##_##last \
    }
#else
#define BY_PROCESSOR(name, last) \
    { \
        &name##_plain, &name##_plain, &name##_plain, &name##_plain \
    }
#endif

const cpu_rows *cpu_rows_best(void)
{
    static const cpu_rows *const kinds[] = BY_PROCESSOR(cpu_rows, avx512);
    return kinds[deco_processor_kind()];
}

const cpu_vit_rows *cpu_vit_rows_best(void)
{
    static const cpu_vit_rows *const kinds[] = BY_PROCESSOR(cpu_vit_rows, avx512);
    return kinds[deco_processor_kind()];
}

const cpu_products *cpu_products_best(void)
{
    static const cpu_products *const kinds[] = BY_PROCESSOR(cpu_products, amx);
    return kinds[deco_processor_kind()];
}
