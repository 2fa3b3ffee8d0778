/* PCG64 (O'Neill, pcg-random.org: XSL RR 128/64), bounded numbers by Lemire's multiplication, and NumPy's two ways to draw without putting back (its
 * Generator.choice, from version 1.17 on). */
#include "analysis/score_draws.h"
#include <stdlib.h>
#include <string.h>

#define WIDE(high, low) ((unsigned __int128)UINT64_C(high) << 64 | UINT64_C(low))

score_draws score_draws_begin(void)
{
    return (score_draws){.state = WIDE(0x1aa1b5345996452d, 0x09585eb7a69561e3)}; /* what SeedSequence(0) makes of the seed */
}

static uint64_t next64(score_draws *d)
{
    d->state = d->state * WIDE(0x2360ed051fc65da4, 0x4385df649fccf645) + WIDE(0x418ddadb3af71a82, 0x588133bc447873a9);
    uint64_t x = (uint64_t)(d->state >> 64) ^ (uint64_t)d->state;
    unsigned turn = (unsigned)(d->state >> 122);
    return x >> turn | x << (-turn & 63);
}

static uint32_t next32(score_draws *d)
{
    d->half = !d->half;
    if (!d->half)
        return d->left;
    uint64_t x = next64(d);
    d->left = (uint32_t)(x >> 32);
    return (uint32_t)x;
}

/* From 0 to `most`, which is below 2^32 - 1 for any set that fits on a disk; beyond, numbers are good but not NumPy's. */
static int64_t up_to(score_draws *d, int64_t most)
{
    if (most <= 0)
        return 0;
    if (most >= UINT32_MAX)
        return (int64_t)((unsigned __int128)next64(d) * (uint64_t)(most + 1) >> 64);
    uint32_t range = (uint32_t)most + 1;
    uint64_t m = (uint64_t)next32(d) * range;
    if ((uint32_t)m < range)
        for (uint32_t threshold = -range % range; (uint32_t)m < threshold;)
            m = (uint64_t)next32(d) * range;
    return (int64_t)(m >> 32);
}

/* Of x [n] the last, down to `first`. */
static void shuffle_end(score_draws *d, int64_t *x, int64_t n, int64_t first)
{
    for (int64_t i = n - 1; i >= first; i--) {
        int64_t j = up_to(d, i), was = x[i];
        x[i] = x[j];
        x[j] = was;
    }
}

static deco_status choose_many(int64_t *out, score_draws *d, int64_t n, int64_t size)
{
    deco_status st = DECO_OK;
    int64_t *all = NULL;

    TRY(deco_alloc(&all, (size_t)n, sizeof *all, "particles drawn"));
    for (int64_t i = 0; i < n; i++)
        all[i] = i;
    shuffle_end(d, all, n, n - size > 1 ? n - size : 1);
    memcpy(out, all + n - size, (size_t)size * sizeof *out);
out:
    free(all);
    return st;
}

/* Floyd's: j comes in where its draw is there already. */
static deco_status choose_few(int64_t *out, score_draws *d, int64_t n, int64_t size)
{
    deco_status st = DECO_OK;
    bool *taken = NULL;

    TRY(deco_alloc(&taken, (size_t)n + 1, sizeof *taken, "particles drawn"));
    for (int64_t j = n - size; j < n; j++) {
        int64_t drawn = up_to(d, j), got = taken[drawn] ? j : drawn;
        taken[got] = true;
        out[j - n + size] = got;
    }
    shuffle_end(d, out, size, 1);
out:
    free(taken);
    return st;
}

deco_status score_draws_choose(int64_t *out, score_draws *d, int64_t n, int64_t size)
{
    enum { FEW = 10000, SHARE = 50 };
    return n > FEW && size > n / SHARE ? choose_many(out, d, n, size) : choose_few(out, d, n, size);
}
