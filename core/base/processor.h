/* What this processor can do, which chooses every kernel that exists more than once. Each includes those before it; other processors than
 * x86-64 are plain.
 *
 * Sums are added up in another order by each kind, so results differ in the last bits from one to the other. Where machines are mixed and a run is to
 * end with the same bits on all, CRYODECO_KERNELS (plain, avx2, avx512 or amx) names the most that may be used. */
#ifndef DECO_BASE_PROCESSOR_H
#define DECO_BASE_PROCESSOR_H

typedef enum deco_processor {
    DECO_PLAIN,
    DECO_AVX2,   /* and FMA */
    DECO_AVX512, /* AVX-512F */
    DECO_AMX     /* tiles of bf16, which the system has to allow, too */
} deco_processor;

/* Asked once: under a hypervisor the question is slow. */
deco_processor deco_processor_kind(void);

/* CRYODECO_KERNELS where it is set and names no kind, or NULL. */
const char *deco_processor_unknown(void);

/* "avx512" */
const char *deco_processor_name(deco_processor kind);

#endif
