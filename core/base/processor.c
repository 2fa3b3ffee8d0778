/* Asks processor and system. */
#include "base/processor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char variable[] = "CRYODECO_KERNELS";
static const char *const names[] = {"plain", "avx2", "avx512", "amx"};
static deco_processor found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#ifdef __x86_64__
/* Compilers that know AMX do not all know its name for __builtin_cpu_supports. Linux (5.16) keeps room for the tiles of a process that asks. */
static int amx_allowed(void)
{
    enum { LEAF = 7, BF16 = 1 << 22, TILES = 1 << 24, REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
    unsigned a, b, c, d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && (d & BF16) && (d & TILES) && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}
#endif

/* The kind that CRYODECO_KERNELS names, or one past the last. */
static deco_processor named(const char *most)
{
    deco_processor kind = DECO_PLAIN;
    while (kind <= DECO_AMX && strcmp(most, names[kind]) != 0)
        kind++;
    return kind;
}

const char *deco_processor_unknown(void)
{
    const char *most = getenv(variable);
    return most && *most && named(most) > DECO_AMX ? most : NULL;
}

static void find(void)
{
    const char *most = getenv(variable);
    deco_processor limit = most ? named(most) : DECO_AMX;
    found = DECO_PLAIN;
#ifdef __x86_64__
    if (limit >= DECO_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found = DECO_AVX2;
    if (limit >= DECO_AVX512 && __builtin_cpu_supports("avx512f"))
        found = DECO_AVX512;
    if (limit >= DECO_AMX && found == DECO_AVX512 && amx_allowed())
        found = DECO_AMX;
#endif
}

deco_processor deco_processor_kind(void)
{
    pthread_once(&once, find);
    return found;
}

const char *deco_processor_name(deco_processor kind) { return names[kind]; }
