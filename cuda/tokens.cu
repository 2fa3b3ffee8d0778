/* From bytes to tokens, and the class token back. METHOD.md section 4. */
#include "launch.h"

#include "formulas/encoder_pixel.h"

__global__ void patches_kernel(float *rows, const unsigned char *pixels, int64_t n, int64_t grid, int64_t patch)
{
    int64_t at = grid_thread(), area = patch * patch, side = grid * patch;
    if (at >= n)
        return;
    int64_t i = at / area, y = at % area / patch, x = at % patch, b = i / (grid * grid), of = i % (grid * grid);
    rows[at] = deco_encoder_pixel(pixels[(b * side + of / grid * patch + y) * side + of % grid * patch + x]);
}

deco_status cuda_patches(deco_device *dev, deco_array rows, deco_array pixels, int64_t patch)
{
    int64_t n = deco_array_count(rows);
    return LAUNCH(dev, patches_kernel, blocks_of(n), THREADS, (float *)rows.data, (const unsigned char *)pixels.data, n,
                  pixels.shape[1] / patch, patch);
}

__global__ void tokens_kernel(float *x, const float *patch, const float *cls, const float *pos, int64_t n, int64_t T, int64_t C)
{
    int64_t i = grid_thread(), row = i / C, b = row / T, t = row % T, c = i % C;
    if (i < n)
        x[i] = (t ? patch[(b * (T - 1) + t - 1) * C + c] : cls[c]) + pos[t * C + c];
}

deco_status cuda_tokens(deco_device *dev, deco_array x, deco_array patch, deco_array cls, deco_array pos)
{
    int64_t n = deco_array_count(x);
    return LAUNCH(dev, tokens_kernel, blocks_of(n), THREADS, (float *)x.data, (const float *)patch.data, (const float *)cls.data,
                  (const float *)pos.data, n, x.shape[1], x.shape[2]);
}

__global__ void tokens_backward_kernel(float *dcls, const float *dx, int64_t B, int64_t T, int64_t C)
{
    int64_t c = grid_thread();
    if (c >= C)
        return;
    double sum = 0;
    for (int64_t b = 0; b < B; b++)
        sum += dx[b * T * C + c];
    dcls[c] = (float)sum;
}

deco_status cuda_tokens_backward(deco_device *dev, deco_array dcls, deco_array dx)
{
    int64_t C = dx.shape[2];
    return LAUNCH(dev, tokens_backward_kernel, blocks_of(C), THREADS, (float *)dcls.data, (const float *)dx.data, dx.shape[0], dx.shape[1],
                  C);
}

/* ---- the class token alone ----------------------------------------------------------------------------------------------------- */

__global__ void class_token_kernel(float *y, const float *x, int64_t n, int64_t T, int64_t C)
{
    int64_t i = grid_thread();
    if (i < n)
        y[i] = x[i / C * T * C + i % C];
}

deco_status cuda_class_token(deco_device *dev, deco_array y, deco_array x)
{
    int64_t n = deco_array_count(y);
    return LAUNCH(dev, class_token_kernel, blocks_of(n), THREADS, (float *)y.data, (const float *)x.data, n, x.shape[1], x.shape[2]);
}

__global__ void class_token_backward_kernel(float *dx, const float *dy, int64_t n, int64_t T, int64_t C)
{
    int64_t i = grid_thread(), row = i / C;
    if (i < n)
        dx[i] = row % T ? 0 : dy[row / T * C + i % C];
}

deco_status cuda_class_token_backward(deco_device *dev, deco_array dx, deco_array dy)
{
    int64_t n = deco_array_count(dx);
    return LAUNCH(dev, class_token_backward_kernel, blocks_of(n), THREADS, (float *)dx.data, (const float *)dy.data, n, dx.shape[1],
                  dx.shape[2]);
}
