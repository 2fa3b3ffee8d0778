/* Scratch memory of one step: taken in order, given back all at once. Works on any block, host or device. */
#ifndef DECO_BASE_ARENA_H
#define DECO_BASE_ARENA_H

#include "base/status.h"

typedef struct deco_arena {
    unsigned char *base;
    size_t size, used, peak;
} deco_arena;

static inline deco_arena deco_arena_over(void *block, size_t size) { return (deco_arena){block, size, 0, 0}; }

/* `bytes` rounded up to 64-byte lines; NULL when the block is too small (the step's plan was wrong). */
static inline void *deco_arena_take(deco_arena *a, size_t bytes)
{
    size_t n = (bytes + 63) & ~(size_t)63;
    if (n < bytes || n > a->size - a->used)
        return NULL;
    void *p = a->base + a->used;
    a->used += n;
    if (a->used > a->peak)
        a->peak = a->used;
    return p;
}

static inline void deco_arena_reset(deco_arena *a, size_t mark) { a->used = mark; }

#endif
