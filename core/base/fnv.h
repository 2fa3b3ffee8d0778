/* FNV-1a: a 64-bit digest of bytes. Not for secrets. */
#ifndef DECO_BASE_FNV_H
#define DECO_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define DECO_FNV_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t deco_fnv1a(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

#endif
