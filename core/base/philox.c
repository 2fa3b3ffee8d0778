/* Philox4x32-10 and the distributions made of it. */
#include "base/philox.h"

#include <math.h>
#include <string.h>

void deco_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, next2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)b;
        c[3] = (uint32_t)a;
        c[0] = next0;
        c[2] = next2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

deco_random deco_random_at(uint64_t seed, deco_stream stream, uint64_t sub)
{
    return (deco_random){.seed = seed, .stream = (uint32_t)stream, .sub = sub};
}

/* The counter is 128 bits wide: 44 of them count blocks, 20 bits name the stream (and the rest of `index` is never reached),
 * 64 are the sub-sequence. */
uint32_t deco_random_u32(deco_random *r)
{
    if (!r->left) {
        uint32_t counter[4] = {(uint32_t)r->index, (uint32_t)(r->index >> 32) ^ (r->stream << 12), (uint32_t)r->sub,
                               (uint32_t)(r->sub >> 32)};
        uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
        deco_philox(r->block, counter, key);
        r->index++;
        r->left = 4;
    }
    return r->block[4 - r->left--];
}

static uint64_t random_u64(deco_random *r)
{
    uint64_t low = deco_random_u32(r);
    return low | (uint64_t)deco_random_u32(r) << 32;
}

uint64_t deco_random_below(deco_random *r, uint64_t n)
{
    if (n < 2)
        return 0;
    /* Numbers under 2^64 mod n are thrown back: what is left is a whole number of rounds of n. */
    uint64_t x, lowest = (0 - n) % n;
    do
        x = random_u64(r);
    while (x < lowest);
    return x % n;
}

double deco_random_uniform(deco_random *r) { return (double)(random_u64(r) >> 11) * 0x1p-53; }

double deco_random_normal(deco_random *r)
{
    double u = 1 - deco_random_uniform(r); /* (0, 1]: its logarithm is finite */
    double v = deco_random_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586476925286766559 * v);
}

void deco_random_permutation(deco_random *r, int64_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t j = (int64_t)deco_random_below(r, (uint64_t)i + 1);
        if (j != i)
            out[i] = out[j];
        out[j] = i;
    }
}
