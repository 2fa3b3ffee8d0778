/* Which of the snapshot kernels this processor runs. */
#include "compute/snapshot.h"

const deco_snapshot_kernels *deco_snapshot_best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return &deco_snapshot_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &deco_snapshot_avx2;
#endif
    return &deco_snapshot_plain;
}
