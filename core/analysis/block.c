/* The kernels on blocks of rows, and the ordered sums over slabs. */
#include "analysis/block.h"
#include <stdlib.h>

void deco_block_load(double *out, const float *x, int64_t first, int64_t n, int64_t Z, const double *centre)
{
    for (int64_t j = 0; j < Z; j++) {
        const float *from = x + first * Z + j;
        double *to = out + j * DECO_BLOCK, c = centre ? centre[j] : 0;
        for (int64_t r = 0; r < n; r++)
            to[r] = from[r * Z] - c;
        for (int64_t r = n; r < DECO_BLOCK; r++)
            to[r] = 0;
    }
}

static inline deco_pair pair_at(const double *p) { return *(const deco_pair *)p; }

/* Rows i … i + n - 1 (at most four) of A times columns r … r+3 of x - c, from j = 0 to Z - 1: eight sums stay in registers. */
static inline void tile_product(deco_pair s[4][2], const double *A, int64_t stride, int n, const double *x, const double *c, int64_t Z)
{
    for (int i = 0; i < n; i++)
        s[i][0] = s[i][1] = (deco_pair){0};
    for (int64_t j = 0; j < Z; j++) {
        deco_pair u = pair_at(x + j * DECO_BLOCK), v = pair_at(x + j * DECO_BLOCK + 2);
        if (c) {
            u -= c[j];
            v -= c[j];
        }
        for (int i = 0; i < n; i++) {
            double a = A[i * stride + j];
            s[i][0] += a * u;
            s[i][1] += a * v;
        }
    }
}

void deco_block_product(double *y, const double *A, int64_t rows, int64_t Z, const double *x)
{
    deco_pair s[4][2];

    for (int64_t i = 0; i < rows; i += 4)
        for (int64_t r = 0; r < DECO_BLOCK; r += 4) {
            int n = rows - i < 4 ? (int)(rows - i) : 4;
            if (n == 4)
                tile_product(s, A + i * Z, Z, 4, x + r, NULL, Z);
            else
                tile_product(s, A + i * Z, Z, n, x + r, NULL, Z);
            for (int k = 0; k < n; k++) {
                *(deco_pair *)(y + (i + k) * DECO_BLOCK + r) = s[k][0];
                *(deco_pair *)(y + (i + k) * DECO_BLOCK + r + 2) = s[k][1];
            }
        }
}

void deco_block_length(double *q, const double *A, const double *c, int64_t Z, const double *x)
{
    deco_pair s[4][2];

    for (int64_t r = 0; r < DECO_BLOCK; r += 4) {
        deco_pair u = {0}, v = {0};
        for (int64_t i = 0; i < Z; i += 4) { /* right of the diagonal are zeros, so a tile may go to its last row's end */
            int n = Z - i < 4 ? (int)(Z - i) : 4;
            if (n == 4)
                tile_product(s, A + i * Z, Z, 4, x + r, c, i + 4);
            else
                tile_product(s, A + i * Z, Z, n, x + r, c, Z);
            for (int k = 0; k < n; k++) {
                u += s[k][0] * s[k][0];
                v += s[k][1] * s[k][1];
            }
        }
        *(deco_pair *)(q + r) = u;
        *(deco_pair *)(q + r + 2) = v;
    }
}

static inline double dot(const double *a, const double *b, int64_t n)
{
    deco_pair s = {0}, t = {0};
    for (int64_t r = 0; r < n; r += 4) {
        s += pair_at(a + r) * pair_at(b + r);
        t += pair_at(a + r + 2) * pair_at(b + r + 2);
    }
    s += t;
    return s[0] + s[1];
}

/* Rows i, i+1 against rows j … j+3. */
static void gram_tile(double *sum, const double *a, const double *b, int64_t i, int64_t j, int64_t n)
{
    deco_pair s[2][4] = {{{0}}};
    a += i * DECO_BLOCK;
    b += j * DECO_BLOCK;
    for (int64_t r = 0; r < n; r += 2) {
        deco_pair u = pair_at(a + r), v = pair_at(a + DECO_BLOCK + r);
        for (int k = 0; k < 4; k++) {
            deco_pair w = pair_at(b + k * DECO_BLOCK + r);
            s[0][k] += u * w;
            s[1][k] += v * w;
        }
    }
    for (int64_t p = 0; p < 2; p++)
        for (int64_t k = 0; k < 4; k++)
            sum[(i + p) * (i + p + 1) / 2 + j + k] += s[p][k][0] + s[p][k][1];
}

void deco_block_gram(double *sum, const double *a, const double *b, int64_t Z, int64_t n)
{
    for (int64_t i = 0; i < Z; i += 2) {
        int64_t rows = Z - i < 2 ? 1 : 2, j = 0;
        for (; rows == 2 && j + 4 <= i + 1; j += 4) /* whole tiles left of the diagonal */
            gram_tile(sum, a, b, i, j, n);
        for (int64_t p = i; p < i + rows; p++)
            for (int64_t k = j; k <= p; k++)
                sum[p * (p + 1) / 2 + k] += dot(a + p * DECO_BLOCK, b + k * DECO_BLOCK, n);
    }
}

void deco_block_distance(double *d2, const double *x, const double *c, int64_t Z)
{
    for (int64_t r = 0; r < DECO_BLOCK; r += 4) {
        deco_pair s = {0}, t = {0};
        for (int64_t j = 0; j < Z; j++) {
            deco_pair u = pair_at(x + j * DECO_BLOCK + r) - c[j], v = pair_at(x + j * DECO_BLOCK + r + 2) - c[j];
            s += u * u;
            t += v * v;
        }
        *(deco_pair *)(d2 + r) = s;
        *(deco_pair *)(d2 + r + 2) = t;
    }
}

typedef struct slab_run {
    int64_t N, width;
    double *sums;
    deco_status (*task)(void *context, const deco_slab *slab);
    void *context;
} slab_run;

static deco_status run_slab(void *context, int64_t index, int worker)
{
    const slab_run *run = context;
    deco_slab slab = {deco_slab_row(run->N, index), deco_slab_row(run->N, index + 1), run->sums + index * run->width};

    return run->task(run->context, &slab);
}

deco_status deco_slabs_sum(double *total, int64_t width, int64_t N, deco_status (*task)(void *context, const deco_slab *slab),
                           void *context, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t slabs = deco_slabs(N);
    slab_run run = {N, width, NULL, task, context};

    TRY(deco_alloc(&run.sums, (size_t)(slabs * width), sizeof *run.sums, "sums over the latents"));
    TRY(deco_pool_run(pool, run_slab, &run, slabs));
    for (int64_t i = 0; i < width; i++) {
        total[i] = 0;
        for (int64_t s = 0; s < slabs; s++)
            total[i] += run.sums[s * width + i];
    }
out:
    free(run.sums);
    return st;
}
