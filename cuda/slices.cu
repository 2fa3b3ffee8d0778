/* Points of slices, rotations of the pose table, CTF values, shifts. METHOD.md sections 2, 3 and 5. */
#include "launch.h"

#include "formulas/rotation.h"
#include "formulas/shift.h"

enum { POINTS = 2048 }; /* a block's, where it sums over them: tiles are cut within an image */

__global__ void slice_points_kernel(float *x, const float *k, const float *R, int64_t B, int64_t P)
{
    int64_t i = grid_thread(), b = i / P, p = i % P;
    if (i >= B * P)
        return;
    for (int a = 0; a < 3; a++)
        x[3 * i + a] = k[2 * p] * R[9 * b + a] + k[2 * p + 1] * R[9 * b + 3 + a];
}

deco_status cuda_slice_points(deco_device *dev, deco_array x, deco_array k, deco_array R)
{
    int64_t B = R.shape[0], P = k.shape[0];
    return LAUNCH(dev, slice_points_kernel, blocks_of(B * P), THREADS, (float *)x.data, (const float *)k.data, (const float *)R.data, B, P);
}

/* part [B,tiles,9] */
__global__ void slice_points_backward_kernel(double *part, const float *dx, const float *k, int64_t P, int64_t tiles)
{
    int64_t b = blockIdx.x / tiles, first = blockIdx.x % tiles * POINTS, last = first + POINTS < P ? first + POINTS : P;
    double dR[6] = {0, 0, 0, 0, 0, 0};
    for (int64_t p = first + threadIdx.x; p < last; p += THREADS)
        for (int i = 0; i < 6; i++)
            dR[i] += (double)k[2 * p + i / 3] * dx[3 * (b * P + p) + i % 3];
    for (int i = 0; i < 6; i++)
        dR[i] = block_sum(dR[i]);
    if (threadIdx.x == 0)
        for (int i = 0; i < 9; i++)
            part[9 * (int64_t)blockIdx.x + i] = i < 6 ? dR[i] : 0; /* slices have no z */
}

deco_status cuda_slice_points_backward(deco_device *dev, deco_array dR, deco_array dx, deco_array k)
{
    deco_status st = DECO_OK;
    int64_t B = dx.shape[0], P = k.shape[0], tiles = cuda_tiles(P, POINTS);
    double *part = NULL;
    TRY(deco_scratch_take(dev, &part, (size_t)(B * tiles * 9) * sizeof *part, "gradients of rotations"));
    TRY(LAUNCH(dev, slice_points_backward_kernel, B * tiles, THREADS, part, (const float *)dx.data, (const float *)k.data, P, tiles));
    TRY(cuda_add_parts(dev, (float *)dR.data, part, B, tiles, 9));
out:
    deco_scratch_give(dev, part);
    return st;
}

/* ---- rotations --------------------------------------------------------------------------------------------------------------- */

__global__ void six_rotations_kernel(float *out, const float *six, int64_t B)
{
    int64_t b = grid_thread();
    if (b >= B)
        return;
    double s[6], R[9];
    for (int i = 0; i < 6; i++)
        s[i] = six[6 * b + i];
    deco_rotation_from_six(R, s);
    for (int i = 0; i < 9; i++)
        out[9 * b + i] = (float)R[i];
}

deco_status cuda_six_rotations(deco_device *dev, deco_array R, deco_array six)
{
    int64_t B = six.shape[0];
    return LAUNCH(dev, six_rotations_kernel, blocks_of(B), THREADS, (float *)R.data, (const float *)six.data, B);
}

__global__ void six_rotations_backward_kernel(float *dsix, const float *dR, const float *six, int64_t B)
{
    int64_t b = grid_thread();
    if (b >= B)
        return;
    double s[6], g[9], ds[6];
    for (int i = 0; i < 6; i++)
        s[i] = six[6 * b + i];
    for (int i = 0; i < 9; i++)
        g[i] = dR[9 * b + i];
    deco_rotation_from_six_backward(ds, g, s);
    for (int i = 0; i < 6; i++)
        dsix[6 * b + i] = (float)ds[i];
}

deco_status cuda_six_rotations_backward(deco_device *dev, deco_array dsix, deco_array dR, deco_array six)
{
    int64_t B = six.shape[0];
    return LAUNCH(dev, six_rotations_backward_kernel, blocks_of(B), THREADS, (float *)dsix.data, (const float *)dR.data,
                  (const float *)six.data, B);
}

/* ---- CTF --------------------------------------------------------------------------------------------------------------------- */

/* A block works on points of one image, whose phase it works out once: that is double, and slow on most cards. */
__global__ void ctf_kernel(float *out, const deco_ctf_row *ctf, const float *k, int64_t P, int64_t tiles)
{
    SHARED(deco_ctf_phase, phase, 1);
    int64_t b = blockIdx.x / tiles, first = blockIdx.x % tiles * POINTS, last = first + POINTS < P ? first + POINTS : P;
    if (threadIdx.x == 0)
        phase[0] = deco_ctf_prepare(ctf[b]);
    block_meet();
    for (int64_t p = first + threadIdx.x; p < last; p += THREADS)
        out[b * P + p] = deco_ctf_at(phase[0], k[2 * p], k[2 * p + 1]);
}

deco_status cuda_ctf_values(deco_device *dev, deco_array out, deco_array ctf, deco_array k)
{
    int64_t B = ctf.shape[0], P = k.shape[0], tiles = cuda_tiles(P, POINTS);
    return LAUNCH(dev, ctf_kernel, B * tiles, THREADS, (float *)out.data, (const deco_ctf_row *)ctf.data, (const float *)k.data, P, tiles);
}

/* ---- shifts ------------------------------------------------------------------------------------------------------------------ */

/* The value opposite to point p is that of point P - 1 - p: the mask is symmetric and in rising order. */
__global__ void shift_kernel(float *y, const float *x, const float *t, const float *k, int64_t B, int64_t P)
{
    int64_t i = grid_thread(), b = i / P, p = i % P;
    if (i < B * P)
        y[i] = deco_shift_value(deco_shift_phase(k + 2 * p, t + 2 * b), x[i], x[b * P + P - 1 - p]);
}

deco_status cuda_shift(deco_device *dev, deco_array y, deco_array x, deco_array t, deco_array k)
{
    int64_t B = x.shape[0], P = x.shape[1];
    return LAUNCH(dev, shift_kernel, blocks_of(B * P), THREADS, (float *)y.data, (const float *)x.data, (const float *)t.data,
                  (const float *)k.data, B, P);
}

/* part [B,tiles,2] */
__global__ void shift_backward_kernel(double *part, const float *dy, const float *x, const float *t, const float *k, int64_t P,
                                      int64_t tiles)
{
    int64_t b = blockIdx.x / tiles, first = blockIdx.x % tiles * POINTS, last = first + POINTS < P ? first + POINTS : P;
    double sum[2] = {0, 0};
    for (int64_t p = first + threadIdx.x; p < last; p += THREADS) {
        float phase = deco_shift_phase(k + 2 * p, t + 2 * b);
        double slope = (double)dy[b * P + p] * deco_shift_slope(phase, x[b * P + p], x[b * P + P - 1 - p]);
        sum[0] += slope * k[2 * p], sum[1] += slope * k[2 * p + 1];
    }
    for (int i = 0; i < 2; i++) {
        double all = block_sum(sum[i]);
        if (threadIdx.x == 0)
            part[2 * (int64_t)blockIdx.x + i] = DECO_TWO_PI * all;
    }
}

deco_status cuda_shift_backward(deco_device *dev, deco_array dt, deco_array dy, deco_array x, deco_array t, deco_array k)
{
    deco_status st = DECO_OK;
    int64_t B = x.shape[0], P = x.shape[1], tiles = cuda_tiles(P, POINTS);
    double *part = NULL;
    TRY(deco_scratch_take(dev, &part, (size_t)(B * tiles * 2) * sizeof *part, "gradients of shifts"));
    TRY(LAUNCH(dev, shift_backward_kernel, B * tiles, THREADS, part, (const float *)dy.data, (const float *)x.data, (const float *)t.data,
               (const float *)k.data, P, tiles));
    TRY(cuda_add_parts(dev, (float *)dt.data, part, B, tiles, 2));
out:
    deco_scratch_give(dev, part);
    return st;
}
