/* Principal components of the latents, and the walk along one of them. METHOD.md section 7. */
#include "analysis/analysis.h"
#include "analysis/pca_products.h"
#include "analysis/percentile.h"
#include "base/processor.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct pca_pass {
    const float *x;
    int64_t Z;
    const deco_pca *p;
    float *scores;
    int64_t wide; /* Z, or a few more: whole vectors */
} pca_pass;

static const deco_pca_products *products_here(void)
{
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX512)
        return &pca_products_avx512;
    if (deco_processor_kind() >= DECO_AVX2)
        return &pca_products_avx2;
#endif
    return &pca_products_plain;
}

static deco_status sum_rows(void *context, const deco_slab *slab)
{
    const pca_pass *pass = context;

    for (int64_t i = slab->first; i < slab->end; i++)
        for (int64_t j = 0; j < pass->Z; j++)
            slab->sums[j] += pass->x[i * pass->Z + j];
    return DECO_OK;
}

/* In float32, a block at a time, and blocks added up in double: a product of centred latents is off by 2^-24 of itself, to either side, and so is a
 * sum of 128; over all rows the covariance comes out to some 1e-7 of the largest variance, where the latents themselves are float32 of noisy images. */
static deco_status sum_products(void *context, const deco_slab *slab)
{
    const pca_pass *pass = context;
    const deco_pca_products *products = products_here();
    deco_status st = DECO_OK;
    int64_t Z = pass->Z, wide = pass->wide;
    float *block = NULL, *sum;

    TRY(deco_alloc(&block, (size_t)(wide * (DECO_PCA_ROWS + wide)), sizeof *block, "a block of latents"));
    sum = block + wide * DECO_PCA_ROWS;
    for (int64_t i = slab->first; i < slab->end; i += DECO_PCA_ROWS) {
        products->centre(block, pass->x + i * Z, pass->p->mean, deco_block_rows(i, slab->end), Z, wide);
        products->gram(sum, block, wide);
        for (int64_t j = 0, at = 0; j < Z; at += ++j)
            for (int64_t k = 0; k <= j; k++)
                slab->sums[at + k] += sum[j * wide + k];
    }
out:
    free(block);
    return st;
}

static deco_status write_scores(void *context, const deco_slab *slab)
{
    const pca_pass *pass = context;
    const deco_pca_products *products = products_here();
    deco_status st = DECO_OK;
    int64_t Z = pass->Z, wide = pass->wide;
    float *block = NULL, *score, *turn;

    TRY(deco_alloc(&block, (size_t)(wide * (2 * DECO_PCA_ROWS + Z)), sizeof *block, "a block of latents"));
    score = block + wide * DECO_PCA_ROWS;
    turn = score + wide * DECO_PCA_ROWS; /* zero beyond Z */
    for (int64_t k = 0; k < Z; k++)
        for (int64_t j = 0; j < Z; j++)
            turn[k * wide + j] = (float)pass->p->components[j * Z + k];
    for (int64_t i = slab->first; i < slab->end; i += DECO_PCA_ROWS) {
        int64_t n = deco_block_rows(i, slab->end);
        products->centre(block, pass->x + i * Z, pass->p->mean, n, Z, wide);
        products->product(score, block, turn, Z, wide);
        for (int64_t r = 0; r < n; r++)
            memcpy(pass->scores + (i + r) * Z, score + r * wide, (size_t)Z * sizeof *score);
    }
out:
    free(block);
    return st;
}

/* Eigenvectors of the covariance (packed lower triangle of Σ, divided by N - 1) by falling eigenvalue. */
static deco_status decompose(deco_pca *out, const double *packed, int64_t N)
{
    deco_status st = DECO_OK;
    int64_t Z = out->Z;
    double *a = NULL, *w = NULL, total = 0;
    lapack_int info;

    TRY(deco_alloc(&a, (size_t)(Z * Z), sizeof *a, "the covariance"));
    TRY(deco_alloc(&w, (size_t)Z, sizeof *w, "eigenvalues"));
    for (int64_t i = 0; i < Z; i++)
        for (int64_t j = 0; j <= i; j++)
            a[i * Z + j] = a[j * Z + i] = packed[i * (i + 1) / 2 + j] / (double)(N > 1 ? N - 1 : 1);
    info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', (lapack_int)Z, a, (lapack_int)Z, w);
    if (info)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "the principal components of the latents cannot be computed (dsyevd gives %d); are the latents finite?", (int)info));
    for (int64_t i = 0; i < Z; i++)
        total += w[i] > 0 ? w[i] : 0;
    for (int64_t i = 0; i < Z; i++) {
        const double *from = a + (Z - 1 - i) * Z; /* eigenvector: a column, so Z numbers in a row here */
        double *to = out->components + i * Z, v = w[Z - 1 - i];
        int64_t largest = 0;
        for (int64_t j = 1; j < Z; j++)
            if (fabs(from[j]) > fabs(from[largest]))
                largest = j;
        for (int64_t j = 0; j < Z; j++)
            to[j] = from[largest] < 0 ? -from[j] : from[j];
        out->variance[i] = v > 0 ? v : 0; /* rounding can leave it just below */
        out->ratio[i] = total > 0 ? out->variance[i] / total : 0;
    }
out:
    free(a);
    free(w);
    return st;
}

deco_status deco_pca_fit(deco_pca *out, float *scores, const float *x, int64_t N, int64_t Z, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_pca p = {.Z = Z};
    pca_pass pass = {x, Z, &p, scores, (Z + 15) / 16 * 16};
    double *packed = NULL, none;

    *out = (deco_pca){0};
    if (N < 1 || Z < 1)
        return deco_fail(DECO_E_ARGUMENT, "principal components of %lld latents of %lld dimensions; both must be at least 1", (long long)N,
                         (long long)Z);
    TRY(deco_alloc(&p.mean, (size_t)Z, sizeof *p.mean, "the mean latent"));
    TRY(deco_alloc(&p.components, (size_t)(Z * Z), sizeof *p.components, "principal components"));
    TRY(deco_alloc(&p.variance, (size_t)Z, sizeof *p.variance, "variances"));
    TRY(deco_alloc(&p.ratio, (size_t)Z, sizeof *p.ratio, "variances"));
    TRY(deco_alloc(&packed, (size_t)(Z * (Z + 1) / 2), sizeof *packed, "the covariance"));
    TRY(deco_slabs_sum(p.mean, Z, N, sum_rows, &pass, pool));
    for (int64_t j = 0; j < Z; j++)
        p.mean[j] /= (double)N;
    TRY(deco_slabs_sum(packed, Z * (Z + 1) / 2, N, sum_products, &pass, pool));
    TRY(decompose(&p, packed, N));
    if (scores)
        TRY(deco_slabs_sum(&none, 0, N, write_scores, &pass, pool));
    *out = p;
    p = (deco_pca){0};
out:
    free(packed);
    deco_pca_free(&p);
    return st;
}

void deco_pca_free(deco_pca *p)
{
    free(p->mean);
    free(p->components);
    free(p->variance);
    free(p->ratio);
    *p = (deco_pca){0};
}

deco_status deco_pca_traverse(double *out, const deco_pca *p, const float *scores, int64_t N, int64_t component, int64_t points)
{
    static const double ends[2] = {5, 95};
    double at[2];
    deco_status st = deco_percentiles(at, ends, 2, scores + component, N, p->Z);

    if (st)
        return st;
    for (int64_t i = 0; i < points; i++) {
        double t = points > 1 ? (double)i / (double)(points - 1) : 0, s = i == points - 1 && i ? at[1] : at[0] + t * (at[1] - at[0]);
        for (int64_t j = 0; j < p->Z; j++)
            out[i * p->Z + j] = p->mean[j] + s * p->components[component * p->Z + j];
    }
    return DECO_OK;
}
