/* product.h for processors that multiply tiles of bf16 (AMX: Intel's Xeon from its fourth generation on).
 *
 * A float is the sum of three bf16, h + m + l, to its last bit. Of the nine products of two floats' pieces six are added up in float32; the three that
 * are left out are below 2^-24 of the whole, so a product is as exact as one of float32 numbers; of their sum
 * each piece is rounded. 1.5 to 1.75 times the speed of AVX-512 is what remains (RESULTS.md).
 *
 * A tile of a is [16 rows][16 pairs] and one of b [16 pairs][16 columns], pair j of a step being the numbers j and j + 16 of its 32. Packed, b is
 * cut into parts of at most PART rows, these into runs of 16 columns, and these into steps: the tiles of h, m and l one after the other. a is packed
 * on the way, 16 rows of a part at a time, which stay in the first-level cache while all columns go by. */
#ifdef __x86_64__
#define KERNEL __attribute__((target("avx512f,fma,amx-tile,amx-bf16"))) static
#include "compute/cpu/lanes_avx512.h"
#include "compute/cpu/product.h"

enum {
    STEP = 2 * VN,     /* numbers of k */
    TILE = VN * VN,    /* pairs of a tile */
    PIECES = 3 * TILE, /* pairs of a step */
    PART = 384,        /* of a: 36 kB */
    AT_ONCE = 4        /* runs of columns whose sums the tile registers hold */
};

/* Bytes of b that the rows of a go by again and again: they are to stay in the second-level cache. */
enum { KEPT = 1344 << 10 };

static int64_t less_(int64_t a, int64_t b) { return a < b ? a : b; }
static __mmask16 first_lanes_(int64_t n) { return (__mmask16)(n >= VN ? 0xffff : n > 0 ? (1 << n) - 1 : 0); }

/* ---- packing ---------------------------------------------------------------------------------------------------- */

/* One side of a product, x[k·step + e·across] with e a row of a or a column of b, one of the two distances 1; K and n numbers of each are left. */
typedef struct side_ {
    const float *x;
    int64_t step, across, K, n;
} side_;

KERNEL inline vec some_(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes_(n), p); }

KERNEL inline __m512i rounded_(vec x)
{
    return _mm512_and_si512(_mm512_add_epi32((__m512i)x, _mm512_set1_epi32(0x8000)), _mm512_set1_epi32((int)0xffff0000));
}

KERNEL inline __m512i pair_(__m512i low, __m512i high) { return _mm512_or_si512(_mm512_srli_epi32(low, 16), high); }

/* The pieces of 16 pairs to one line of the three tiles. What is no number stays none: it is left over for l. */
KERNEL inline void split_(uint32_t *to, vec low, vec high)
{
    __m512i h0 = rounded_(low), h1 = rounded_(high);
    vec r0 = low - (vec)h0, r1 = high - (vec)h1;
    __m512i m0 = rounded_(r0), m1 = rounded_(r1);
    __m512i l0 = (__m512i)(r0 - (vec)m0), l1 = (__m512i)(r1 - (vec)m1);
    _mm512_store_si512(to, pair_(h0, h1));
    _mm512_store_si512(to + TILE, pair_(m0, m1));
    _mm512_store_si512(to + 2 * TILE, pair_(l0, _mm512_and_si512(l1, _mm512_set1_epi32((int)0xffff0000))));
}

/* One step. Lines are pairs for b and rows for a: where the numbers lie the other way, they are turned on the way. */
KERNEL inline __attribute__((always_inline)) void pack_step_(uint32_t *to, const side_ *s, const bool along_k, const bool turn)
{
    vec low[VN], high[VN];

#pragma GCC unroll 16
    for (int i = 0; i < VN; i++) {
        const float *p = s->x + i * (along_k ? s->across : s->step), *q = p + VN * (along_k ? 1 : s->step);
        bool there = i < (along_k ? s->n : s->K), there_too = along_k ? there : i + VN < s->K;
        low[i] = some_(p, there ? along_k ? s->K : s->n : 0);
        high[i] = some_(q, there_too ? along_k ? s->K - VN : s->n : 0);
        if (!turn)
            split_(to + i * VN, low[i], high[i]);
    }
    if (!turn)
        return;
    transpose_(low), transpose_(high);
#pragma GCC unroll 16
    for (int i = 0; i < VN; i++)
        split_(to + i * VN, low[i], high[i]);
}

/* All steps of 16 rows of a, or columns of b. */
KERNEL void pack_steps_(uint32_t *to, side_ s, bool of_a)
{
    bool along_k = s.step == 1;
    for (; s.K > 0; s.K -= STEP, s.x += STEP * s.step, to += PIECES) {
        if (along_k && of_a)
            pack_step_(to, &s, true, false);
        else if (along_k)
            pack_step_(to, &s, true, true);
        else if (of_a)
            pack_step_(to, &s, false, true);
        else
            pack_step_(to, &s, false, false);
    }
}

/* Pairs of 16 columns of `rows` numbers. */
static int64_t run_(int64_t rows) { return (rows + STEP - 1) / STEP * PIECES; }

/* Where part `begin` of `rows` rows, and in it column n, a multiple of 16, begin. */
static int64_t place_(int64_t N, int64_t begin, int64_t rows, int64_t n)
{
    return cpu_product_line(N) / VN * run_(begin) + n / VN * run_(rows);
}

KERNEL void pack_(float *packed, const cpu_product_side *b, int64_t first, int64_t last)
{
    int64_t part = cpu_product_part(&cpu_products_amx, b->K);

    for (int64_t begin = 0; begin < b->K; begin += part)
        for (int64_t n = first, rows = less_(part, b->K - begin); n < last && n < b->N; n += VN) {
            side_ s = {b->b + begin * b->row + n * b->column, b->row, b->column, rows, b->N - n};
            pack_steps_((uint32_t *)packed + place_(b->N, begin, rows, n), s, false);
        }
}

/* ---- multiplying ------------------------------------------------------------------------------------------------- */

/* 16 rows of one part of a product, from row m on, by up to four runs of columns, from column n on. */
typedef struct rows_ {
    const cpu_product *p;
    const uint32_t *a, *b;
    const float *bias, *onto; /* of this part; NULL: none */
    int64_t steps, run, m, n;
} rows_;

static float *place_in_c_(const rows_ *t, int64_t run) { return t->p->c + t->m * t->p->ldc + t->n + run * VN; }
static bool whole_(const rows_ *t, int64_t run) { return t->m + VN <= t->p->M && t->n + (run + 1) * VN <= t->p->N; }

/* c = sum + bias, + onto where the sum did not begin with it, at most 16 by 16. */
KERNEL void finish_(const rows_ *t, const float *sum, int64_t run)
{
    int64_t rows = less_(VN, t->p->M - t->m), first = t->n + run * VN, columns = less_(VN, t->p->N - first), ldc = t->p->ldc;
    __mmask16 mask = first_lanes_(columns);
    const float *onto = t->onto && !whole_(t, run) ? t->onto + t->m * ldc + first : NULL;
    vec bias = t->bias ? _mm512_maskz_loadu_ps(mask, t->bias + first) : _mm512_setzero_ps();
    float *c = place_in_c_(t, run);

    for (int64_t r = 0; r < rows; r++) {
        vec x = bias + _mm512_load_ps(sum + r * VN);
        if (onto)
            x += _mm512_maskz_loadu_ps(mask, onto + r * ldc);
        _mm512_mask_storeu_ps(c + r * ldc, mask, x);
    }
}

/* Tile registers are numbers that the assembler has to see: run 0 to 3 have their sums in those of their number. */
enum { LINE = VN * sizeof(uint32_t) };
#define BEGIN(run) \
    if (t->onto && whole_(t, run)) { \
        _tile_loadd(run, t->onto + t->m * t->p->ldc + t->n + (run)*VN, t->p->ldc * (int64_t)sizeof(float)); \
    } else { \
        _tile_zero(run); \
    }
#define END(run) \
    if (!t->bias && whole_(t, run)) { \
        _tile_stored(run, place_in_c_(t, run), t->p->ldc *(int64_t)sizeof(float)); \
    } else { \
        _tile_stored(run, sum, LINE); \
        finish_(t, sum, run); \
    }

/* clang-format off */
#define LOAD(tile, from) _tile_loadd(tile, from, LINE);
#define ADD(sum, x, y)   _tile_dpbf16ps(sum, x, y);

/* One step of two runs. They take turns: a product on one sum begins long before that on the other has ended. */
#define TWO(one, other, b, b1) \
    LOAD(4, a) LOAD(6, b) LOAD(7, b1)                   ADD(one, 4, 6) ADD(other, 4, 7) /* h h */ \
    LOAD(5, a + TILE)                                   ADD(one, 5, 6) ADD(other, 5, 7) /* m h */ \
    LOAD(5, a + 2 * TILE)                               ADD(one, 5, 6) ADD(other, 5, 7) /* l h */ \
    LOAD(6, (b) + TILE) LOAD(7, (b1) + TILE)            ADD(one, 4, 6) ADD(other, 4, 7) /* h m */ \
    LOAD(5, a + TILE)                                   ADD(one, 5, 6) ADD(other, 5, 7) /* m m */ \
    LOAD(6, (b) + 2 * TILE) LOAD(7, (b1) + 2 * TILE)    ADD(one, 4, 6) ADD(other, 4, 7) /* h l */

/* Of one: the same sums in the same order. */
#define ONE(one, b) \
    LOAD(4, a) LOAD(5, a + TILE) LOAD(6, b)             ADD(one, 4, 6) ADD(one, 5, 6) \
    LOAD(7, a + 2 * TILE)                               ADD(one, 7, 6) \
    LOAD(6, (b) + TILE) LOAD(7, (b) + 2 * TILE)         ADD(one, 4, 6) ADD(one, 5, 6) ADD(one, 4, 7)
/* clang-format on */

KERNEL inline __attribute__((always_inline)) void runs_(const int runs, const rows_ *t)
{
    float sum[TILE] __attribute__((aligned(64)));
    const uint32_t *a = t->a, *b = t->b;
    int64_t run = t->run;

    BEGIN(0)
    if (runs > 1) {
        BEGIN(1)
    }
    if (runs > 2) {
        BEGIN(2)
    }
    if (runs > 3) {
        BEGIN(3)
    }
    for (int64_t k = 0; k < t->steps; k++, a += PIECES, b += PIECES) {
        if (runs > 1) {
            TWO(0, 1, b, b + run)
        } else {
            ONE(0, b)
        }
        if (runs > 3) {
            TWO(2, 3, b + 2 * run, b + 3 * run)
        } else if (runs > 2) {
            ONE(2, b + 2 * run)
        }
    }
    END(0)
    if (runs > 1) {
        END(1)
    }
    if (runs > 2) {
        END(2)
    }
    if (runs > 3) {
        END(3)
    }
}

KERNEL void runs_1(const rows_ *t) { runs_(1, t); }
KERNEL void runs_2(const rows_ *t) { runs_(2, t); }
KERNEL void runs_3(const rows_ *t) { runs_(3, t); }
KERNEL void runs_4(const rows_ *t) { runs_(4, t); }

/* Of Intel's palette 1: eight tiles of at most 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start_row, zero[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

KERNEL void multiply_(const cpu_product *p)
{
    static void (*const by_runs[])(const rows_ *) = {runs_1, runs_2, runs_3, runs_4};
    int64_t part = cpu_product_part(&cpu_products_amx, p->K), runs = (p->N + VN - 1) / VN;
    uint32_t a[PART / STEP * PIECES] __attribute__((aligned(64)));

    _tile_loadconfig(&tiles);
    for (int64_t begin = 0; begin < p->K; begin += part) {
        int64_t rows = less_(part, p->K - begin), run = run_(rows), blocks = (runs * run * LINE / VN + KEPT - 1) / KEPT;
        int64_t wide = (runs + blocks - 1) / blocks;
        rows_ t = {.p = p, .a = a, .bias = begin ? NULL : p->bias, .onto = begin ? p->c : p->onto, .steps = run / PIECES, .run = run};
        for (int64_t first = 0; first < runs; first += wide)
            for (t.m = 0; t.m < p->M; t.m += VN) {
                pack_steps_(a, (side_){p->a + begin * p->step + t.m * p->row, p->step, p->row, rows, p->M - t.m}, true);
                __asm__ volatile("" ::: "memory"); /* gcc does not know what a load of a tile reads */
                for (int64_t i = first, end = less_(first + wide, runs); i < end; i += AT_ONCE) {
                    t.n = i * VN, t.b = (const uint32_t *)p->b + place_(p->N, begin, rows, t.n);
                    by_runs[less_(AT_ONCE, end - i) - 1](&t);
                }
            }
    }
    _tile_release();
}

const cpu_products cpu_products_amx = {.name = "amx",
                                       .columns = AT_ONCE * VN,
                                       .rows = PART,
                                       .depth = STEP,
                                       .halves = 3,
                                       .turns_a = true,
                                       .pack = pack_,
                                       .multiply = multiply_};
#endif
