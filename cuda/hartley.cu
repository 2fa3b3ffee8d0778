/* Centred Hartley transforms by cuFFT's real transform, whose other half follows from F(-k) = conj F(k); masked values and sums on the
 * lattice. METHOD.md sections 1.3 to 1.5. */
#include "launch.h"

enum { MOST_BYTES = 256 << 20 }; /* of images and transforms worked on at once */

static int64_t half_row(int64_t D) { return D / 2 + 1; }

/* ifftshift of each axis: the centre, D // 2, comes first. D² or D³ points an image. */
__global__ void centre_first_kernel(float *to, const float *from, int64_t n, int64_t D, int dims)
{
    int64_t i = grid_thread(), c = D / 2;
    if (i >= n)
        return;
    int64_t x = (i % D + c) % D, y = (i / D % D + c) % D, z = i / (D * D);
    if (dims == 3)
        z = (z + c) % D;
    to[i] = from[(z * D + y) * D + x];
}

/* H = Re F - Im F, the centre in its middle. With dims 2, z is the image. */
__global__ void hartley_kernel(float *to, const float *F, int64_t n, int64_t D, int dims, float scale)
{
    int64_t i = grid_thread(), shift = D - D / 2, half = D / 2 + 1;
    if (i >= n)
        return;
    int64_t u = (i % D + shift) % D, v = (i / D % D + shift) % D, w = i / (D * D);
    if (dims == 3)
        w = (w + shift) % D;
    float sign = -1;
    if (u >= half) { /* F(-k) */
        u = D - u, v = (D - v) % D, sign = 1;
        if (dims == 3)
            w = (D - w) % D;
    }
    const float *f = F + 2 * ((w * D + v) * half + u);
    to[i] = scale * (f[0] + sign * f[1]);
}

static deco_status transform(deco_device *dev, float *y, const float *x, int dims, int64_t D, int64_t count, double scale)
{
    deco_status st = DECO_OK;
    int64_t points = dims == 3 ? D * D * D : D * D, complex = points / D * half_row(D);
    int64_t most = MOST_BYTES / (4 * points + 8 * complex), run = most < 1 ? 1 : most < count ? most : count;
    float *in = NULL, *F = NULL;

    TRY(deco_scratch_take(dev, &in, (size_t)(run * points) * sizeof *in, "transform"));
    TRY(deco_scratch_take(dev, &F, (size_t)(run * complex) * 2 * sizeof *F, "transform"));
    for (int64_t b = 0; b < count; b += run) {
        int64_t now = count - b < run ? count - b : run, n = now * points;
        TRY(LAUNCH(dev, centre_first_kernel, blocks_of(n), THREADS, in, x + b * points, n, D, dims));
        TRY(cuda_fourier(dev, F, in, dims, D, now));
        TRY(LAUNCH(dev, hartley_kernel, blocks_of(n), THREADS, y + b * points, (const float *)F, n, D, dims, (float)scale));
    }
out:
    deco_scratch_give(dev, in);
    deco_scratch_give(dev, F);
    return st;
}

deco_status cuda_hartley_2d(deco_device *dev, deco_array y, deco_array x, bool inverse)
{
    int64_t D = x.shape[1];
    return transform(dev, (float *)y.data, (const float *)x.data, 2, D, x.shape[0], inverse ? 1 / ((double)D * (double)D) : 1);
}

deco_status cuda_hartley_3d(deco_device *dev, deco_array y, deco_array x, bool inverse)
{
    int64_t D = x.shape[0];
    double voxels = (double)D * (double)D * (double)D;
    return transform(dev, (float *)y.data, (const float *)x.data, 3, D, 1, inverse ? 1 / voxels : 1);
}

/* ---- the symmetrised lattice --------------------------------------------------------------------------------------------------- */

__global__ void mask_gather_kernel(float *y, const float *x, const int32_t *index, const float *scale, int64_t B, int64_t P, int64_t D,
                                   cuda_fault *fault)
{
    int64_t i = grid_thread(), b = i / P, p = i % P, L = D + 1;
    if (i >= B * P || !in_range(fault, CUDA_MASK_POINT, p, index[p], L * L))
        return;
    int64_t row = index[p] / L, column = index[p] % L;
    y[i] = scale[b] * x[(b * D + (row == D ? 0 : row)) * D + (column == D ? 0 : column)];
}

deco_status cuda_mask_gather(deco_device *dev, deco_array y, deco_array x, deco_array index, deco_array scale)
{
    int64_t B = x.shape[0], P = index.shape[0];
    return LAUNCH(dev, mask_gather_kernel, blocks_of(B * P), THREADS, (float *)y.data, (const float *)x.data, (const int32_t *)index.data,
                  (const float *)scale.data, B, P, x.shape[1], cuda_fault_of(dev));
}

/* A block an image. The first row and the first column stand on the lattice twice, their corner four times. */
__global__ void lattice_sums_kernel(double *sums, const float *x, int64_t D)
{
    const float *image = x + blockIdx.x * D * D;
    double sum = 0, squares = 0;
    for (int64_t i = threadIdx.x; i < D * D; i += THREADS) {
        double times = (i < D ? 2 : 1) * (i % D ? 1 : 2), v = image[i];
        sum += times * v, squares += times * v * v;
    }
    sum = block_sum(sum), squares = block_sum(squares);
    if (threadIdx.x == 0)
        sums[2 * (int64_t)blockIdx.x] = sum, sums[2 * (int64_t)blockIdx.x + 1] = squares;
}

deco_status cuda_lattice_sums(deco_device *dev, deco_array out, deco_array x)
{
    return LAUNCH(dev, lattice_sums_kernel, x.shape[0], THREADS, (double *)out.data, (const float *)x.data, x.shape[1]);
}
