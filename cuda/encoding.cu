/* Positional encoding, and the latent behind it. METHOD.md section 3. */
#include "launch.h"

#include "formulas/encoding.h"

static float half_of(int64_t L)
{
    int64_t half = L / 2;
    return (float)half;
}

__global__ void encode_kernel(float *pe, const float *x, const float *freqs, int64_t M, int64_t F, float half_L)
{
    int64_t at = grid_thread(), i = at / F, j = at % F;
    if (at >= M * F)
        return;
    float k = deco_encoding_phase(x + 3 * i, freqs + 3 * j, half_L);
    pe[2 * F * i + j] = sinf(k);
    pe[2 * F * i + F + j] = cosf(k);
}

deco_status cuda_positional_encoding(deco_device *dev, deco_array pe, deco_array x, deco_array freqs, int64_t L)
{
    int64_t M = x.shape[0], F = freqs.shape[0];
    return LAUNCH(dev, encode_kernel, blocks_of(M * F), THREADS, (float *)pe.data, (const float *)x.data, (const float *)freqs.data, M, F,
                  half_of(L));
}

/* A warp a point. */
__global__ void encode_backward_kernel(float *dx, const float *dpe, const float *x, const float *freqs, int64_t M, int64_t F, float half_L)
{
    int64_t i = grid_warp(), row = i < M ? i : M - 1;
    const float *dsin = dpe + 2 * F * row, *dcos = dsin + F;
    double sum[3] = {0, 0, 0};
    for (int64_t j = lane(); j < F; j += WARP) {
        const float *f = freqs + 3 * j;
        float k = deco_encoding_phase(x + 3 * row, f, half_L), dk = cosf(k) * dsin[j] - sinf(k) * dcos[j];
        for (int a = 0; a < 3; a++)
            sum[a] += (double)dk * f[a];
    }
    for (int a = 0; a < 3; a++) {
        double all = warp_sum(sum[a]);
        if (i < M && lane() == a)
            dx[3 * i + a] = (float)(half_L * all);
    }
}

deco_status cuda_positional_encoding_backward(deco_device *dev, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L)
{
    int64_t M = x.shape[0], F = freqs.shape[0];
    return LAUNCH(dev, encode_backward_kernel, blocks_of_warps(M), THREADS, (float *)dx.data, (const float *)dpe.data,
                  (const float *)x.data, (const float *)freqs.data, M, F, half_of(L));
}

/* ---- the latent -------------------------------------------------------------------------------------------------------------- */

enum { POINTS = 192 };

__global__ void append_kernel(float *y, const float *x, const float *z, int64_t n, int64_t P, int64_t F, int64_t Z)
{
    int64_t at = grid_thread(), i = at / (F + Z), c = at % (F + Z);
    if (at < n)
        y[at] = c < F ? x[i * F + c] : z[i / P * Z + c - F];
}

deco_status cuda_append_latent(deco_device *dev, deco_array y, deco_array x, deco_array z)
{
    int64_t n = deco_array_count(y);
    return LAUNCH(dev, append_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, (const float *)z.data, n, x.shape[1],
                  x.shape[2], z.shape[1]);
}

__global__ void features_kernel(float *dx, const float *dy, int64_t n, int64_t F, int64_t W)
{
    int64_t at = grid_thread();
    if (at < n)
        dx[at] = dy[at / F * W + at % F];
}

/* part [B,tiles,Z]: tiles are cut within an image, so that each image's sum stands alone. */
__global__ void latent_part_kernel(double *part, const float *dy, int64_t B, int64_t P, int64_t W, int64_t Z, int64_t tiles)
{
    int64_t at = grid_thread(), task = at / Z, j = at % Z;
    if (at >= B * tiles * Z)
        return;
    int64_t b = task / tiles, first = task % tiles * POINTS, last = first + POINTS < P ? first + POINTS : P;
    double sum = 0;
    for (int64_t p = first; p < last; p++)
        sum += dy[(b * P + p) * W + W - Z + j];
    part[at] = sum;
}

deco_status cuda_append_latent_backward(deco_device *dev, deco_array dx, deco_array dz, deco_array dy)
{
    deco_status st = DECO_OK;
    int64_t B = dy.shape[0], P = dy.shape[1], W = dy.shape[2], Z = dz.data ? dz.shape[1] : W - dx.shape[2];
    int64_t tiles = cuda_tiles(P, POINTS), F = W - Z;
    double *part = NULL;

    if (dx.data)
        TRY(LAUNCH(dev, features_kernel, blocks_of(B * P * F), THREADS, (float *)dx.data, (const float *)dy.data, B * P * F, F, W));
    if (!dz.data)
        goto out;
    TRY(deco_scratch_take(dev, &part, (size_t)(B * tiles * Z) * sizeof *part, "gradients of latents"));
    TRY(LAUNCH(dev, latent_part_kernel, blocks_of(B * tiles * Z), THREADS, part, (const float *)dy.data, B, P, W, Z, tiles));
    TRY(cuda_add_parts(dev, (float *)dz.data, part, B, tiles, Z));
out:
    deco_scratch_give(dev, part);
    return st;
}
