/* Which of the snapshot kernels this processor runs. */
#include "compute/snapshot.h"

#include "base/processor.h"

const deco_snapshot_kernels *deco_snapshot_best(void)
{
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX512)
        return &deco_snapshot_avx512;
    if (deco_processor_kind() >= DECO_AVX2)
        return &deco_snapshot_avx2;
#endif
    return &deco_snapshot_plain;
}
