/* The snapshot kernels for any processor: vectors of four, which every 64-bit one has. */
#include "compute/snapshot.h"

#include <string.h>

#define VN           4
#define KERNEL       static
#define KERNELS      deco_snapshot_plain
#define KERNELS_NAME "plain"
typedef float vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));

static inline vec fma_(vec a, vec b, vec c) { return a * b + c; }
static inline float sum_(vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }

#define LANE_SPLAT(a, g)      ((vec){(a)[g], (a)[g], (a)[g], (a)[g]})
#define INTERLEAVE_LOW(a, b)  ((vec){(a)[0], (b)[0], (a)[1], (b)[1]})
#define INTERLEAVE_HIGH(a, b) ((vec){(a)[2], (b)[2], (a)[3], (b)[3]})
#define JOIN_LOW(a, b)        ((vec){(a)[0], (a)[1], (b)[0], (b)[1]})
#define JOIN_HIGH(a, b)       ((vec){(a)[2], (a)[3], (b)[2], (b)[3]})

static inline void quad_pairs_(vec *first, vec *second, const float *p, const uint32_t *at)
{
    memcpy(first, p + at[0], sizeof *first);
    memcpy(second, p + at[0] + 4, sizeof *second);
}

static inline void keep_greater_(vec *best, ivec *which, vec a, int32_t number)
{
    ivec greater = a > *best, numbers = number - (ivec){0};
    *best = (vec)(((ivec)a & greater) | ((ivec)*best & ~greater));
    *which = (numbers & greater) | (*which & ~greater);
}

#include "compute/cpu/snapshot_kernels.h"
